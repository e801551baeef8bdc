#include "depot.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/*
 * A table by hash, half full at most, of stacks in one long array that only grows. Pages of either
 * are resident once they are used. A word of the array is a place: module above, address below.
 */
enum { BUCKETS = 2 * DEPOT_SITES, WORDS = DEPOT_SITES * 20, ADDRESS_BITS = 48 };

/* Where a stack begins in the array, its count in front; 0: free. Its index is the site. */
static _Atomic uint32_t buckets[BUCKETS];
static uint64_t words[WORDS];
static _Atomic uint32_t words_end = 1;
static _Atomic uint32_t sites;
static _Atomic uint32_t refused;

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
    return hash ^ (hash >> 29);
}

static uint64_t word_of(uintptr_t pc, struct module *room)
{
    const unsigned number = modules_number(pc, room);
    const struct module *module = modules_of(number);
    const uint64_t address = module ? pc - module->bias : pc;
    return (uint64_t)number << ADDRESS_BITS | (address & (((uint64_t)1 << ADDRESS_BITS) - 1));
}

static bool is_same(uint32_t at, const uint64_t *stack, int count)
{
    return words[at] == (uint64_t)count &&
           memcmp(&words[at + 1], stack, (size_t)count * sizeof(*stack)) == 0;
}

/* Returns where the stack is now in the array, 0 when there is no room. */
static uint32_t append(const uint64_t *stack, int count)
{
    const uint32_t size = (uint32_t)count + 1;
    uint32_t at = atomic_load_explicit(&words_end, memory_order_relaxed);
    do {
        if (at + size > WORDS || atomic_load_explicit(&sites, memory_order_relaxed) >= DEPOT_SITES)
            return 0;
    } while (!atomic_compare_exchange_weak_explicit(&words_end, &at, at + size,
                                                    memory_order_relaxed, memory_order_relaxed));
    words[at] = (uint64_t)count;
    memcpy(&words[at + 1], stack, (size_t)count * sizeof(*stack));
    return at;
}

/* What two threads put at once is there twice in the array, and once in the table. */
static site_t find_or_add(const uint64_t *stack, int count, uint64_t hash)
{
    uint32_t mine = 0;
    for (uint32_t i = 0; i < BUCKETS; i++) {
        const uint32_t place = (uint32_t)(hash + i) % BUCKETS;
        uint32_t at = atomic_load_explicit(&buckets[place], memory_order_acquire);
        if (at == 0 && mine == 0 && (mine = append(stack, count)) == 0)
            break;
        if (at == 0 &&
            atomic_compare_exchange_strong_explicit(&buckets[place], &at, mine,
                                                    memory_order_acq_rel, memory_order_acquire)) {
            atomic_fetch_add_explicit(&sites, 1, memory_order_relaxed);
            return (site_t)(place + 1);
        }
        if (is_same(at, stack, count))
            return (site_t)(place + 1);
    }
    atomic_fetch_add_explicit(&refused, 1, memory_order_relaxed);
    return 0;
}

site_t depot_put(const uintptr_t *pcs, int count, struct depot_room *room)
{
    uint64_t hash = 0;
    if (count <= 0)
        return 0;
    if (count > DEPOT_FRAMES)
        count = DEPOT_FRAMES;
    for (int i = 0; i < count; i++) {
        room->stack[i] = word_of(pcs[i], &room->module);
        hash = mix(hash, room->stack[i]);
    }
    return find_or_add(room->stack, count, hash);
}

int depot_get(site_t site, struct place places[DEPOT_FRAMES])
{
    if (site == 0 || site > BUCKETS)
        return 0;
    const uint32_t at = atomic_load_explicit(&buckets[site - 1], memory_order_acquire);
    const int count = at ? (int)words[at] : 0;
    for (int i = 0; i < count; i++)
        places[i] = (struct place){
            .module = (unsigned)(words[at + 1 + (uint32_t)i] >> ADDRESS_BITS),
            .address = words[at + 1 + (uint32_t)i] & (((uint64_t)1 << ADDRESS_BITS) - 1)};
    return count;
}

/* By build id, or by name where there is none: neither folder nor load address counts. */
static uint64_t hash_of(const struct place *place)
{
    const struct module *module = modules_of(place->module);
    uint64_t hash = mix(0, place->address);
    if (!module)
        return hash;
    const char *slash = strrchr(module->path, '/');
    for (const char *at = slash ? slash + 1 : module->path; module->id_size == 0 && *at; at++)
        hash = mix(hash, (unsigned char)*at);
    for (int i = 0; i < module->id_size; i++)
        hash = mix(hash, module->id[i]);
    return hash;
}

uint64_t depot_hash(site_t site)
{
    struct place places[DEPOT_FRAMES];
    uint64_t hash = 0;
    const int count = depot_get(site, places);
    for (int i = 0; i < count; i++)
        hash = mix(hash, hash_of(&places[i]));
    return hash;
}

uint32_t depot_refused(void)
{
    return atomic_load_explicit(&refused, memory_order_relaxed);
}

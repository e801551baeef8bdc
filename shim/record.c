#include "record.h"

#include <stdatomic.h>
#include <string.h>

enum { PLACES = 64 };

enum place_state { PLACE_EMPTY, PLACE_FILLING, PLACE_FULL };

static struct {
    _Atomic uint32_t state;
    struct record record;
} ring[PLACES];

static _Atomic uint32_t posted;
static _Atomic uint32_t lost;
static uint32_t taken; /* the watcher's own */

static bool put(const struct record *record)
{
    const uint32_t place = atomic_fetch_add_explicit(&posted, 1, memory_order_relaxed) % PLACES;
    uint32_t empty = PLACE_EMPTY;
    /* acquire: the watcher has read the old record out; release below: ours is whole. */
    if (!atomic_compare_exchange_strong_explicit(&ring[place].state, &empty, PLACE_FILLING,
                                                 memory_order_acquire, memory_order_relaxed)) {
        return false;
    }
    memcpy(&ring[place].record, record, sizeof(*record));
    /* seq_cst: watch.c pairs it with its flag "dozing", as it does the publishing of a slot. */
    atomic_store(&ring[place].state, PLACE_FULL);
    return true;
}

void record_post(const struct record *record)
{
    if (!put(record))
        atomic_fetch_add_explicit(&lost, 1, memory_order_relaxed);
}

void record_offer(const struct record *record)
{
    put(record);
}

/*
 * Looks at every place once from the oldest on: a place whose post lost its race is skipped, and
 * one that is being filled is taken by a later call.
 */
bool record_take(struct record *record)
{
    for (uint32_t i = 0; i < PLACES; i++) {
        const uint32_t place = (taken + i) % PLACES;
        if (atomic_load_explicit(&ring[place].state, memory_order_acquire) != PLACE_FULL)
            continue;
        memcpy(record, &ring[place].record, sizeof(*record));
        atomic_store_explicit(&ring[place].state, PLACE_EMPTY, memory_order_release);
        taken = place + 1;
        return true;
    }
    return false;
}

bool record_waits(void)
{
    for (int i = 0; i < PLACES; i++)
        if (atomic_load(&ring[i].state) == PLACE_FULL)
            return true;
    return false;
}

uint32_t record_lost(void)
{
    return atomic_load_explicit(&lost, memory_order_relaxed);
}

void record_adopt(void)
{
    for (int i = 0; i < PLACES; i++)
        atomic_store_explicit(&ring[i].state, PLACE_EMPTY, memory_order_relaxed);
    atomic_store_explicit(&lost, 0, memory_order_relaxed);
}

#include "counts.h"

#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "hash.h"
#include "must.h"

enum { FIRST_SIZE = 16 };

static uint32_t *place_of(const struct counts *counts, const char *name)
{
    size_t at = hash_text(name) & (counts->size - 1);
    while (counts->index[at] && strcmp(counts->all[counts->index[at] - 1].name, name) != 0)
        at = (at + 1) & (counts->size - 1);
    return &counts->index[at];
}

/* At most half full. */
static void grow_index(struct counts *counts)
{
    if (2 * (counts->count + 1) <= counts->size)
        return;
    free(counts->index);
    counts->size = counts->size ? 2 * counts->size : FIRST_SIZE;
    counts->index = must(calloc(counts->size, sizeof(*counts->index)));
    for (size_t i = 0; i < counts->count; i++)
        *place_of(counts, counts->all[i].name) = (uint32_t)i + 1;
}

static size_t bytes_of(const char *name)
{
    const size_t in_index = 4 * sizeof(uint32_t);
    return 2 * sizeof(struct met) + in_index + QUOTA_OF_BLOCK + strlen(name) + 1;
}

struct met *counts_add(struct counts *counts, struct quota *quota, size_t limit, const char *name,
                       uint64_t times)
{
    grow_index(counts);
    uint32_t *place = place_of(counts, name);
    if (!*place) {
        if (counts->count >= limit || !quota_ask(quota, QUOTA_NAMES, bytes_of(name)))
            return NULL;
        counts->all = array_grow(counts->all, counts->count, sizeof(*counts->all));
        counts->all[counts->count++] = (struct met){.name = must(strdup(name))};
        *place = (uint32_t)counts->count;
    }
    struct met *met = &counts->all[*place - 1];
    met->times += times;
    return met;
}

struct met *counts_meet(struct counts *counts, struct quota *quota, size_t limit, const char *name)
{
    return counts_add(counts, quota, limit, name, 1);
}

static bool is_before(const struct met *left, const struct met *right)
{
    return left->times != right->times ? left->times > right->times
                                       : strcmp(left->name, right->name) < 0;
}

size_t counts_top(const struct counts *counts, const struct met **top, size_t size)
{
    size_t shown = 0;
    for (size_t i = 0; i < counts->count; i++) {
        const struct met *met = &counts->all[i];
        if (shown == size && !is_before(met, top[shown - 1]))
            continue;
        size_t at = shown < size ? shown++ : size - 1;
        for (; at > 0 && is_before(met, top[at - 1]); at--)
            top[at] = top[at - 1];
        top[at] = met;
    }
    return shown;
}

json_t *counts_json(const struct counts *counts)
{
    json_t *object = must(json_object());
    for (size_t i = 0; i < counts->count; i++)
        if (json_object_set_new(object, counts->all[i].name,
                                json_integer((json_int_t)counts->all[i].times)) != 0)
            must(NULL);
    return object;
}

void counts_free(struct counts *counts)
{
    for (size_t i = 0; i < counts->count; i++)
        free(counts->all[i].name);
    free(counts->all);
    free(counts->index);
    *counts = (struct counts){0};
}

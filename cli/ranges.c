#define _GNU_SOURCE
#include "ranges.h"

#include <stdlib.h>

struct range {
    Dwarf_Addr start;
    Dwarf_Addr end;
    Dwarf_Addr reach; /* the highest end up to here: ranges may overlap */
    Dwarf_Die die;
};

static bool append(struct ranges *ranges, const struct range *range)
{
    const size_t n = ranges->count;
    if ((n & (n - 1)) == 0) { /* the room is always a power of 2 */
        struct range *more = reallocarray(ranges->all, n ? 2 * n : 1, sizeof(*more));
        if (!more)
            return false;
        ranges->all = more;
    }
    ranges->all[ranges->count++] = *range;
    return true;
}

bool ranges_add(struct ranges *ranges, Dwarf_Die *die)
{
    struct range range = {.die = *die};
    Dwarf_Addr base;
    ptrdiff_t at = 0;
    while ((at = dwarf_ranges(die, at, &base, &range.start, &range.end)) > 0) {
        /* At 0 is what the linker has dropped. */
        if (range.start != 0 && range.start < range.end && !append(ranges, &range))
            return false;
    }
    return true;
}

static int by_start(const void *a, const void *b)
{
    const struct range *left = a;
    const struct range *right = b;
    return (left->start > right->start) - (left->start < right->start);
}

void ranges_sort(struct ranges *ranges)
{
    if (ranges->count)
        qsort(ranges->all, ranges->count, sizeof(*ranges->all), by_start);
    Dwarf_Addr reach = 0;
    for (size_t i = 0; i < ranges->count; i++) {
        reach = ranges->all[i].end > reach ? ranges->all[i].end : reach;
        ranges->all[i].reach = reach;
    }
}

Dwarf_Die *ranges_find(const struct ranges *ranges, Dwarf_Addr address)
{
    size_t low = 0;
    size_t high = ranges->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (ranges->all[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    while (low-- > 0 && ranges->all[low].reach > address) {
        if (ranges->all[low].end > address)
            return &ranges->all[low].die;
    }
    return NULL;
}

void ranges_free(struct ranges *ranges)
{
    free(ranges->all);
    *ranges = (struct ranges){0};
}

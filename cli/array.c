#define _GNU_SOURCE
#include "array.h"

#include <err.h>
#include <stdbool.h>
#include <stdlib.h>

void *array_grow(void *at, size_t count, size_t size)
{
    enum { FIRST = 16 };
    const bool full = count == 0 || (count >= FIRST && (count & (count - 1)) == 0);
    if (!full)
        return at;
    void *grown = reallocarray(at, count == 0 ? FIRST : 2 * count, size);
    if (!grown)
        errx(EXIT_FAILURE, "out of memory: %zu elements of %zu bytes", count, size);
    return grown;
}

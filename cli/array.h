/*
 * Arrays that grow by one.
 */
#ifndef CLOSEWAIT_ARRAY_H
#define CLOSEWAIT_ARRAY_H

#include <stddef.h>

/*
 * The array at, which holds count elements of size bytes, with room for one more; it may have
 * moved. Begin with NULL and 0, end with free(3). Without memory the command ends, with a line
 * and status 1: there is nothing that it could do instead.
 */
void *array_grow(void *at, size_t count, size_t size);

#endif

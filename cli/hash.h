/*
 * FNV-1a (Fowler, Noll, Vo). Who chose the text can choose what collides: for what is bounded.
 */
#ifndef CLOSEWAIT_HASH_H
#define CLOSEWAIT_HASH_H

#include <stddef.h>
#include <stdint.h>

static inline size_t hash_text(const char *text)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3;
    return (size_t)(hash ^ hash >> 32);
}

#endif

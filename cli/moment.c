#define _GNU_SOURCE
#include "moment.h"

#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "array.h"
#include "must.h"
#include "world.h"

/* So much of a stack is copied at the most, and for so long in all. */
enum { PAGE = 4096, PAGES = 32, STOP_US = 20000 };

/*
 * process_vm_readv(2) ends with the last whole piece that it can read: so a piece ends where a page
 * does, and the copy where the stack's memory does.
 */
static size_t read_pages(pid_t tid, uint64_t from, unsigned char *copy)
{
    struct iovec pieces[PAGES];
    size_t size = 0;
    for (size_t i = 0; i < PAGES; i++) {
        const size_t len = PAGE - (from + size) % PAGE;
        pieces[i] = (struct iovec){(void *)(uintptr_t)(from + size), len};
        size += len;
    }
    const struct iovec whole = {copy, size};
    const ssize_t got = process_vm_readv(tid, &whole, 1, pieces, PAGES, 0);
    return got > 0 ? (size_t)got : 0;
}

static void see(struct standing *standing, unsigned char *room)
{
    if (registers_read(standing->tid, &standing->registers) != REGISTERS_READ)
        return;
    standing->from = registers_sp(&standing->registers);
    standing->size = read_pages(standing->tid, standing->from, room);
    standing->copy = must(malloc(standing->size + 1));
    memcpy(standing->copy, room, standing->size);
    standing->seen = true;
}

static void see_all(struct world *world, void *argument)
{
    static unsigned char room[PAGES * PAGE];
    struct moment *moment = argument;
    const uint64_t begin_us = world_stopped_us(world);
    for (size_t i = 0; world_thread(world, i); i++) {
        struct standing standing = {.tid = world_thread(world, i)};
        if (world_stopped_us(world) - begin_us < STOP_US)
            see(&standing, room);
        moment->at = array_grow(moment->at, moment->count, sizeof(*moment->at));
        moment->at[moment->count++] = standing;
    }
}

bool moment_take(struct moment *moment, const struct target *target, char *why, size_t why_size)
{
    uint64_t unused = 0;
    *moment = (struct moment){0};
    return world_visit(target, see_all, moment, &unused, why, why_size);
}

void moment_free(struct moment *moment)
{
    for (size_t i = 0; i < moment->count; i++)
        free(moment->at[i].copy);
    free(moment->at);
    *moment = (struct moment){0};
}

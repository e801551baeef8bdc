#define _GNU_SOURCE
#include "scan.h"

#include <elf.h>
#include <link.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <sys/auxv.h>

#include "clock.h"
#include "credentials.h"
#include "kernel.h"
#include "notes.h"
#include "raw.h"
#include "signals.h"
#include "slots.h"
#include "tombs.h"

/* As often as the watcher sweeps; a poll of a batch takes 30 us (design, fact 7). */
enum { SCAN_MS = 200, FOLLOW_MS = 1000, BATCH = 512 };

static bool scanning;
static uint64_t scanned_ms;
static uint64_t followed_ms;

/* The note that the Go linker writes: .note.go.buildid (cmd/link, type 4 of the name "Go"). */
static bool has_go_note(const uint8_t *at, size_t size)
{
    enum { GO_BUILD_ID = 4 };
    size_t id_size = 0;
    return notes_find(at, size, "Go\0", GO_BUILD_ID, &id_size) != NULL;
}

/* The program's own headers are in its memory: the kernel says where (getauxval(3)). */
static bool is_go(void)
{
    const ElfW(Phdr) *headers = (const ElfW(Phdr) *)getauxval(AT_PHDR);
    const unsigned long count = getauxval(AT_PHNUM);
    uintptr_t bias = 0;
    if (!headers)
        return false;
    for (unsigned long i = 0; i < count; i++)
        if (headers[i].p_type == PT_PHDR)
            bias = (uintptr_t)headers - headers[i].p_vaddr;
    for (unsigned long i = 0; i < count; i++)
        if (headers[i].p_type == PT_NOTE &&
            has_go_note((const uint8_t *)(bias + headers[i].p_vaddr), headers[i].p_memsz))
            return true;
    return false;
}

bool scan_init(enum scan scan)
{
    scanning = scan == SCAN_ON || (scan == SCAN_AUTO && is_go());
    return scanning;
}

bool scan_is_on(void)
{
    return scanning;
}

/* What has no slot, or one of a socket that is gone: the sweep finds that out by its cookie. */
static void note(int fd)
{
    struct facts facts;
    if (slot_state(slot_word(slot_of(fd))) != SLOT_FREE || !kernel_is_tcp(fd) ||
        !kernel_facts(fd, &facts) ||
        (facts.state != TCP_CLOSE_WAIT && !(facts.state == TCP_CLOSE && facts.handshake)))
        return;
    const uint64_t mask = signals_block();
    slot_found(fd);
    signals_restore(mask);
}

/* False when none of the batch is open: there is none above. */
static bool scan_batch(int first)
{
    struct pollfd polled[BATCH];
    const struct timespec at_once = {0};
    bool any = false;
    for (int i = 0; i < BATCH; i++)
        polled[i] = (struct pollfd){.fd = first + i, .events = POLLRDHUP};
    if (raw5(SYS_ppoll, (long)polled, BATCH, (long)&at_once, 0, 0) < 0)
        return false;
    for (int i = 0; i < BATCH; i++) {
        any |= !(polled[i].revents & POLLNVAL);
        if (slot_state(slot_word(slot_of(first + i))) == SLOT_BURIED)
            tombs_check(first + i);
        if (polled[i].revents & (POLLRDHUP | POLLHUP | POLLERR))
            note(first + i);
    }
    return any;
}

uint32_t scan_if_due(void)
{
    if (!scanning)
        return 0;
    const uint64_t age_ms = clock_ms() - scanned_ms;
    if (age_ms < SCAN_MS)
        return SCAN_MS - (uint32_t)age_ms;
    if (clock_ms() - followed_ms >= FOLLOW_MS) {
        credentials_follow();
        followed_ms = clock_ms();
    }
    for (int first = 0; scan_batch(first); first += BATCH) {
    }
    scanned_ms = clock_ms();
    return SCAN_MS;
}

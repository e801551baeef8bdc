#define _GNU_SOURCE
#include "scan.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <linux/stat.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/auxv.h>

#include "clock.h"
#include "kernel.h"
#include "raw.h"
#include "signals.h"
#include "slots.h"
#include "tombs.h"

/* As often as the watcher sweeps; a poll of a batch takes 30 us (design, fact 7). */
enum { SCAN_MS = 200, BATCH = 512 };

static bool scanning;
static uint64_t scanned_ms;

/* The note that the Go linker writes: .note.go.buildid (cmd/link, type 4 of the name "Go"). */
static bool has_go_note(const uint8_t *at, size_t size)
{
    enum { GO_BUILD_ID = 4 };
    ElfW(Nhdr) note;
    while (size >= sizeof(note)) {
        memcpy(&note, at, sizeof(note));
        const size_t name = (note.n_namesz + 3U) & ~3U;
        const size_t desc = (note.n_descsz + 3U) & ~3U;
        const size_t whole = sizeof(note) + name + desc;
        if (name > size || desc > size || whole > size)
            return false;
        if (note.n_type == GO_BUILD_ID && note.n_namesz == 4 &&
            memcmp(at + sizeof(note), "Go\0", 4) == 0)
            return true;
        at += whole;
        size -= whole;
    }
    return false;
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

/* The first versions of i386 are for ids of 16 bits. */
#ifdef SYS_setresuid32
enum {
    GETEGID = SYS_getegid32,
    GETEUID = SYS_geteuid32,
    SETRESGID = SYS_setresgid32,
    SETRESUID = SYS_setresuid32,
};
#else
enum {
    GETEGID = SYS_getegid,
    GETEUID = SYS_geteuid,
    SETRESGID = SYS_setresgid,
    SETRESUID = SYS_setresuid,
};
#endif

/*
 * Where libc is not called, nobody tells us of setuid either: a thread of ours must not keep what
 * the program gave up. Whom /proc says the first thread belongs to is its effective user.
 */
static void follow_credentials(void)
{
    struct statx first = {0};
    if (raw5(SYS_statx, AT_FDCWD, (long)"/proc/self", 0, STATX_UID | STATX_GID, (long)&first) != 0)
        return;
    const long gid = (long)first.stx_gid;
    const long uid = (long)first.stx_uid;
    if (gid != raw0(GETEGID))
        raw3(SETRESGID, gid, gid, gid);
    if (uid != raw0(GETEUID))
        raw3(SETRESUID, uid, uid, uid);
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
    follow_credentials();
    for (int first = 0; scan_batch(first); first += BATCH) {
    }
    scanned_ms = clock_ms();
    return SCAN_MS;
}

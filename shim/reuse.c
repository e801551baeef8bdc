#include "reuse.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "endpoint.h"
#include "kernel.h"
#include "owner.h"
#include "raw.h"
#include "real.h"
#include "slots.h"

bool reuse_wanted;

void reuse_start(const struct options *options)
{
    reuse_wanted = options->reuseaddr;
}

static bool on(void)
{
    return reuse_wanted && owner_here();
}

/* 0 or 1; -1 when it cannot be asked. */
static int reuse_of(int fd)
{
    int value = 0;
    socklen_t len = sizeof(value);
    return raw5(SYS_getsockopt, fd, SOL_SOCKET, SO_REUSEADDR, (long)&value, (long)&len) == 0
               ? value != 0
               : -1;
}

static bool set_reuse(int fd, int value)
{
    return raw5(SYS_setsockopt, fd, SOL_SOCKET, SO_REUSEADDR, (long)&value, sizeof(value)) == 0;
}

int reuse_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
    struct slot *slot = slot_of(fd);
    if (slot_state(slot_word(slot)) != SLOT_MADE || !on() || reuse_of(fd) != 0 ||
        !set_reuse(fd, 1)) {
        errno = EADDRINUSE;
        return -1;
    }
    const int ret = real.bind(fd, addr, len);
    if (ret == 0)
        slot_flag(slot, SLOT_LENT);
    else
        set_reuse(fd, 0);
    return ret;
}

void reuse_bound(int fd, const struct sockaddr *addr, socklen_t len, int ret)
{
    struct slot *slot = slot_of(fd);
    if (ret == 0 && slot_state(slot_word(slot)) == SLOT_MADE && on() &&
        endpoint_of(addr, len).port != 0)
        slot_flag(slot, SLOT_BOUND);
}

void reuse_connected(int fd, uint32_t before)
{
    struct slot *slot = slot_of(fd);
    const uint32_t word = slot_word(slot);
    const enum slot_state state = slot_state(word);
    if (!((word | before) & (SLOT_BOUND | SLOT_LENT)) || !on())
        return;
    if ((state == SLOT_LIVE || state == SLOT_CLAIMED) && !(word & SLOT_LENT)) {
        if (reuse_of(fd) == 0 && set_reuse(fd, 1))
            slot_flag(slot, SLOT_LENT);
    } else if (state == SLOT_MADE && (before & SLOT_LENT)) { /* a connection no more: AF_UNSPEC */
        set_reuse(fd, 0);
        slot_flag(slot, SLOT_BOUND);
    }
}

/* Of every descriptor of the socket. */
static void forget(int fd, uint32_t flags)
{
    const uint64_t cookie = kernel_cookie(fd);
    for (int other = slots_next(0); other >= 0; other = slots_next(other + 1)) {
        struct slot *slot = slot_of(other);
        if ((slot_word(slot) & SLOT_LENT) && (other == fd || kernel_cookie(other) == cookie))
            slot_unflag(slot, flags);
    }
}

static bool is_lent(int fd)
{
    return (slot_word(slot_of(fd)) & SLOT_LENT) && on();
}

/* The next descriptor to be asked about is as the program set it. Connected later, it is lent. */
void reuse_yield(int fd, int level, int name)
{
    if (level != SOL_SOCKET || name != SO_REUSEADDR || !is_lent(fd))
        return;
    const bool connected = slot_state(slot_word(slot_of(fd))) != SLOT_MADE;
    forget(fd, connected ? SLOT_LENT | SLOT_BOUND : SLOT_LENT);
    set_reuse(fd, 0);
}

void reuse_listens(int fd)
{
    if (is_lent(fd))
        set_reuse(fd, 0);
}

void reuse_listened(int fd, int ret)
{
    if (!is_lent(fd))
        return;
    if (ret == 0)
        forget(fd, SLOT_LENT | SLOT_BOUND);
    else
        set_reuse(fd, 1);
}

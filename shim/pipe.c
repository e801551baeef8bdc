#include "pipe.h"

#include <errno.h>
#include <stdatomic.h>

#include "owner.h"
#include "probe.h"
#include "signals.h"
#include "slots.h"
#include "tombs.h"

_Atomic bool pipe_watched;

static const uint64_t sigpipe = SIGNAL_BIT(SIGPIPE);

void pipe_start(bool reaps)
{
    atomic_store_explicit(&pipe_watched, reaps, memory_order_relaxed);
}

struct hush pipe_hush(int fd)
{
    struct hush hush = {.fd = fd};
    if (pipe_is_clear(fd) || !owner_is_near())
        return hush;
    const uint32_t word = slot_word(slot_of(fd));
    if ((word & (SLOT_KEPT | SLOT_COPIED)) && owner_here())
        probe_yield(fd);
    if (slot_state(word) == SLOT_BURIED && !tombs_is(fd))
        return hush;
    hush.on = true;
    raw4(SYS_rt_sigprocmask, SIG_BLOCK, (long)&sigpipe, (long)&hush.mask, sizeof(sigpipe));
    hush.pending = signals_pending() & sigpipe;
    return hush;
}

void pipe_hushed(struct hush hush, ssize_t written)
{
    if (!hush.on)
        return;
    struct slot *slot = slot_of(hush.fd);
    if (written < 0 && errno == EPIPE && pipe_is_fresh_tombstone(slot_word(slot)) &&
        tombs_is(hush.fd)) {
        slot_flag(slot, SLOT_WRITTEN);
        if (!hush.pending)
            signals_take_back(sigpipe);
    }
    signals_restore(hush.mask);
}

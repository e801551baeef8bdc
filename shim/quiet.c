#define _GNU_SOURCE
#include "quiet.h"

#include <sys/uio.h>

#include "raw.h"
#include "real.h"
#include "slots.h"
#include "tombs.h"

enum {
    MOST = 256,
    /* What a half-closed connection has to say, which a tombstone says as well. */
    ALIKE = POLLIN | POLLRDNORM | POLLRDHUP | POLLOUT | POLLWRNORM,
};

static bool is_left_out(const struct pollfd *polled)
{
    const uint32_t word = slot_word(slot_of(polled->fd));
    return slot_state(word) == SLOT_BURIED && (word & SLOT_FIN) && !(polled->events & ALIKE);
}

/* A negative number is passed over (poll(2)). Returns how many. */
static int leave_out(struct pollfd *copy, nfds_t count)
{
    int number = 0;
    for (nfds_t i = 0; i < count; i++) {
        if (!is_left_out(&copy[i]))
            continue;
        copy[i].fd = -1;
        number++;
    }
    return number;
}

/* A bad address is the kernel's to refuse. */
static bool copy_in(struct pollfd *copy, struct pollfd *polled, nfds_t count)
{
    const size_t size = count * sizeof(*copy);
    const struct iovec here = {.iov_base = copy, .iov_len = size};
    const struct iovec there = {.iov_base = polled, .iov_len = size};
    return raw6(SYS_process_vm_readv, raw0(SYS_getpid), (long)&here, 1, (long)&there, 1, 0) ==
           (long)size;
}

static bool has_any(struct pollfd *copy, struct pollfd *polled, nfds_t count)
{
    return tombs_may_be() && count > 0 && count <= MOST && copy_in(copy, polled, count) &&
           leave_out(copy, count) > 0;
}

static void copy_out(struct pollfd *polled, const struct pollfd *copy, nfds_t count, int ready)
{
    for (nfds_t i = 0; ready >= 0 && i < count; i++)
        polled[i].revents = copy[i].revents;
}

bool quiet_poll(struct pollfd *polled, nfds_t count, int timeout_ms, int *ready)
{
    struct pollfd copy[MOST];
    if (!has_any(copy, polled, count))
        return false;
    *ready = real.poll(copy, count, timeout_ms);
    copy_out(polled, copy, count, *ready);
    return true;
}

bool quiet_ppoll(struct pollfd *polled, nfds_t count, const struct timespec *timeout,
                 const sigset_t *mask, int *ready)
{
    struct pollfd copy[MOST];
    if (!has_any(copy, polled, count))
        return false;
    *ready = real.ppoll(copy, count, timeout, mask);
    copy_out(polled, copy, count, *ready);
    return true;
}

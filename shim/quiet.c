#define _GNU_SOURCE
#include "quiet.h"

#include <errno.h>
#include <sys/uio.h>

#include "owner.h"
#include "raw.h"
#include "real.h"
#include "slots.h"
#include "tombs.h"

enum {
    MOST = 64,
    /* What a half-closed connection has to say, which a tombstone says as well. */
    ALIKE = POLLIN | POLLRDNORM | POLLRDHUP | POLLOUT | POLLWRNORM,
};

static bool is_left_out(const struct pollfd *polled)
{
    return !(polled->events & ALIKE) && (slot_word(slot_of(polled->fd)) & SLOT_FIN) &&
           tombs_is(polled->fd);
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

/* A bad address is the kernel's to refuse, on the way in and on the way out. */
static bool copy_in(struct pollfd *copy, struct pollfd *polled, nfds_t count)
{
    const size_t size = count * sizeof(*copy);
    const struct iovec here = {.iov_base = copy, .iov_len = size};
    const struct iovec there = {.iov_base = polled, .iov_len = size};
    return raw6(SYS_process_vm_readv, raw0(SYS_getpid), (long)&here, 1, (long)&there, 1, 0) ==
           (long)size;
}

static int copy_out(struct pollfd *polled, struct pollfd *copy, nfds_t count, int ready)
{
    struct iovec here[MOST];
    struct iovec there[MOST];
    if (ready < 0)
        return ready;
    for (nfds_t i = 0; i < count; i++) {
        here[i] = (struct iovec){&copy[i].revents, sizeof(copy[i].revents)};
        there[i] = (struct iovec){&polled[i].revents, sizeof(polled[i].revents)};
    }
    if (raw6(SYS_process_vm_writev, raw0(SYS_getpid), (long)here, (long)count, (long)there,
             (long)count, 0) == (long)(count * sizeof(polled->revents)))
        return ready;
    errno = EFAULT;
    return -1;
}

/* Only the owner of the table knows, and may make system calls of its own (owner_renounce). */
static bool has_any(struct pollfd *copy, struct pollfd *polled, nfds_t count)
{
    return owner_here() && count > 0 && count <= MOST && copy_in(copy, polled, count) &&
           leave_out(copy, count) > 0;
}

bool quiet_poll(struct pollfd *polled, nfds_t count, int timeout_ms, int *ready)
{
    struct pollfd copy[MOST] = {0};
    if (!has_any(copy, polled, count))
        return false;
    *ready = copy_out(polled, copy, count, real.poll(copy, count, timeout_ms));
    return true;
}

bool quiet_ppoll(struct pollfd *polled, nfds_t count, const struct timespec *timeout,
                 const sigset_t *mask, int *ready)
{
    struct pollfd copy[MOST] = {0};
    if (!has_any(copy, polled, count))
        return false;
    *ready = copy_out(polled, copy, count, real.ppoll(copy, count, timeout, mask));
    return true;
}

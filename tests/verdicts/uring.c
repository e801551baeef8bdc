/* Reads by io_uring, for end-uring. */
#include <errno.h>
#include <liburing.h>

#include "end.h"

reader by_io_uring;

ssize_t by_io_uring(char *buf, size_t size)
{
    static struct io_uring ring;
    static int made;
    if (!made && (errno = -io_uring_queue_init(4, &ring, 0)) != 0)
        fail("io_uring");
    made = 1;
    struct io_uring_cqe *done = NULL;
    io_uring_prep_recv(io_uring_get_sqe(&ring), fd, buf, size, 0);
    if ((errno = -io_uring_submit_and_wait(&ring, 1)) > 0 || io_uring_wait_cqe(&ring, &done) != 0)
        fail("io_uring");
    const int n = done->res;
    io_uring_cqe_seen(&ring, done);
    errno = n < 0 ? -n : 0;
    return n < 0 ? -1 : n;
}

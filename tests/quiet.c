/*
 * Which waits a tombstone is left out of, and which not.
 */
#define _GNU_SOURCE
#include "quiet.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "half_closed.h"
#include "kernel.h"
#include "owner.h"
#include "real.h"
#include "reap.h"
#include "slots.h"
#include "support.h"
#include "tombs.h"

static void start(void)
{
    real_resolve();
    cr_assert(owner_init(slots_adopt));
}

TestSuite(quiet, .init = start);

/* A tombstone in the place of a socket in CLOSE_WAIT. */
static int buried(void)
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    const int fd = half_closed(listener, port, 0);
    struct slot *slot = slot_publish(fd, SLOT_LIVE, HOW_CONNECT, 0);
    cr_assert(slot_claim(slot));
    cr_assert_eq(reap_bury(fd, kernel_cookie(fd), REAP_AS_ENDED), 0);
    tombs_note(fd, slot);
    slot_release(slot, SLOT_BURIED, SLOT_FIN);
    close(listener);
    return fd;
}

Test(quiet, leaves_a_tombstone_out_of_a_wait_that_has_no_use_for_it)
{
    static const struct {
        short events;
        bool left_out;
    } rows[] = {{0, true},        {POLLPRI, true},    {POLLIN, false},
                {POLLOUT, false}, {POLLRDHUP, false}, {POLLIN | POLLPRI, false}};
    const int fd = buried();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pollfd polled = {.fd = fd, .events = rows[i].events};
        int ready = -1;
        cr_expect_eq(quiet_poll(&polled, 1, 0, &ready), rows[i].left_out, "row %zu", i);
        cr_expect_eq(ready, rows[i].left_out ? 0 : -1, "row %zu", i);
        cr_expect_eq(polled.fd, fd);
    }
}

/* Closed by a call that no hook saw, and the number is another's. */
Test(quiet, leaves_out_no_number_that_is_no_tombstone_any_more)
{
    int ends[2];
    const int fd = buried();
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(dup2(ends[1], fd), fd);
    close(ends[0]);
    struct pollfd polled = {.fd = fd};
    int ready = -1;
    cr_expect_not(quiet_poll(&polled, 1, 0, &ready));
}

Test(quiet, does_nothing_for_who_does_not_own_the_table)
{
    struct pollfd polled = {.fd = buried()};
    int ready = -1;
    cr_expect(quiet_poll(&polled, 1, 0, &ready));
    owner_renounce();
    cr_expect_not(quiet_poll(&polled, 1, 0, &ready));
}

Test(quiet, says_efault_where_the_answer_cannot_be_written)
{
    struct pollfd *polled =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int ready = 0;
    *polled = (struct pollfd){.fd = buried()};
    cr_assert_eq(mprotect(polled, 4096, PROT_READ), 0);
    cr_expect(quiet_poll(polled, 1, 0, &ready));
    cr_expect(ready == -1 && errno == EFAULT);
}

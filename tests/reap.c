/*
 * Tombstones from within: what may be in the way of one, and what is left behind then.
 */
#define _GNU_SOURCE
#include "reap.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "half_closed.h"
#include "kernel.h"
#include "owner.h"
#include "slots.h"
#include "support.h"

static void start(void)
{
    cr_assert(owner_init(slots_adopt));
}

TestSuite(reap, .init = start);

/* A socket in CLOSE_WAIT. */
static int leaked(void)
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    const int fd = half_closed(listener, port, 0);
    close(listener);
    return fd;
}

static int bury(int fd)
{
    struct slot *slot = slot_publish(fd, SLOT_LIVE, HOW_CONNECT, 0);
    cr_assert(slot_claim(slot));
    const int error = reap_bury(fd, kernel_cookie(fd), REAP_AS_ENDED);
    slot_release(slot, error ? SLOT_LIVE : SLOT_BURIED, 0);
    return error;
}

/* The number that the next descriptor gets. */
static int lowest_free(void)
{
    const int fd = dup(0);
    cr_assert_geq(fd, 0);
    close(fd);
    return fd;
}

Test(reap, buries_the_socket_that_was_judged_and_no_other)
{
    const int fd = leaked();
    struct slot *slot = slot_publish(fd, SLOT_LIVE, HOW_CONNECT, 0);
    cr_assert(slot_claim(slot));
    cr_expect_eq(reap_bury(fd, kernel_cookie(fd) + 1, REAP_AS_ENDED), ESTALE);
    slot_release(slot, SLOT_LIVE, 0);
    cr_expect(is_hung_up(&fd));
    cr_expect_eq(bury(fd), 0);
    char c;
    cr_expect_eq(read(fd, &c, 1), 0);
    cr_expect_eq(reap_strays(), 0);
}

Test(reap, of_a_reset_socket_reads_the_reset_once)
{
    const int families[] = {AF_INET, AF_INET6};
    for (size_t i = 0; i < 2; i++) {
        in_port_t port = 0;
        const int listener = peer_listen(families[i], &port);
        const int fd = dial(families[i], port);
        struct slot *slot = slot_publish(fd, SLOT_LIVE, HOW_CONNECT, 0);
        char c;
        cr_assert(slot_claim(slot));
        cr_expect_eq(reap_bury(fd, kernel_cookie(fd), REAP_AS_RESET), 0);
        slot_release(slot, SLOT_BURIED, 0);
        cr_expect_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
        cr_expect(read(fd, &c, 1) == -1 && errno == ECONNRESET);
        cr_expect_eq(read(fd, &c, 1), 0);
        cr_expect(send(fd, "", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
        close(fd);
        close(listener);
    }
}

Test(reap, waits_for_nobody_who_forks)
{
    const int fd = leaked();
    reap_pause();
    cr_expect_eq(bury(fd), EAGAIN);
    reap_resume();
    cr_expect_eq(bury(fd), 0);
}

/* Two threads forked at once: the child of one has the other's count, and nobody to lower it. */
Test(reap, goes_on_in_a_child_whose_parent_was_forking_twice)
{
    int status = -1;
    reap_pause();
    reap_pause();
    const pid_t pid = fork();
    if (pid == 0) {
        reap_resume();
        reap_adopt();
        _exit(bury(leaked()) != 0);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_expect_eq(status, 0);
    reap_resume();
    reap_resume();
    cr_expect_eq(bury(leaked()), 0);
}

/* The hooks of fork and those of adoption come in either order. */
Test(reap, is_not_confused_by_a_fork_that_is_over_twice)
{
    reap_resume();
    reap_pause();
    cr_expect_eq(bury(leaked()), EAGAIN);
    reap_resume();
    cr_expect_eq(bury(leaked()), 0);
}

Test(reap, leaves_a_number_that_a_call_departs_from_to_that_call_and_tidies_later)
{
    const int fd = leaked();
    const int number = lowest_free();
    slot_depart(number);
    cr_expect_eq(bury(fd), EAGAIN);
    cr_expect_eq(reap_strays(), 1);
    cr_expect_geq(fcntl(number, F_GETFD), 0);
    cr_expect_eq(bury(fd), EAGAIN, "there is one behind already");
    cr_expect_eq(reap_strays(), 1);
    slot_departed(number);
    reap_tidy();
    cr_expect_eq(reap_strays(), 0);
    cr_expect_eq(fcntl(number, F_GETFD), -1);
    cr_expect_eq(bury(fd), 0);
}

/* What the program puts there meanwhile is the program's. */
Test(reap, forgets_a_stray_that_was_replaced)
{
    const int fd = leaked();
    const int number = lowest_free();
    slot_depart(number);
    cr_expect_eq(bury(fd), EAGAIN);
    cr_assert_eq(dup2(0, number), number);
    slot_departed(number);
    reap_tidy();
    cr_expect_eq(reap_strays(), 0);
    cr_expect_geq(fcntl(number, F_GETFD), 0);
}

Test(reap, leaves_the_standard_numbers_free_also_when_a_call_departs_from_one)
{
    const int fds[] = {leaked(), leaked()};
    const int kept[] = {dup(1), dup(2)};
    close(1);
    close(2);
    const int first = bury(fds[0]);
    const bool left = fcntl(1, F_GETFD) == -1 && fcntl(2, F_GETFD) == -1;
    slot_depart(2);
    const int second = bury(fds[1]);
    const int strays = reap_strays();
    slot_departed(2);
    reap_tidy();
    const bool tidied = fcntl(1, F_GETFD) == -1 && fcntl(2, F_GETFD) == -1;
    dup2(kept[0], 1);
    dup2(kept[1], 2);
    cr_expect_eq(first, 0);
    cr_expect(left);
    cr_expect_eq(second, 0);
    cr_expect_eq(strays, 1);
    cr_expect_eq(reap_strays(), 0);
    cr_expect(tidied);
}

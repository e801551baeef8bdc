/*
 * The table of slots: which call moves a slot where, and who waits for whom.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel.h"
#include "owner.h"
#include "slots.h"
#include "support.h"
#include "track.h"

enum { FD = 5000 }; /* a number that is no descriptor: the table does not care */

static void start(void)
{
    cr_assert(owner_init(slots_adopt));
    track_start(false, 10000);
}

TestSuite(slots, .init = start);

static enum slot_state state_of(int fd)
{
    struct slot *slot = slot_of(fd);
    return slot ? slot_state(atomic_load(&slot->word)) : SLOT_FREE;
}

/* A close that never comes back. */
static void depart(int fd)
{
    struct departure left;
    track_leave(fd, &left);
}

static void replace(int from, int fd, bool gone)
{
    struct departure left;
    track_replace(from, fd, &left);
    track_left(&left, gone);
}

static bool connect_to(int fd, sa_family_t family)
{
    const struct sockaddr addr = {.sa_family = family};
    return track_connect(fd, &addr, 0, CALLER_HERE);
}

static void make_live(int fd)
{
    track_socket(fd, AF_INET, SOCK_STREAM, 0);
    cr_assert(connect_to(fd, AF_INET));
    cr_assert_eq(state_of(fd), SLOT_LIVE);
}

/* A datagram socket is dissolved, too (connect(2)). */
Test(slots, are_not_made_by_a_connect_that_dissolves_what_is_no_connection)
{
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    cr_expect_not(connect_to(fd, AF_UNSPEC));
    cr_expect_eq(state_of(fd), SLOT_FREE);
    close(fd);
}

Test(slots, are_made_by_tcp_sockets_only)
{
    static const struct {
        int domain;
        int type;
        int protocol;
        enum slot_state state;
    } rows[] = {
        {AF_INET, SOCK_STREAM, 0, SLOT_MADE},
        {AF_INET6, SOCK_STREAM, IPPROTO_TCP, SLOT_MADE},
        {AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, SLOT_MADE},
        {AF_INET, SOCK_DGRAM, 0, SLOT_FREE},
        {AF_UNIX, SOCK_STREAM, 0, SLOT_FREE},
        {AF_INET, SOCK_STREAM, IPPROTO_SCTP, SLOT_FREE},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        track_socket(FD, rows[i].domain, rows[i].type, rows[i].protocol);
        cr_expect_eq(state_of(FD), rows[i].state, "row %zu", i);
        depart(FD);
    }
}

Test(slots, go_from_made_to_live_to_free)
{
    make_live(FD);
    cr_expect_eq(slot_how(atomic_load(&slot_of(FD)->word)), HOW_CONNECT);
    depart(FD);
    cr_expect_eq(state_of(FD), SLOT_FREE);
}

Test(slots, stay_made_when_connect_fails)
{
    const struct sockaddr addr = {.sa_family = AF_INET};
    track_socket(FD, AF_INET, SOCK_STREAM, 0);
    errno = ECONNREFUSED;
    cr_expect_not(track_connect(FD, &addr, -1, CALLER_HERE));
    cr_expect_eq(state_of(FD), SLOT_MADE);
    errno = EINPROGRESS;
    cr_expect(track_connect(FD, &addr, -1, CALLER_HERE));
    cr_expect_eq(state_of(FD), SLOT_LIVE);
    cr_expect_eq(errno, EINPROGRESS);
}

Test(slots, are_made_again_by_a_connect_that_dissolves)
{
    make_live(FD);
    cr_expect_not(connect_to(FD, AF_UNSPEC));
    cr_expect_eq(state_of(FD), SLOT_MADE);
}

Test(slots, of_a_listener_answer_for_what_it_accepts)
{
    track_socket(FD, AF_INET, SOCK_STREAM, 0);
    cr_expect(track_accept(FD, FD + 1, CALLER_HERE));
    cr_expect_eq(state_of(FD + 1), SLOT_LIVE);
    cr_expect_eq(slot_how(atomic_load(&slot_of(FD + 1)->word)), HOW_ACCEPT);
    cr_expect_not(track_accept(FD, -1, CALLER_HERE));
}

Test(slots, of_a_listener_are_claimed_as_such_and_stay_made)
{
    track_socket(FD, AF_INET, SOCK_STREAM, 0);
    struct slot *slot = slot_of(FD);
    cr_expect_not(slot_claim_listener(slot), "it does not listen");
    cr_expect(track_listen(FD, 0, CALLER_HERE));
    cr_expect_not(slot_claim(slot), "it is no connection");
    cr_assert(slot_claim_listener(slot));
    cr_expect_eq(slot_unclaimed(atomic_load(&slot->word)), SLOT_MADE);
    cr_expect(track_copy(FD, FD + 1));
    slot_release(slot, SLOT_MADE, 0);
    cr_expect_eq(atomic_load(&slot->word), SLOT_MADE | SLOT_LISTENS);
    cr_expect_eq(atomic_load(&slot_of(FD + 1)->word), SLOT_MADE | SLOT_LISTENS);
    depart(FD);
    cr_expect_eq(atomic_load(&slot->word), SLOT_FREE);
}

Test(slots, of_a_listener_know_that_somebody_accepted)
{
    track_socket(FD, AF_INET, SOCK_STREAM, 0);
    cr_assert(track_listen(FD, 0, CALLER_HERE));
    atomic_store(&slot_of(FD)->gone_cs, 5);
    cr_expect(track_listen(FD, 0, CALLER_HERE), "another backlog");
    cr_expect_eq(atomic_load(&slot_of(FD)->gone_cs), 5);
    cr_expect_not(track_accept(FD, -1, CALLER_HERE));
    cr_expect_eq(atomic_load(&slot_of(FD)->gone_cs), 5);
    cr_expect(track_accept(FD, FD + 1, CALLER_HERE));
    cr_expect_eq(atomic_load(&slot_of(FD)->gone_cs), 0);
}

Test(slots, forget_a_close_that_nobody_saw_when_the_number_comes_again)
{
    make_live(FD);
    track_eof(FD, 0, CALLER_HERE);
    track_socket(FD, AF_INET, SOCK_STREAM, 0);
    cr_expect_eq(atomic_load(&slot_of(FD)->word), SLOT_MADE);
    make_live(FD);
    track_socket(FD, AF_INET, SOCK_DGRAM, 0);
    cr_expect_eq(state_of(FD), SLOT_FREE);
}

Test(slots, carry_what_they_know_to_a_duplicate)
{
    make_live(FD);
    track_eof(FD, 0, CALLER_HERE);
    cr_expect(track_copy(FD, FD + 1));
    const uint32_t word = atomic_load(&slot_of(FD + 1)->word);
    cr_expect_eq(slot_state(word), SLOT_LIVE);
    cr_expect(word & SLOT_EOF_READ);
    cr_expect(word & SLOT_COPIED);
    cr_expect(atomic_load(&slot_of(FD)->word) & SLOT_COPIED);
    cr_expect_not(track_copy(FD, FD));
    cr_expect_not(track_copy(FD + 9, FD + 2), "nothing is known of the original");
}

Test(slots, are_claimed_only_when_live_and_by_one)
{
    track_socket(FD, AF_INET, SOCK_STREAM, 0);
    struct slot *slot = slot_of(FD);
    cr_expect_not(slot_claim(slot));
    cr_assert(connect_to(FD, AF_INET));
    cr_expect(slot_claim(slot));
    cr_expect_not(slot_claim(slot));
    slot_release(slot, SLOT_BURIED, SLOT_TOLD);
    cr_expect_not(slot_claim(slot));
    depart(FD);
    cr_expect_eq(atomic_load(&slot->word), SLOT_FREE);
}

Test(slots, keep_a_hint_that_comes_while_they_are_claimed)
{
    make_live(FD);
    cr_assert(slot_claim(slot_of(FD)));
    track_eof(FD, 0, CALLER_HERE);
    slot_release(slot_of(FD), SLOT_LIVE, 0);
    cr_expect(atomic_load(&slot_of(FD)->word) & SLOT_EOF_READ);
}

static _Atomic bool gone;

static void *leave(void *unused)
{
    depart(FD);
    atomic_store(&gone, true);
    return unused;
}

static bool is_awaited(const void *slot)
{
    return atomic_load(&((const struct slot *)slot)->word) & SLOT_AWAITED;
}

Test(slots, make_a_close_wait_until_the_claim_is_released)
{
    make_live(FD);
    struct slot *slot = slot_of(FD);
    cr_assert(slot_claim(slot));
    pthread_t closer;
    cr_assert_eq(pthread_create(&closer, NULL, leave, NULL), 0);
    cr_expect(eventually(is_awaited, slot));
    cr_expect_not(atomic_load(&gone));
    slot_release(slot, SLOT_LIVE, 0);
    cr_assert_eq(pthread_join(closer, NULL), 0);
    cr_expect_eq(state_of(FD), SLOT_FREE);
}

/* Whoever holds a claim, nothing is put on a number while a call may be about to change it. */
Test(slots, are_not_steady_while_a_call_departs_from_them)
{
    enum { OTHER = FD + 1, SAME_CLASS = FD + 64 };
    make_live(FD);
    make_live(OTHER);
    cr_expect(slot_is_steady(FD));
    struct departure left;
    track_leave(FD, &left);
    track_socket(FD, AF_INET, SOCK_STREAM, 0); /* another thread's, of the number just closed */
    cr_expect(connect_to(FD, AF_INET));
    cr_expect_not(slot_is_steady(FD), "the first close may not have reached the kernel");
    cr_expect_not(slot_is_steady(SAME_CLASS));
    cr_expect(slot_is_steady(OTHER));
    track_left(&left, true);
    cr_expect(slot_is_steady(FD));
    cr_assert(track_leave_range(3, ~0U, 0));
    cr_expect_not(slot_is_steady(OTHER));
    track_left_range(true);
    cr_expect(slot_is_steady(OTHER));
    track_left(&left, true);
    cr_expect(slot_is_steady(FD), "a count never falls below nothing");
}

/* dup2(-1, fd) fails, and fd is the socket that it was. */
Test(slots, are_what_they_were_after_a_call_that_failed)
{
    make_live(FD);
    track_eof(FD, 0, CALLER_HERE);
    replace(-1, FD, false);
    cr_expect_eq(state_of(FD), SLOT_LIVE);
    cr_expect_not(slot_word(slot_of(FD)) & SLOT_EOF_READ, "which socket it was is not known");
    const int known = socket(AF_INET, SOCK_STREAM, 0);
    make_live(known);
    atomic_store(&slot_of(known)->cookie, (uint32_t)kernel_cookie(known));
    track_eof(known, 0, CALLER_HERE);
    replace(-1, known, false);
    cr_expect(slot_word(slot_of(known)) & SLOT_EOF_READ);
    atomic_fetch_add(&slot_of(known)->cookie, 1);
    replace(-1, known, false);
    cr_expect_not(slot_word(slot_of(known)) & SLOT_EOF_READ, "another socket");
    replace(FD, FD, true);
    cr_expect_eq(state_of(FD), SLOT_LIVE);
    cr_expect_not(track_leave_range(FD, FD - 1, 0));
    cr_expect_not(track_leave_range(FD, FD, ~0U));
    cr_expect_eq(state_of(FD), SLOT_LIVE);
    cr_expect(slot_is_steady(FD));
}

Test(slots, know_every_number_that_the_kernel_gives)
{
    static const int fds[] = {0, 16383, 16384, 1048575, (1 << 30) - 1};
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        make_live(fds[i]);
        cr_expect_eq(slots_next(fds[i]), fds[i]);
        depart(fds[i]);
    }
    cr_expect_eq(slots_next(0), -1);
    cr_expect_null(slot_of(-1));
    cr_expect_null(slot_of(1 << 30));
    depart(-1);
    track_socket(-1, AF_INET, SOCK_STREAM, 0);
}

Test(slots, are_adopted_by_a_forked_child_with_their_claims_freed)
{
    make_live(FD);
    cr_assert(slot_claim(slot_of(FD)));
    const pid_t pid = fork();
    if (pid == 0) {
        const bool mine = owner_here();
        const uint32_t word = atomic_load(&slot_of(FD)->word);
        depart(FD); /* would wait for ever on a claim of the parent's */
        _exit(mine && slot_state(word) == SLOT_LIVE && slot_how(word) == HOW_INHERITED ? 0 : 1);
    }
    int status = 1;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_expect_eq(status, 0);
    cr_expect_eq(state_of(FD), SLOT_CLAIMED, "the parent's table is its own");
}

Test(slots, are_not_touched_by_a_vfork_child)
{
    make_live(FD);
    owner_lends();
    const pid_t pid = vfork();
    if (pid == 0) {
        depart(FD);
        _exit(0);
    }
    cr_assert_eq(waitpid(pid, NULL, 0), pid);
    cr_expect_eq(state_of(FD), SLOT_LIVE);
}

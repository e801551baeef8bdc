/*
 * Tombstones from within: which of them are given back, and which never.
 */
#define _GNU_SOURCE
#include "tombs.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "record.h"

enum { MANY = 100 };

static int fds[MANY];

/* A socket with a slot that says that it was buried so long ago. */
static int buried(uint32_t age_cs)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct slot *slot = slot_publish(fd, SLOT_LIVE, HOW_CONNECT, 0);
    cr_assert(slot_claim(slot));
    tombs_note(fd, slot);
    slot->due_cs = clock_cs(clock_ms()) - age_cs;
    slot_release(slot, SLOT_BURIED, SLOT_TOLD);
    return fd;
}

/* Between the note and the release of its slot. */
Test(tombs, may_be_there_while_one_is_being_made)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct slot *slot = slot_publish(fd, SLOT_LIVE, HOW_CONNECT, 0);
    cr_expect_not(tombs_may_be());
    cr_assert(slot_claim(slot));
    tombs_note(fd, slot);
    cr_expect_eq(tombs_count().tombstones, 0);
    cr_expect(tombs_may_be());
    slot_release(slot, SLOT_BURIED, SLOT_TOLD);
    cr_expect(tombs_is(fd));
    close(fd);
    slot_vacate(slot);
    cr_expect_eq(tombs_count().tombstones, 0);
    cr_expect_not(tombs_may_be());
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* In no order that numbers have. */
static uint32_t age_of(int i)
{
    return (uint32_t)(i * 37 % MANY) * 10;
}

static void bury_many(void)
{
    for (int i = 0; i < MANY; i++)
        fds[i] = buried(age_of(i));
}

Test(tombs, are_given_back_in_the_order_of_their_burial)
{
    static const int given[] = {1, 10, 63, 64, 65, MANY};
    for (size_t row = 0; row < sizeof(given) / sizeof(given[0]); row++) {
        struct fds first = {0};
        bury_many();
        cr_expect_eq(tombs_count().tombstones, MANY);
        cr_expect_eq(tombs_give_back(given[row], &first), given[row]);
        for (int i = 0; i < MANY; i++) {
            const bool kept = age_of(i) < (uint32_t)(MANY - given[row]) * 10;
            cr_expect_eq(is_open(fds[i]), kept, "%d of age %u", i, age_of(i));
            if (kept)
                close(fds[i]);
            cr_expect_eq(slot_state(slot_vacate(slot_of(fds[i]))), kept ? SLOT_BURIED : SLOT_FREE);
        }
        cr_expect_eq(first.count, given[row] < 8 ? given[row] : 8);
    }
}

Test(tombs, are_no_more_than_there_are)
{
    struct fds first = {0};
    bury_many();
    cr_expect_eq(tombs_give_back(MANY + 1, &first), MANY);
    cr_expect_eq(tombs_count().tombstones, 0);
    cr_expect_not(tombs_may_be());
    cr_expect_eq(tombs_give_back(1, &first), 0);
}

/* The program's own shut socket looks like one: what this process has not buried, it never frees.
 */
Test(tombs, are_only_those_that_this_process_has_made)
{
    struct fds first = {0};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    shutdown(fd, SHUT_RDWR);
    struct slot *slot = slot_publish(fd, SLOT_LIVE, HOW_INHERITED, 0);
    cr_assert(slot_claim(slot));
    tombs_note(fd, slot);
    slot_release(slot, SLOT_BURIED, SLOT_QUIET);
    cr_expect_eq(tombs_count().tombstones, 0);
    cr_expect_eq(tombs_give_back(1, &first), 0);
    cr_expect(is_open(fd));
    cr_expect(tombs_may_be());
}

/* A close that no hook saw, and a file that got the number. */
Test(tombs, are_not_what_has_their_number_by_now)
{
    struct fds first = {0};
    const int fd = buried(0);
    const int other = open("/dev/null", O_RDONLY | O_CLOEXEC);
    cr_assert_eq(dup3(other, fd, O_CLOEXEC), fd);
    cr_expect_eq(tombs_give_back(1, &first), 0);
    cr_expect(is_open(fd));
    cr_expect_eq(slot_state(slot_word(slot_of(fd))), SLOT_FREE);
}

Test(tombs, wait_for_a_call_that_is_under_way_on_their_number)
{
    struct fds first = {0};
    const int fd = buried(0);
    slot_depart(fd + 64, slot_of(fd + 64)); /* of the same class */
    cr_expect_eq(tombs_give_back(1, &first), 0);
    cr_expect(is_open(fd));
    cr_expect_eq(slot_state(slot_word(slot_of(fd))), SLOT_BURIED);
    slot_departed(fd + 64);
    cr_expect_eq(tombs_give_back(1, &first), 1);
    cr_expect_not(is_open(fd));
}

/*
 * A look tells a socket from another that has its number by now.
 */
#include "look.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "half_closed.h"
#include "owner.h"
#include "support.h"

Test(look, takes_no_other_socket_for_the_one_of_its_slot_however_often_it_looks)
{
    in_port_t port = 0;
    const struct options options = {.action = ACTION_CLOSE, .grace_ms = 1};
    struct look look;
    cr_assert(owner_init(slots_adopt));
    const int listener = peer_listen(AF_INET, &port);
    const int fd = half_closed(listener, port, 0);
    const int other = half_closed(listener, port, 0);
    struct slot *slot = slot_publish(fd, SLOT_LIVE, HOW_CONNECT, 0);
    cr_assert(slot_claim(slot));
    cr_expect(look_at(fd, slot, &options, &look));
    cr_assert_eq(dup2(other, fd), fd);
    cr_expect_not(look_at(fd, slot, &options, &look));
    cr_expect_not(look_at(fd, slot, &options, &look));
    cr_expect_not(look_at_wanted(fd, slot, &options, &look));
    slot_release(slot, SLOT_FREE, 0);
}

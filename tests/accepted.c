/*
 * Which sockets a server accepted, when the kernel does not tell.
 */
#include <criterion/criterion.h>
#include <netinet/tcp.h>

#include "../cli/accepted.h"

enum { SERVICE = 8080, BOUND = 10001, PICKED = 40000, OTHER_PICKED = 50000, MANY = 230 };

static struct tcp_socket from_to(uint16_t own, uint16_t peer)
{
    return (struct tcp_socket){
        .state = TCP_CLOSE_WAIT,
        .local = {.port = own},
        .peer = {.port = peer},
        .local_picked = own >= PICKED,
        .peer_picked = peer >= PICKED,
    };
}

Test(accepted, is_a_socket_for_which_a_listener_or_two_of_three_signs_speak)
{
    static const struct {
        const char *name;
        uint16_t own, peer;
        uint8_t other_state; /* of another socket with the same own port; 0: there is none */
        bool accepted;
    } rows[] = {
        {"a client's", PICKED, SERVICE, 0, false},
        {"a client's that shares its port", PICKED, SERVICE, TCP_ESTABLISHED, false},
        {"a client's from a bound port", BOUND, SERVICE, 0, false},
        {"the same again, after TIME_WAIT", BOUND, SERVICE, TCP_TIME_WAIT, false},
        {"a client's of a service on any port", PICKED, OTHER_PICKED, 0, false},
        {"a server's", SERVICE, PICKED, TCP_LISTEN, true},
        {"a server's on any port", PICKED, OTHER_PICKED, TCP_LISTEN, true},
        {"a server's whose listener closed", SERVICE, PICKED, 0, true},
        {"one of many of such a server", SERVICE, PICKED, TCP_ESTABLISHED, true},
        {"one of many of it, through NAT", SERVICE, BOUND, TCP_CLOSE_WAIT, true},
        {"one of many of such a server on any port", PICKED, OTHER_PICKED, TCP_CLOSE_WAIT, true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tcp_socket both[] = {from_to(rows[i].own, rows[i].peer), from_to(rows[i].own, 1)};
        both[1].state = rows[i].other_state;
        struct sockets sockets = {both, rows[i].other_state ? 2 : 1};
        accepted_find(&sockets);
        cr_expect_eq(both[0].accepted, rows[i].accepted, "%s", rows[i].name);
    }
}

Test(accepted, asks_in_its_own_network_alone)
{
    struct tcp_socket all[] = {from_to(BOUND, SERVICE), from_to(BOUND, SERVICE),
                               from_to(BOUND, SERVICE)};
    struct sockets sockets = {all, 3};
    all[0].netns = 1;
    all[1].netns = 2;
    all[1].state = TCP_LISTEN;
    all[2].netns = 3;
    accepted_find(&sockets);
    cr_expect_not(all[0].accepted);
    cr_expect_not(all[2].accepted);
    accepted_find(&(struct sockets){0});
}

Test(accepted, are_all_connections_of_a_server_that_drains)
{
    struct tcp_socket all[MANY];
    struct sockets sockets = {all, MANY};
    for (int i = 0; i < MANY; i++)
        all[i] = from_to(PICKED, (uint16_t)(OTHER_PICKED + i));
    accepted_find(&sockets);
    for (size_t i = 0; i < MANY; i++)
        cr_expect(all[i].accepted, "%zu", i);
}

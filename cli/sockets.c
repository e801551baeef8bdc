#define _GNU_SOURCE
#include "sockets.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "tcp_times.h"

/* A dump's messages are never longer than this (NLMSG_GOODSIZE and netlink_dump in the kernel). */
enum { ANSWER_SIZE = 32 * 1024 };

const uint32_t sockets_half_closed = 1 << TCP_CLOSE_WAIT | 1 << TCP_LISTEN;
const uint32_t sockets_all = UINT32_MAX;

/* The ports that the kernel picks from, of the network namespace that the thread is in. */
struct picked {
    unsigned first;
    unsigned last;
};

struct dump {
    struct sockets *sockets;
    uint64_t netns;
    uint32_t states;
    struct picked picked;
};

/* Where /proc does not say, as it is unless somebody changes it (ip(7)). */
static struct picked read_picked(void)
{
    struct picked picked = {32768, 60999};
    char line[64] = "";
    char *rest;
    FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
    if (!file)
        return picked;
    if (fgets(line, sizeof(line), file)) {
        picked.first = (unsigned)strtoul(line, &rest, 10);
        picked.last = (unsigned)strtoul(rest, NULL, 10);
    }
    fclose(file);
    return picked;
}

static bool is_picked(const struct picked *picked, uint16_t port)
{
    return port >= picked->first && port <= picked->last;
}

static struct endpoint endpoint_from(const struct inet_diag_msg *msg, uint16_t port,
                                     const uint32_t *ip)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = port};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = port};
    memcpy(&in.sin_addr, ip, sizeof(in.sin_addr));
    memcpy(&in6.sin6_addr, ip, sizeof(in6.sin6_addr));
    /* The interface is a part of link-local addresses alone; others can be bound to one too. */
    if (IN6_IS_ADDR_LINKLOCAL(&in6.sin6_addr))
        in6.sin6_scope_id = msg->id.idiag_if;
    return msg->idiag_family == AF_INET ? endpoint_of((const struct sockaddr *)&in, sizeof(in))
                                        : endpoint_of((const struct sockaddr *)&in6, sizeof(in6));
}

static int copy_times(const struct nlattr *attr, void *argument)
{
    if (mnl_attr_get_type(attr) == INET_DIAG_INFO)
        *(struct tcp_times *)argument =
            tcp_times_of(mnl_attr_get_payload(attr), mnl_attr_get_payload_len(attr));
    return MNL_CB_OK;
}

static void add_times(const struct nlmsghdr *header, struct tcp_socket *socket)
{
    struct tcp_times times = {0};
    mnl_attr_parse(header, sizeof(struct inet_diag_msg), copy_times, &times);
    socket->age_ms = times.heard_ms;
    socket->sent_ms = times.sent_ms;
}

static int add_socket(const struct nlmsghdr *header, void *argument)
{
    const struct dump *dump = argument;
    if (mnl_nlmsg_get_payload_len(header) < sizeof(struct inet_diag_msg))
        return MNL_CB_OK;
    const struct inet_diag_msg *msg = mnl_nlmsg_get_payload(header);
    struct tcp_socket socket = {
        .local = endpoint_from(msg, msg->id.idiag_sport, msg->id.idiag_src),
        .peer = endpoint_from(msg, msg->id.idiag_dport, msg->id.idiag_dst),
        .cookie = (uint64_t)msg->id.idiag_cookie[1] << 32 | msg->id.idiag_cookie[0],
        .netns = dump->netns,
        .inode = msg->idiag_inode,
        .uid = msg->idiag_uid,
        .interface = msg->id.idiag_if,
        .state = msg->idiag_state,
        .family = msg->idiag_family,
        .local_picked = is_picked(&dump->picked, ntohs(msg->id.idiag_sport)),
        .peer_picked = is_picked(&dump->picked, ntohs(msg->id.idiag_dport)),
    };
    if (msg->idiag_state == TCP_LISTEN) {
        socket.waiting = msg->idiag_rqueue;
        socket.backlog = msg->idiag_wqueue;
    } else {
        /* The FIN has a sequence number, and counts as a byte until it is read (tcp_inq). */
        socket.unread_bytes = msg->idiag_rqueue > 0 ? msg->idiag_rqueue - 1 : 0;
        socket.eof_read = msg->idiag_rqueue == 0;
        socket.unsent_bytes = msg->idiag_wqueue;
        add_times(header, &socket);
    }
    struct sockets *sockets = dump->sockets;
    sockets->at = array_grow(sockets->at, sockets->count, sizeof(*sockets->at));
    sockets->at[sockets->count++] = socket;
    return MNL_CB_OK;
}

static bool ask(const struct mnl_socket *netlink, uint8_t family, unsigned sequence,
                uint32_t states)
{
    _Alignas(struct nlmsghdr) char buffer[256] = {0};
    struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
    header->nlmsg_type = SOCK_DIAG_BY_FAMILY;
    header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    header->nlmsg_seq = sequence;
    struct inet_diag_req_v2 *request = mnl_nlmsg_put_extra_header(header, sizeof(*request));
    request->sdiag_family = family;
    request->sdiag_protocol = IPPROTO_TCP;
    request->idiag_ext = 1 << (INET_DIAG_INFO - 1);
    request->idiag_states = states;
    return mnl_socket_sendto(netlink, header, header->nlmsg_len) == (ssize_t)header->nlmsg_len;
}

static bool dump_family(const struct mnl_socket *netlink, uint8_t family, unsigned sequence,
                        struct dump *dump)
{
    if (!ask(netlink, family, sequence, dump->states))
        return false;
    static _Alignas(struct nlmsghdr) char answer[ANSWER_SIZE];
    int going_on = MNL_CB_OK;
    while (going_on == MNL_CB_OK) {
        const ssize_t len = mnl_socket_recvfrom(netlink, answer, sizeof(answer));
        if (len < 0)
            return false;
        going_on = mnl_cb_run(answer, (size_t)len, sequence, mnl_socket_get_portid(netlink),
                              add_socket, dump);
    }
    return going_on != MNL_CB_ERROR;
}

static bool dump_families(const struct mnl_socket *netlink, struct dump *dump)
{
    return dump_family(netlink, AF_INET, 1, dump) && dump_family(netlink, AF_INET6, 2, dump);
}

bool sockets_add(struct sockets *sockets, uint64_t netns, uint32_t states, char *why,
                 size_t why_size)
{
    struct mnl_socket *netlink = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
    if (!netlink) {
        snprintf(why, why_size,
                 "cannot ask the kernel for its sockets (NETLINK_SOCK_DIAG): %s: look whether a "
                 "sandbox forbids it",
                 strerror(errno));
        return false;
    }
    struct dump dump = {
        .sockets = sockets, .netns = netns, .states = states, .picked = read_picked()};
    const bool complete =
        mnl_socket_bind(netlink, 0, MNL_SOCKET_AUTOPID) == 0 && dump_families(netlink, &dump);
    const int error = errno;
    mnl_socket_close(netlink);
    if (!complete)
        snprintf(why, why_size, "the kernel does not list its TCP sockets: %s: %s", strerror(error),
                 error == ENOENT ? "load its module, with modprobe tcp_diag"
                                 : "try again, and see whether ss -tan works");
    return complete;
}

/* Whether connections of that kind come into the listener's queue, and the better, the greater. */
static int affinity(const struct tcp_socket *listener, const struct tcp_socket *waiting)
{
    if (listener->state != TCP_LISTEN || listener->netns != waiting->netns ||
        listener->family != waiting->family || listener->local.port != waiting->local.port)
        return 0;
    if (listener->interface && listener->interface != waiting->interface)
        return 0;
    const bool same = endpoint_equal(&listener->local, &waiting->local);
    if (!same && !endpoint_is_any(&listener->local))
        return 0;
    return 1 + (listener->interface ? 1 : 0) + (same ? 2 : 0) + (listener->waiting > 0 ? 4 : 0);
}

static void find_listener(const struct sockets *sockets, struct tcp_socket *waiting)
{
    int best = 1;
    for (size_t i = 0; i < sockets->count; i++) {
        struct tcp_socket *listener = &sockets->at[i];
        const int affine = affinity(listener, waiting);
        if (affine < best || affine == 0)
            continue;
        waiting->listeners = affine > best ? 1 : waiting->listeners + 1;
        const bool has_room = listener->waiting > listener->hung_up;
        const bool had_room =
            waiting->listener && waiting->listener->waiting > waiting->listener->hung_up;
        if (affine > best || !waiting->listener || (has_room && !had_room))
            waiting->listener = listener;
        best = affine;
    }
}

void sockets_find_listeners(struct sockets *sockets)
{
    for (size_t i = 0; i < sockets->count; i++) {
        struct tcp_socket *waiting = &sockets->at[i];
        if (waiting->state != TCP_CLOSE_WAIT || waiting->inode != 0)
            continue;
        find_listener(sockets, waiting);
        struct tcp_socket *listener = waiting->listener;
        if (!listener)
            continue;
        listener->hung_up++;
        if (waiting->age_ms > listener->oldest_ms)
            listener->oldest_ms = waiting->age_ms;
    }
}

#define _GNU_SOURCE
#include "diag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel.h"
#include "proc.h"
#include "raw.h"

struct request {
    struct nlmsghdr header;
    struct inet_diag_req_v2 body;
};

/* NLMSG_GOODSIZE never exceeds 8 KiB (include/linux/netlink.h): no answer is longer. */
enum { ANSWER_SIZE = 8192, INODE_NONE = 0 };

static struct request request_for(uint8_t family, uint16_t flags)
{
    struct request request = {
        .header = {.nlmsg_len = sizeof(request),
                   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                   .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags)},
        .body = {.sdiag_family = family, .sdiag_protocol = IPPROTO_TCP, .idiag_states = UINT32_MAX},
    };
    request.body.id.idiag_cookie[0] = INET_DIAG_NOCOOKIE;
    request.body.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
    return request;
}

/* The netlink socket, with the request sent on it; negative when the kernel will not talk. */
static int ask(const struct request *request)
{
    const long fd = raw3(SYS_socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (fd < 0)
        return -1;
    /* Not bounded by us otherwise: a kernel that does not answer must not keep the watcher. */
    const struct timeval patience = {.tv_sec = 1};
    raw5(SYS_setsockopt, fd, SOL_SOCKET, SO_RCVTIMEO, (long)&patience, sizeof(patience));
    if (raw6(SYS_sendto, fd, (long)request, sizeof(*request), 0, 0, 0) == sizeof(*request))
        return (int)fd;
    raw1(SYS_close, fd);
    return -1;
}

uint64_t diag_cookie(const struct inet_diag_msg *msg)
{
    return (uint64_t)msg->id.idiag_cookie[1] << 32 | msg->id.idiag_cookie[0];
}

enum fate diag_fate(const struct endpoint *local, const struct endpoint *peer, uint64_t cookie,
                    uint64_t netns)
{
    if (!peer->family)
        return FATE_UNKNOWN;
    struct request request = request_for((uint8_t)local->family, 0);
    request.body.id.idiag_sport = htons(local->port);
    request.body.id.idiag_dport = htons(peer->port);
    memcpy(request.body.id.idiag_src, local->ip, sizeof(local->ip));
    memcpy(request.body.id.idiag_dst, peer->ip, sizeof(peer->ip));
    request.body.id.idiag_if = local->scope;
    const int fd = ask(&request);
    if (fd < 0)
        return FATE_UNKNOWN;

    _Alignas(struct nlmsghdr) char answer[ANSWER_SIZE] = {0};
    const long len = raw6(SYS_recvfrom, fd, (long)answer, sizeof(answer), 0, 0, 0);
    const bool elsewhere = kernel_netns(fd) != netns;
    raw1(SYS_close, fd);
    const struct nlmsghdr *header = (const struct nlmsghdr *)answer;
    if (elsewhere || len < 0 || !NLMSG_OK(header, (size_t)len))
        return FATE_UNKNOWN;
    if (header->nlmsg_type == NLMSG_ERROR) {
        const struct nlmsgerr *error = NLMSG_DATA(header);
        return error->error == -ENOENT ? FATE_GONE : FATE_UNKNOWN;
    }
    const struct inet_diag_msg *msg = NLMSG_DATA(header);
    /* A TIME_WAIT is a small socket of its own, with the cookie of the one that it stands for. */
    if (diag_cookie(msg) != cookie && msg->idiag_state != TCP_TIME_WAIT)
        return FATE_GONE;
    return msg->idiag_state == TCP_CLOSE_WAIT || msg->idiag_state == TCP_ESTABLISHED ? FATE_HELD
                                                                                     : FATE_CLOSING;
}

static struct endpoint end_of(uint8_t family, const void *ip, uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = port};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = port};
    memcpy(&in.sin_addr, ip, sizeof(in.sin_addr));
    memcpy(&in6.sin6_addr, ip, sizeof(in6.sin6_addr));
    return family == AF_INET ? endpoint_of((const struct sockaddr *)&in, sizeof(in))
                             : endpoint_of((const struct sockaddr *)&in6, sizeof(in6));
}

struct endpoint diag_local(const struct inet_diag_msg *msg)
{
    return end_of(msg->idiag_family, msg->id.idiag_src, msg->id.idiag_sport);
}

static struct endpoint target_of(const struct inet_diag_msg *msg)
{
    return end_of(msg->idiag_family, msg->id.idiag_dst, msg->id.idiag_dport);
}

/* What is being asked, and the best answer so far. */
struct search {
    const struct endpoint *wanted;
    const struct endpoint *to;
    struct holder holder;
    uint32_t inode;
    int heaviest;
};

static const int kinds[] = {[HOLDER_UNKNOWN] = 0,
                            [HOLDER_CLOSING] = 1,
                            [HOLDER_TIME_WAIT] = 2,
                            [HOLDER_OTHER] = 3,
                            [HOLDER_SELF] = 4};

static struct holder holder_of(const struct inet_diag_msg *msg)
{
    struct holder holder = {.state = msg->idiag_state, .cookie = diag_cookie(msg)};
    if (msg->idiag_state == TCP_TIME_WAIT) {
        holder.kind = HOLDER_TIME_WAIT;
        holder.left_ms = msg->idiag_expires;
    } else if (msg->idiag_inode == INODE_NONE) {
        holder.kind = HOLDER_CLOSING;
    } else {
        holder.fd = proc_own_fd(msg->idiag_inode);
        holder.kind = holder.fd == PROC_UNKNOWN ? HOLDER_UNKNOWN
                      : holder.fd == PROC_NO_FD ? HOLDER_OTHER
                                                : HOLDER_SELF;
    }
    return holder;
}

/*
 * Of several that hold the port, the one to name: a listener before a connection, one of the
 * wanted family before another (a [::] may be for IPv6 alone), then ours, then a live one.
 */
static int weight(const struct inet_diag_msg *msg, const struct endpoint *wanted,
                  enum holder_kind kind)
{
    const struct endpoint source = diag_local(msg);
    return kinds[kind] + (source.family == wanted->family ? 10 : 0) +
           (msg->idiag_state == TCP_LISTEN ? 20 : 0) + 1;
}

static bool in_the_way(const struct inet_diag_msg *msg, const struct search *search)
{
    const struct endpoint source = diag_local(msg);
    const struct endpoint target = target_of(msg);
    return endpoint_conflict(&source, search->wanted) &&
           (!search->to->family || endpoint_conflict(&target, search->to));
}

/* Whose a socket is takes long to find out: only where it could be the one to name. */
static void weigh(const struct inet_diag_msg *msg, struct search *search)
{
    const bool owned = msg->idiag_state != TCP_TIME_WAIT && msg->idiag_inode != INODE_NONE;
    if (!in_the_way(msg, search) ||
        (owned && weight(msg, search->wanted, HOLDER_SELF) <= search->heaviest))
        return;
    const struct holder found = holder_of(msg);
    const int heavy = weight(msg, search->wanted, found.kind);
    if (heavy > search->heaviest ||
        (heavy == search->heaviest && found.left_ms > search->holder.left_ms)) {
        search->heaviest = heavy;
        search->holder = found;
        search->inode = msg->idiag_inode;
    }
}

static void see_message(const struct nlmsghdr *header,
                        void (*see)(const struct diag_found *found, void *with), void *with)
{
    struct diag_found found = {.msg = NLMSG_DATA(header)};
    const struct rtattr *attr = (const struct rtattr *)(found.msg + 1);
    size_t left = NLMSG_PAYLOAD(header, sizeof(*found.msg));
    for (; RTA_OK(attr, left); attr = RTA_NEXT(attr, left)) {
        if (attr->rta_type != INET_DIAG_INFO)
            continue;
        found.info = RTA_DATA(attr);
        found.info_size = RTA_PAYLOAD(attr);
    }
    see(&found, with);
}

bool diag_each(const struct diag_wanted *wanted,
               void (*see)(const struct diag_found *found, void *with), void *with)
{
    struct request request = request_for(wanted->domain, NLM_F_DUMP);
    request.body.id.idiag_sport = htons(wanted->port);
    request.body.idiag_states = wanted->states;
    request.body.idiag_ext = 1 << (INET_DIAG_INFO - 1);
    const int fd = ask(&request);
    if (fd < 0)
        return false;
    _Alignas(struct nlmsghdr) char answer[ANSWER_SIZE] = {0};
    bool more = wanted->netns == 0 || kernel_netns(fd) == wanted->netns;
    bool done = false;
    for (long len;
         more && (len = raw6(SYS_recvfrom, fd, (long)answer, sizeof(answer), 0, 0, 0)) > 0;) {
        const struct nlmsghdr *header = (const struct nlmsghdr *)answer;
        for (size_t left = (size_t)len; more && NLMSG_OK(header, left);
             header = NLMSG_NEXT(header, left)) {
            more = header->nlmsg_type == SOCK_DIAG_BY_FAMILY;
            done = header->nlmsg_type == NLMSG_DONE;
            if (more)
                see_message(header, see, with);
        }
    }
    raw1(SYS_close, fd);
    return done;
}

static void weigh_found(const struct diag_found *found, void *search)
{
    weigh(found->msg, search);
}

static struct holder find(const struct endpoint *wanted, const struct endpoint *to)
{
    struct search search = {.wanted = wanted, .to = to};
    struct diag_wanted sockets = {.domain = AF_INET, .port = wanted->port, .states = UINT32_MAX};
    diag_each(&sockets, weigh_found, &search);
    sockets.domain = AF_INET6;
    diag_each(&sockets, weigh_found, &search);
    if (search.holder.kind == HOLDER_OTHER)
        search.holder.pid = proc_other(search.inode, search.holder.comm);
    return search.holder;
}

/* What this process closed between the two questions looks like another's, until it is gone. */
struct holder diag_holder(const struct endpoint *wanted, const struct endpoint *to)
{
    const struct holder holder = find(wanted, to);
    return holder.kind == HOLDER_OTHER && !holder.pid ? find(wanted, to) : holder;
}

void diag_sharer(uint32_t inode, struct holder *holder)
{
    struct holder sharer = {.kind = HOLDER_OTHER, .same = true};
    sharer.pid = proc_other(inode, sharer.comm);
    if (sharer.pid)
        *holder = sharer;
}

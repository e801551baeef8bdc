#define _GNU_SOURCE
#include "diag.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
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
#include "raw.h"
#include "text.h"
#include "thread.h"

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
    const uint64_t found =
        (uint64_t)msg->id.idiag_cookie[1] << 32 | (uint64_t)msg->id.idiag_cookie[0];
    /* A TIME_WAIT is a small socket of its own, with the cookie of the one that it stands for. */
    if (found != cookie && msg->idiag_state != TCP_TIME_WAIT)
        return FATE_GONE;
    return msg->idiag_state == TCP_CLOSE_WAIT || msg->idiag_state == TCP_ESTABLISHED ? FATE_HELD
                                                                                     : FATE_CLOSING;
}

struct endpoint diag_local(const struct inet_diag_msg *msg)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = msg->id.idiag_sport};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = msg->id.idiag_sport};
    memcpy(&in.sin_addr, msg->id.idiag_src, sizeof(in.sin_addr));
    memcpy(&in6.sin6_addr, msg->id.idiag_src, sizeof(in6.sin6_addr));
    return msg->idiag_family == AF_INET ? endpoint_of((const struct sockaddr *)&in, sizeof(in))
                                        : endpoint_of((const struct sockaddr *)&in6, sizeof(in6));
}

/* By the watcher: the first thread may have ended. 1 when a descriptor of this process is the
 * socket with that inode, 0 when none is, -1: no /proc.
 */
static int own_inode(uint32_t inode)
{
    char name[32];
    struct text text = text_in(name, sizeof(name));
    text_add(&text, "socket:[");
    text_add_uint(&text, inode);
    text_add(&text, "]");
    char folder[64];
    struct text path = text_in(folder, sizeof(folder));
    text_add(&path, "/proc/self/task/");
    text_add_uint(&path, (uint64_t)thread_id());
    text_add(&path, "/fd");
    const long dir =
        raw4(SYS_openat, AT_FDCWD, (long)folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (dir < 0)
        return -1;
    int own = 0;
    _Alignas(struct dirent64) char entries[1024] = {0};
    for (long len; !own && (len = raw3(SYS_getdents64, dir, (long)entries, sizeof(entries))) > 0;) {
        for (long at = 0; at < len && !own;) {
            const struct dirent64 *entry = (const struct dirent64 *)(entries + at);
            char target[32] = {0};
            const long n =
                raw4(SYS_readlinkat, dir, (long)entry->d_name, (long)target, sizeof(target));
            own = n == (long)text.len && memcmp(target, name, text.len) == 0;
            at += entry->d_reclen;
        }
    }
    raw1(SYS_close, dir);
    return own;
}

static struct holder holder_of(const struct inet_diag_msg *msg)
{
    struct holder holder = {.state = msg->idiag_state};
    if (msg->idiag_state == TCP_TIME_WAIT) {
        holder.kind = HOLDER_TIME_WAIT;
        holder.left_ms = msg->idiag_expires;
    } else if (msg->idiag_inode == INODE_NONE) {
        holder.kind = HOLDER_CLOSING;
    } else {
        const int own = own_inode(msg->idiag_inode);
        holder.kind = own < 0 ? HOLDER_UNKNOWN : own ? HOLDER_SELF : HOLDER_OTHER;
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
    static const int kinds[] = {[HOLDER_UNKNOWN] = 0,
                                [HOLDER_CLOSING] = 1,
                                [HOLDER_TIME_WAIT] = 2,
                                [HOLDER_OTHER] = 3,
                                [HOLDER_SELF] = 4};
    const struct endpoint source = diag_local(msg);
    return kinds[kind] + (source.family == wanted->family ? 10 : 0) +
           (msg->idiag_state == TCP_LISTEN ? 20 : 0) + 1;
}

static void weigh(const struct inet_diag_msg *msg, const struct endpoint *wanted,
                  struct holder *holder, int *heaviest)
{
    const struct endpoint source = diag_local(msg);
    if (!endpoint_conflict(&source, wanted))
        return;
    const struct holder found = holder_of(msg);
    const int heavy = weight(msg, wanted, found.kind);
    if (heavy > *heaviest || (heavy == *heaviest && found.left_ms > holder->left_ms)) {
        *heaviest = heavy;
        *holder = found;
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

struct weighing {
    const struct endpoint *wanted;
    struct holder holder;
    int heaviest;
};

static void weigh_found(const struct diag_found *found, void *with)
{
    struct weighing *weighing = with;
    weigh(found->msg, weighing->wanted, &weighing->holder, &weighing->heaviest);
}

struct holder diag_holder(const struct endpoint *wanted)
{
    struct weighing weighing = {.wanted = wanted, .holder = {.kind = HOLDER_UNKNOWN}};
    struct diag_wanted sockets = {.domain = AF_INET, .port = wanted->port, .states = UINT32_MAX};
    diag_each(&sockets, weigh_found, &weighing);
    sockets.domain = AF_INET6;
    diag_each(&sockets, weigh_found, &weighing);
    return weighing.holder;
}

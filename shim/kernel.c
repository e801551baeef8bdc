#define _GNU_SOURCE
#include "kernel.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "raw.h"

/* TCP_CLOSE and TCP_LISTEN of <netinet/tcp.h>, which cannot be had beside <linux/tcp.h>. */
enum { STATE_CLOSE = 7, STATE_LISTEN = 10 };

static bool get_option(int fd, int level, int name, void *value, socklen_t size)
{
    socklen_t len = size;
    return raw5(SYS_getsockopt, fd, level, name, (long)value, (long)&len) == 0;
}

bool kernel_is_tcp(int fd)
{
    int protocol = 0;
    return get_option(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, sizeof(protocol)) &&
           protocol == IPPROTO_TCP;
}

uint64_t kernel_cookie(int fd)
{
    uint64_t cookie = 0;
    return get_option(fd, SOL_SOCKET, SO_COOKIE, &cookie, sizeof(cookie)) ? cookie : 0;
}

uint64_t kernel_netns(int fd)
{
    uint64_t cookie = 0;
    return get_option(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, sizeof(cookie)) ? cookie : 0;
}

/* SIOCINQ is EINVAL on a listener; a queue that cannot be asked for counts as empty. */
static uint32_t queue_bytes(int fd, unsigned long which)
{
    int bytes = 0;
    return raw3(SYS_ioctl, fd, (long)which, (long)&bytes) == 0 ? (uint32_t)bytes : 0;
}

static int polled_now(int fd, short events)
{
    struct pollfd polled = {.fd = fd, .events = events};
    const struct timespec at_once = {0};
    return raw5(SYS_ppoll, (long)&polled, 1, (long)&at_once, 0, 0) == 1 ? polled.revents : 0;
}

bool kernel_is_shut(int fd)
{
    return polled_now(fd, POLLRDHUP) & POLLRDHUP;
}

bool kernel_facts(int fd, struct facts *facts)
{
    struct tcp_info info = {0};
    if (!get_option(fd, IPPROTO_TCP, TCP_INFO, &info, sizeof(info)))
        return false;
    *facts = (struct facts){
        .state = info.tcpi_state,
        .handshake = info.tcpi_rtt > 0,
        .error = polled_now(fd, 0) & POLLERR,
        .sent = info.tcpi_data_segs_out > 0,
        .unread_bytes = queue_bytes(fd, SIOCINQ),
        /* In CLOSE nothing is left to send, and what SIOCOUTQ counts on is left as it was. */
        .unsent_bytes = info.tcpi_state == STATE_CLOSE ? 0 : queue_bytes(fd, SIOCOUTQ),
        .sent_ms = info.tcpi_last_data_sent,
        .heard_ms = info.tcpi_last_ack_recv,
    };
    return true;
}

bool kernel_queue(int fd, uint32_t *waiting, uint32_t *backlog)
{
    struct tcp_info info = {0};
    if (!get_option(fd, IPPROTO_TCP, TCP_INFO, &info, sizeof(info)) ||
        info.tcpi_state != STATE_LISTEN)
        return false;
    *waiting = info.tcpi_unacked;
    *backlog = info.tcpi_sacked;
    return true;
}

int kernel_domain(int fd)
{
    int domain = 0;
    return get_option(fd, SOL_SOCKET, SO_DOMAIN, &domain, sizeof(domain)) ? domain : 0;
}

uint32_t kernel_interface(int fd)
{
    uint32_t index = 0;
    return get_option(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &index, sizeof(index)) ? index : 0;
}

bool kernel_is_v6only(int fd)
{
    int only = 0;
    return get_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only)) && only;
}

static struct endpoint name_of(int fd, long which)
{
    struct sockaddr_storage addr;
    socklen_t len = sizeof(addr);
    if (raw3(which, fd, (long)&addr, (long)&len) != 0)
        return (struct endpoint){0};
    return endpoint_of((const struct sockaddr *)&addr, len);
}

struct endpoint kernel_local(int fd)
{
    return name_of(fd, SYS_getsockname);
}

struct endpoint kernel_peer(int fd)
{
    return name_of(fd, SYS_getpeername);
}

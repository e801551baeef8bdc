/*
 * What the kernel says of one descriptor. Asks, never changes anything. Every function may be
 * called from any thread, any signal handler and a vfork child.
 */
#ifndef CLOSEWAIT_KERNEL_H
#define CLOSEWAIT_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "endpoint.h"
#include "facts.h"

/* SO_PROTOCOL is IPPROTO_TCP (socket(7)). */
bool kernel_is_tcp(int fd);

/* A TCP socket that says the end of stream, in whatever state (POLLRDHUP: its reading half is
 * shut). */
bool kernel_is_shut(int fd);

/* SO_COOKIE: the identity of a socket, for as long as the machine runs; 0 if fd is no socket. */
uint64_t kernel_cookie(int fd);

/*
 * TCP_INFO, SIOCINQ and SIOCOUTQ (tcp(7)). False when fd is not a TCP socket (any more).
 */
bool kernel_facts(int fd, struct facts *facts);

/*
 * How many connections wait in the accept queue of fd, and the length that listen gave it
 * (TCP_INFO: tcpi_unacked and tcpi_sacked); it takes one more. False when fd is no listening TCP
 * socket.
 */
bool kernel_queue(int fd, uint32_t *waiting, uint32_t *backlog);

/* SO_DOMAIN: AF_INET or AF_INET6 of a TCP socket, which an address does not tell; 0 of no socket.
 */
int kernel_domain(int fd);

/* The cookie of the network namespace that a socket is in; 0 where the kernel has none (5.14). */
uint64_t kernel_netns(int fd);

/*
 * The interface that a socket is bound to, by an option or by the scope of a link-local address
 * (SO_BINDTOIFINDEX); 0: to none, or the kernel does not tell (before 5.0).
 */
uint32_t kernel_interface(int fd);

/* IPV6_V6ONLY (ipv6(7)): what is bound to :: is not for IPv4. False of a socket of IPv4. */
bool kernel_is_v6only(int fd);

/* getsockname and getpeername; family 0 where there is none, as the peer of a dead socket. */
struct endpoint kernel_local(int fd);
struct endpoint kernel_peer(int fd);

#endif

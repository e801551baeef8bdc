/*
 * One end of a TCP connection: an address and a port, whichever family the socket is of. An
 * IPv4-mapped IPv6 address is the IPv4 address that goes over the wire.
 */
#ifndef CLOSEWAIT_ENDPOINT_H
#define CLOSEWAIT_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct endpoint {
    uint8_t ip[16];  /* network order; IPv4 in the first four */
    uint32_t scope;  /* the interface of a link-local IPv6 address, else 0 */
    uint16_t port;   /* host order */
    uint16_t family; /* AF_INET, AF_INET6, or 0: unknown */
};

/* family is 0 for any other kind of address and for one that is too short. */
struct endpoint endpoint_of(const struct sockaddr *addr, socklen_t len);

/* 0.0.0.0 or ::, which stand for every address. */
bool endpoint_is_any(const struct endpoint *end);

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);

/*
 * Whether a socket bound to the one keeps the other from being bound: the same port, and the same
 * address, on the same link if it is local to one, or one that stands for all
 * (inet_csk_bind_conflict). :: is taken to stand for IPv4 too.
 */
bool endpoint_conflict(const struct endpoint *a, const struct endpoint *b);

#endif

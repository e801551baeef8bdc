/*
 * The times in a TCP_INFO (tcp(7)). Apart, because <linux/tcp.h>, which has all of its members,
 * and <netinet/tcp.h>, which has the names of the states, cannot both be included.
 */
#ifndef CLOSEWAIT_TCP_TIMES_H
#define CLOSEWAIT_TCP_TIMES_H

#include <stddef.h>
#include <stdint.h>

struct tcp_times {
    uint32_t heard_ms; /* since the peer's last segment */
    uint32_t sent_ms;  /* since data was last sent; UINT32_MAX: never */
};

/* Of len bytes: an older kernel has a shorter one, a newer kernel a longer one. */
struct tcp_times tcp_times_of(const void *info, size_t len);

#endif

/*
 * What the kernel says of one TCP socket at one moment.
 */
#ifndef CLOSEWAIT_FACTS_H
#define CLOSEWAIT_FACTS_H

#include <stdbool.h>
#include <stdint.h>

struct facts {
    uint8_t state;         /* TCP_ESTABLISHED ... of <netinet/tcp.h> */
    bool handshake;        /* the handshake was once finished: a round trip was measured */
    bool error;            /* an error waits to be read: ECONNRESET, ETIMEDOUT, EPIPE */
    bool sent;             /* data was sent at least once */
    uint32_t unread_bytes; /* received and not yet read, without the FIN (SIOCINQ) */
    uint32_t unsent_bytes; /* written and not yet acknowledged (SIOCOUTQ) */
    uint32_t sent_ms;      /* since data was last sent (tcpi_last_data_sent) */
    uint32_t heard_ms;     /* since the peer last sent a segment, FIN too (tcpi_last_ack_recv) */
};

#endif

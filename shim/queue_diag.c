#define _GNU_SOURCE
#include "queue_diag.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "diag.h"

struct counting {
    const struct listener *listener;
    struct queue_facts *facts;
};

/*
 * A socket counts from its making as if it had just sent (tcp_create_openreq_child sets lsndtime),
 * and nobody can send on it before it is accepted.
 */
static uint32_t waited_ms(const struct diag_found *found)
{
    struct tcp_info info = {0};
    const size_t size = found->info_size < sizeof(info) ? found->info_size : sizeof(info);
    if (found->info)
        memcpy(&info, found->info, size);
    return info.tcpi_last_data_sent;
}

/*
 * What nobody has accepted is no file, and has no inode. A handshake under way is no queued
 * connection, but one by TCP Fast Open is: both are SYN_RECV, and counted as not reset.
 */
static void count(const struct diag_found *found, void *with)
{
    const struct counting *counting = with;
    const struct listener *listener = counting->listener;
    struct queue_facts *facts = counting->facts;
    const struct inet_diag_msg *msg = found->msg;
    const struct endpoint local = diag_local(msg);
    if (!endpoint_conflict(&listener->local, &local))
        return;
    if (msg->idiag_state == TCP_LISTEN) {
        facts->others += diag_cookie(msg) == listener->cookie ? 0 : msg->idiag_rqueue;
        return;
    }
    if (msg->idiag_inode != 0)
        return;
    facts->unaccepted++;
    if (msg->idiag_state == TCP_SYN_RECV)
        return;
    const uint32_t ms = waited_ms(found);
    facts->old += ms >= listener->old_ms;
    facts->older += ms >= listener->older_ms;
    facts->closed += msg->idiag_state == TCP_CLOSE_WAIT;
    if (ms > facts->oldest_ms)
        facts->oldest_ms = ms;
}

bool queue_diag(const struct listener *listener, struct queue_facts *facts)
{
    const struct diag_wanted wanted = {
        .domain = listener->domain,
        .port = listener->local.port,
        .states = 1 << TCP_LISTEN | 1 << TCP_ESTABLISHED | 1 << TCP_CLOSE_WAIT | 1 << TCP_SYN_RECV,
        .netns = listener->netns,
    };
    return diag_each(&wanted, count, &(struct counting){listener, facts});
}

#include "found_record.h"

#include <netinet/tcp.h>

struct leak found_leak(const struct found *found)
{
    struct leak leak = {
        .fd = found->fds[0],
        .class = found->ruling.class,
        .how = HOW_FOUND,
        .gone_ms = found->history.gone_ms,
        .unread_bytes = found->facts.unread_bytes,
        .unsent_bytes = found->facts.unsent_bytes,
        .local = found->local,
        .peer = found->peer,
        .state = found->facts.state,
        .error = found->facts.error,
    };
    for (size_t i = 1; i < found->fd_count; i++)
        fds_add(&leak.copies, found->fds[i]);
    return leak;
}

struct record found_reap(const struct found *found, int error, enum ending ending)
{
    static const enum fate fates[] = {
        [ENDING_UNKNOWN] = FATE_UNKNOWN,
        [ENDING_GONE] = FATE_GONE,
        [ENDING_CLOSING] = FATE_CLOSING,
        [ENDING_HELD] = FATE_HELD,
    };
    return (struct record){
        .type = RECORD_REAP,
        .why = found->facts.state == TCP_CLOSE ? WHY_DEAD : WHY_GRACE,
        .error = error,
        .fate = fates[ending],
        .leak = found_leak(found),
    };
}

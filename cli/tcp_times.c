#include "tcp_times.h"

#include <linux/tcp.h>
#include <string.h>

struct tcp_times tcp_times_of(const void *info, size_t len)
{
    struct tcp_info copy = {0};
    memcpy(&copy, info, len < sizeof(copy) ? len : sizeof(copy));
    return (struct tcp_times){
        .heard_ms = copy.tcpi_last_ack_recv,
        .sent_ms = copy.tcpi_data_segs_out > 0 ? copy.tcpi_last_data_sent : UINT32_MAX,
    };
}

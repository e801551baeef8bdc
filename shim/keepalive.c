#include "keepalive.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "raw.h"

/* Where each setting is, as the kernel has it. */
static const struct {
    int level;
    int name;
    size_t at;
} options[] = {
    {IPPROTO_TCP, TCP_USER_TIMEOUT, offsetof(struct keepalive, user_timeout_ms)},
    {IPPROTO_TCP, TCP_KEEPCNT, offsetof(struct keepalive, count)},
    {IPPROTO_TCP, TCP_KEEPINTVL, offsetof(struct keepalive, interval_s)},
    {IPPROTO_TCP, TCP_KEEPIDLE, offsetof(struct keepalive, idle_s)},
    {SOL_SOCKET, SO_KEEPALIVE, offsetof(struct keepalive, on)},
};
enum { OPTIONS = sizeof(options) / sizeof(options[0]) };

static uint32_t *setting(struct keepalive *keepalive, int which)
{
    return (uint32_t *)(void *)((char *)keepalive + options[which].at);
}

bool keepalive_get(int fd, struct keepalive *keepalive)
{
    for (int i = 0; i < OPTIONS; i++) {
        socklen_t len = sizeof(uint32_t);
        if (raw5(SYS_getsockopt, fd, options[i].level, options[i].name, (long)setting(keepalive, i),
                 (long)&len) != 0)
            return false;
    }
    return true;
}

void keepalive_set(int fd, struct keepalive keepalive)
{
    for (int i = 0; i < OPTIONS; i++)
        raw5(SYS_setsockopt, fd, options[i].level, options[i].name, (long)setting(&keepalive, i),
             sizeof(uint32_t));
}

static uint32_t within(uint32_t low, uint32_t value, uint32_t high)
{
    return value < low ? low : value > high ? high : value;
}

struct keepalive keepalive_of_probe(uint32_t grace_ms)
{
    const uint32_t shortest_s = (PROBE_SILENCE_S + PROBE_COUNT_MAX - 1) / PROBE_COUNT_MAX;
    const uint32_t idle_s = within(1, grace_ms / 1000, PROBE_INTERVAL_S);
    const uint32_t interval_s = within(shortest_s, idle_s, PROBE_INTERVAL_S);
    return (struct keepalive){
        .count = (PROBE_SILENCE_S + interval_s - 1) / interval_s,
        .interval_s = interval_s,
        .idle_s = idle_s,
        .on = 1,
    };
}

bool keepalive_same(const struct keepalive *a, const struct keepalive *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

bool keepalive_can_be_put_back(const struct keepalive *keepalive)
{
    return keepalive->count - 1 < PROBE_COUNT_MAX && keepalive->idle_s - 1 < PROBE_SETTING_MAX &&
           keepalive->interval_s - 1 < PROBE_SETTING_MAX;
}

bool keepalive_has(int level, int name)
{
    for (int i = 0; i < OPTIONS; i++)
        if (options[i].level == level && options[i].name == name)
            return true;
    return false;
}

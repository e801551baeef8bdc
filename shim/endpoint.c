#include "endpoint.h"

#include <netinet/in.h>
#include <string.h>

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

struct endpoint endpoint_of(const struct sockaddr *addr, socklen_t len)
{
    struct endpoint end = {0};
    if (!addr || len < sizeof(addr->sa_family))
        return end;
    if (addr->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in in;
        memcpy(&in, addr, sizeof(in));
        end.family = AF_INET;
        end.port = ntohs(in.sin_port);
        memcpy(end.ip, &in.sin_addr, 4);
    }
    if (addr->sa_family == AF_INET6 && len >= sizeof(struct sockaddr_in6)) {
        struct sockaddr_in6 in6;
        memcpy(&in6, addr, sizeof(in6));
        const uint8_t *ip = in6.sin6_addr.s6_addr;
        const bool mapped = memcmp(ip, mapped_prefix, sizeof(mapped_prefix)) == 0;
        end.family = mapped ? AF_INET : AF_INET6;
        end.port = ntohs(in6.sin6_port);
        end.scope = IN6_IS_ADDR_LINKLOCAL(&in6.sin6_addr) ? in6.sin6_scope_id : 0;
        memcpy(end.ip, mapped ? ip + 12 : ip, mapped ? 4 : 16);
    }
    return end;
}

bool endpoint_is_any(const struct endpoint *end)
{
    static const uint8_t any[16];
    return memcmp(end->ip, any, sizeof(any)) == 0;
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
    return a->family == b->family && a->port == b->port && memcmp(a->ip, b->ip, 16) == 0;
}

bool endpoint_conflict(const struct endpoint *a, const struct endpoint *b)
{
    if (a->port != b->port || !a->family || !b->family)
        return false;
    if (endpoint_equal(a, b))
        return !a->scope || !b->scope || a->scope == b->scope;
    const bool any_a = endpoint_is_any(a);
    const bool any_b = endpoint_is_any(b);
    if (a->family == b->family)
        return any_a || any_b;
    return (any_a && a->family == AF_INET6) || (any_b && b->family == AF_INET6);
}

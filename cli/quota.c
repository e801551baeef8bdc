#include "quota.h"

#define MIB(number) ((size_t)(number) << 20)

static const size_t limits[QUOTA_KINDS] = {
    [QUOTA_SITES] = MIB(32),     [QUOTA_STACKS] = MIB(32), [QUOTA_NAMES] = MIB(24),
    [QUOTA_PROCESSES] = MIB(40), [QUOTA_QUEUES] = MIB(4),
};

bool quota_take(struct quota *quota, enum quota_kind kind, size_t bytes)
{
    if (quota->used[kind] + bytes > limits[kind])
        return false;
    quota->used[kind] += bytes;
    return true;
}

void quota_force(struct quota *quota, enum quota_kind kind, size_t bytes)
{
    quota->used[kind] += bytes;
}

bool quota_ask(struct quota *quota, enum quota_kind kind, size_t bytes)
{
    const bool taken = quota_take(quota, kind, bytes);
    quota->refused[kind] += !taken;
    return taken;
}

void quota_give(struct quota *quota, enum quota_kind kind, size_t bytes)
{
    quota->used[kind] -= bytes;
}

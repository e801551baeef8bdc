#define _GNU_SOURCE
#include "real.h"

#include <dlfcn.h>
#include <errno.h>

#include "raw.h"

/* Before glibc 2.34 dlsym was in libdl: a program that had not linked it must still start. */
#pragma weak dlsym

static long with_errno(long ret)
{
    if (ret >= 0 || ret < -4095)
        return ret;
    errno = (int)-ret;
    return -1;
}

/* aarch64 has no dup2, and dup3 refuses what dup2 allows: the same descriptor twice. */
static long raw_dup2(int from, int fd)
{
#ifdef SYS_dup2
    return raw2(SYS_dup2, from, fd);
#else
    if (from != fd)
        return raw3(SYS_dup3, from, fd, 0);
    const long flags = raw2(SYS_fcntl, fd, F_GETFD);
    return flags < 0 ? flags : fd;
#endif
}

/*
 * The table starts full: hooks are called before our constructor, by the dynamic loader and by
 * constructors of other libraries, and a hook that had to look its function up there would need
 * a lock (design, fact 13).
 */
#define CALL(returns, name, parameters, kernel)                                                    \
    static returns stub_##name parameters                                                          \
    {                                                                                              \
        return (returns)with_errno(kernel);                                                        \
    }
#include "calls.h"
#undef CALL

struct real real = {
#define CALL(returns, name, parameters, kernel) .name = stub_##name,
#include "calls.h"
#undef CALL
};

void real_resolve(void)
{
    if (!dlsym)
        return;
    void *found = NULL;
#define CALL(returns, name, parameters, kernel)                                                    \
    found = dlsym(RTLD_NEXT, #name);                                                               \
    if (found)                                                                                     \
        real.name = (returns(*) parameters)found;
#include "calls.h"
#undef CALL
}

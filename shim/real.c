#define _GNU_SOURCE
#include "real.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>

#include "raw.h"

/* Before glibc 2.34 dlsym was in libdl: a program that had not linked it must still start. */
#pragma weak dlsym
#pragma weak dlerror

static long with_errno(long ret)
{
    if (ret >= 0 || ret < -4095)
        return ret;
    errno = (int)-ret;
    return -1;
}

/* i386 has second versions, for ids and offsets that grew; elsewhere the first are right. */
#ifdef SYS_setuid32
#define SYS_SETUID     SYS_setuid32
#define SYS_SETGID     SYS_setgid32
#define SYS_SETREUID   SYS_setreuid32
#define SYS_SETREGID   SYS_setregid32
#define SYS_SETRESUID  SYS_setresuid32
#define SYS_SETRESGID  SYS_setresgid32
#define SYS_SETGROUPS  SYS_setgroups32
#define SYS_FCNTL      SYS_fcntl64
#define SYS_SENDFILE64 SYS_sendfile64
#else
#define SYS_SETUID     SYS_setuid
#define SYS_SETGID     SYS_setgid
#define SYS_SETREUID   SYS_setreuid
#define SYS_SETREGID   SYS_setregid
#define SYS_SETRESUID  SYS_setresuid
#define SYS_SETRESGID  SYS_setresgid
#define SYS_SETGROUPS  SYS_setgroups
#define SYS_FCNTL      SYS_fcntl
#define SYS_SENDFILE64 SYS_sendfile
#endif

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

/* What comes after us in the search order; NULL before there is a dlsym. */
static void *find(const char *name)
{
    return dlsym ? dlsym(RTLD_NEXT, name) : NULL;
}

/* aarch64 has no poll, and ppoll writes what is left of the time. */
static long raw_ppoll(long fds, long n, const struct timespec *timeout, long mask)
{
    struct timespec left = timeout ? *timeout : (struct timespec){0};
    return raw5(SYS_ppoll, fds, n, timeout ? (long)&left : 0, mask, 8);
}

static long raw_poll(long fds, long n, int timeout_ms)
{
    const struct timespec timeout = {.tv_sec = timeout_ms / 1000,
                                     .tv_nsec = (long)(timeout_ms % 1000) * 1000000};
    return raw_ppoll(fds, n, timeout_ms < 0 ? NULL : &timeout, 0);
}

static long late_fclose(FILE *stream)
{
    int (*const libcs)(FILE *) = (int (*)(FILE *))find("fclose");
    return libcs ? libcs(stream) : -EBADF;
}

static long late_freopen(const char *name, const char *path, const char *mode, FILE *stream)
{
    FILE *(*const libcs)(const char *, const char *, FILE *) =
        (FILE * (*)(const char *, const char *, FILE *)) find(name);
    return libcs ? (long)libcs(path, mode, stream) : 0;
}

static long late_fork(void)
{
    pid_t (*const libcs)(void) = (pid_t(*)(void))find("fork");
    return libcs ? libcs() : -ENOSYS;
}

static long late_Fork(void)
{
    pid_t (*const libcs)(void) = (pid_t(*)(void))find("_Fork");
    return libcs ? libcs() : -ENOSYS;
}

static long late_dlclose(void *library)
{
    int (*const libcs)(void *) = (int (*)(void *))find("dlclose");
    return libcs ? libcs(library) : -ENOSYS;
}

static long late_initgroups(const char *user, gid_t group)
{
    int (*const libcs)(const char *, gid_t) = (int (*)(const char *, gid_t))find("initgroups");
    return libcs ? libcs(user, group) : -ENOSYS;
}

static long late_clone(int (*run)(void *), void *stack, int flags, void *with, pid_t *parent,
                       void *tls, pid_t *child)
{
    __typeof__(real.clone) libcs = (__typeof__(real.clone))find("clone");
    return libcs ? libcs(run, stack, flags, with, parent, tls, child) : -ENOSYS;
}

static long late_quick_exit(int status)
{
    void (*const libcs)(int) = (void (*)(int))find("quick_exit");
    if (libcs)
        libcs(status);
    return raw1(SYS_exit_group, status);
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

/* Where the hook of vfork jumps: to fork until the constructor has come, right for every program.
 */
static pid_t like_fork(void)
{
    return real.fork();
}

pid_t (*vfork_next)(void) = like_fork;

/* What we did not find is no error of the program's. */
static void forget_error(void)
{
    if (dlerror)
        dlerror();
}

void *real_find(const char *name)
{
    void *const found = find(name);
    forget_error();
    return found;
}

void real_resolve(void)
{
    void *found = NULL;
#define CALL(returns, name, parameters, kernel)                                                    \
    found = find(#name);                                                                           \
    if (found)                                                                                     \
        real.name = (returns(*) parameters)found;
#include "calls.h"
#undef CALL
    forget_error();
    if (real.vfork != stub_vfork)
        vfork_next = real.vfork;
}

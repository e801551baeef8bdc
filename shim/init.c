/*
 * Boot, fork and exit: which part comes up when. The order is the table's.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/auxv.h>

#include "options.h"
#include "owner.h"
#include "raw.h"
#include "real.h"
#include "record.h"
#include "report.h"
#include "rescue.h"
#include "slots.h"
#include "text.h"
#include "track.h"
#include "watch.h"

static struct options options;

/*
 * The command asks whether we are really there: a byte into its pipe, named by a path since a
 * descriptor would be one more in the host. Every process below it says so, and none waits.
 */
static bool say_hello(void)
{
    const char *path = getenv("CLOSEWAIT_HELLO");
    if (!path)
        return true;
    const long fd = raw4(SYS_openat, AT_FDCWD, (long)path, O_WRONLY | O_NONBLOCK | O_CLOEXEC, 0);
    if (fd < 0)
        return true;
    const int pid = (int)raw0(SYS_getpid);
    raw3(SYS_write, fd, (long)&pid, sizeof(pid));
    raw1(SYS_close, fd);
    return true;
}

static bool find_real(void)
{
    real_resolve();
    return true;
}

static bool know_ourselves(void)
{
    report_init();
    return true;
}

/* A mistake in the options is one line, and the program runs as if we were not there. */
static bool read_options(void)
{
    char why[400];
    if (options_read(getenv("CLOSEWAIT_OPTIONS"), (int)raw0(SYS_getpid), &options, why,
                     sizeof(why)))
        return true;
    char line[480];
    struct text text = text_in(line, sizeof(line));
    text_add(&text, "CLOSEWAIT_OPTIONS: ");
    text_add(&text, why);
    report_complain(line);
    return false;
}

static void adopt(void)
{
    slots_adopt();
    record_adopt();
    report_adopt();
    watch_adopt();
}

static bool take_ownership(void)
{
    return owner_init(adopt);
}

static bool go(void)
{
    report_start(&options);
    watch_init(&options);
    rescue_start(&options);
    track_start();
    watch_if(track_inherited());
    return true;
}

/* A privileged program takes no orders from its environment (ld.so(8), AT_SECURE). */
static bool not_privileged(void)
{
    return getauxval(AT_SECURE) == 0;
}

static bool (*const boot[])(void) = {
    find_real, not_privileged, say_hello, know_ourselves, read_options, take_ownership, go,
};

__attribute__((constructor)) static void start(void)
{
    const int kept = errno;
    for (size_t i = 0; i < sizeof(boot) / sizeof(boot[0]) && boot[i](); i++) {
    }
    errno = kept;
}

__attribute__((destructor)) static void finish(void)
{
    const int kept = errno;
    watch_finish();
    errno = kept;
}

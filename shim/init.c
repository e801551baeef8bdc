/*
 * Boot, fork and exit: which part comes up when. The order is the table's.
 */
#define _GNU_SOURCE
#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "options.h"
#include "owner.h"
#include "pipe.h"
#include "probe.h"
#include "raw.h"
#include "real.h"
#include "reap.h"
#include "record.h"
#include "report.h"
#include "rescue.h"
#include "reuse.h"
#include "scan.h"
#include "shortage.h"
#include "slots.h"
#include "stack.h"
#include "text.h"
#include "track.h"
#include "vdso.h"
#include "watch.h"

static struct options options;

/* The path may be another file's by now: the command is gone, or its pid is another's. */
static bool is_pipe(int folder, const char *path, uint64_t inode)
{
    struct statx stat = {0};
    return raw5(SYS_statx, folder, (long)path, AT_EMPTY_PATH, STATX_TYPE | STATX_INO,
                (long)&stat) == 0 &&
           S_ISFIFO(stat.stx_mode) && stat.stx_ino == inode;
}

/*
 * The command asks whether we are really there: our pid into its pipe, which is named by a path,
 * since a descriptor would be one more in the host, and by its inode. Every process below it says
 * so, and none waits.
 */
static struct {
    char path[64]; /* "" without a command */
    uint64_t inode;
} hello;

static void say_hello(void)
{
    const int pid = (int)raw0(SYS_getpid);
    if (!hello.path[0] || !is_pipe(AT_FDCWD, hello.path, hello.inode))
        return;
    const long fd =
        raw4(SYS_openat, AT_FDCWD, (long)hello.path, O_WRONLY | O_NONBLOCK | O_CLOEXEC, 0);
    if (raw_failed(fd))
        return;
    if (is_pipe((int)fd, "", hello.inode))
        raw3(SYS_write, fd, (long)&pid, sizeof(pid));
    raw1(SYS_close, fd);
}

static bool answer_the_command(void)
{
    const char *text = getenv("CLOSEWAIT_HELLO");
    const char *space = text ? strchr(text, ' ') : NULL;
    if (!space || space - text >= (long)sizeof(hello.path))
        return true;
    strlcpy(hello.path, text, (size_t)(space - text) + 1);
    hello.inode = (uint64_t)strtonum(space + 1, 1, INT64_MAX, NULL);
    say_hello();
    return true;
}

static bool find_real(void)
{
    real_resolve();
    vdso_init();
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
    if (options_read(getenv("CLOSEWAIT_OPTIONS"), &options, why, sizeof(why)))
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
    stack_adopt();
    reap_adopt();
    record_adopt();
    shortage_adopt();
    report_adopt();
    watch_adopt();
    say_hello();
}

static bool take_ownership(void)
{
    return owner_init(adopt);
}

static bool go(void)
{
    stack_init(options.stack);
    if (!report_start(&options))
        return false;
    watch_on(options.signal);
    watch_init(&options);
    watch_if(scan_init(options.scan));
    /* Where no hook hears of a close, nothing is done on the program's own threads. */
    if (!scan_is_on()) {
        rescue_start(&options);
        shortage_start(&options);
    }
    reuse_start(&options);
    probe_init(options.grace_ms);
    pipe_start(options.action != ACTION_LOG);
    track_start(options.last, options.grace_ms);
    watch_if(track_inherited());
    return true;
}

/* A privileged program takes no orders from its environment (ld.so(8), AT_SECURE). */
static bool not_privileged(void)
{
    return getauxval(AT_SECURE) == 0;
}

static bool (*const boot[])(void) = {
    find_real, not_privileged, answer_the_command, know_ourselves, read_options, take_ownership, go,
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

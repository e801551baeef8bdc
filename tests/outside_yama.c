/*
 * What closewait reap says where it may not enter a process and the kernel has Yama: as the file of
 * Yama's tells it, in a mount namespace of the test's own. Who refuses is the kernel that is there.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

static char said[64 * 1024];

static const struct {
    int scope;
    const char *who;
    const char *says;
} rows[] = {
    {0, "--reuid=65534",
     ": it takes CAP_SYS_PTRACE for a process of another user, or one that changed its user: "
     "run as root\n"},
    {1, "--reuid=65534",
     ": it takes CAP_SYS_PTRACE, since kernel.yama.ptrace_scope is 1: run as root\n"},
    {2, "--reuid=65534",
     ": it takes CAP_SYS_PTRACE, since kernel.yama.ptrace_scope is 2: run as root\n"},
    {2, "--bounding-set=-sys_ptrace",
     ": it takes CAP_SYS_PTRACE: in a container, give it that capability, or run outside as "
     "root\n"},
    {3, "--bounding-set=-sys_ptrace",
     ": kernel.yama.ptrace_scope is 3, which forbids it to everybody until the next boot\n"},
};

/* The command is copied to where any user can start it. */
static void reap_under(int scope, const char *who, pid_t pid)
{
    shell(said, sizeof(said),
          "unshare -m sh -c 'mount -t tmpfs none /proc/sys/kernel && cp %s /proc/sys/kernel && "
          "cd /proc/sys/kernel && mkdir yama && echo %d >yama/ptrace_scope && "
          "exec setpriv %s ./closewait reap --all %d' 2>&1; echo status $?",
          built("closewait"), scope, who, (int)pid);
}

Test(outside_yama, is_named_where_it_is_why)
{
    if (geteuid() != 0 || shell(said, sizeof(said), "unshare -m true 2>&1") != 0)
        cr_skip_test("no mount namespaces here (not root, or a chroot)");
    const pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        reap_under(rows[i].scope, rows[i].who, child);
        cr_expect_not_null(strstr(said, rows[i].says), "row %zu: %s", i, said);
        cr_expect_not_null(strstr(said, "\nstatus 1\n"), "row %zu: %s", i, said);
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

/*
 * What ps and watch see of a container, from without: a process in network and pid namespaces of
 * its own, and in a cgroup as systemd-nspawn makes it.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

static char said[64 * 1024];
static char cgroup[128];
static char name[32];

/* Holds one socket that its peer has closed, and says its port. */
static char script[] =
    "import fcntl, socket, struct, sys\n"
    "open(sys.argv[1] + '/cgroup.procs', 'w').write('0')\n"
    "open('/proc/self/comm', 'w').write('contained')\n"
    "loopback = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
    "fcntl.ioctl(loopback, 0x8914, struct.pack('16sh22x', b'lo', 1))\n" /* SIOCSIFFLAGS, IFF_UP */
    "server = socket.create_server(('127.0.0.1', 0))\n"
    "client = socket.create_connection(server.getsockname())\n"
    "server.accept()[0].close()\n"
    "print(f'port {server.getsockname()[1]}\\n', end='', flush=True)\n"
    "sys.stdin.read()\n";

/* In the first hierarchy that takes it: that of version 2, wherever it is, or systemd's own. */
static void make_cgroup(void)
{
    static const char *const roots[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified",
                                        "/sys/fs/cgroup/systemd"};
    char procs[160];
    snprintf(name, sizeof(name), "cw-%d", (int)getpid());
    for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
        snprintf(cgroup, sizeof(cgroup), "%s/machine-cw\\x2d%d.scope", roots[i], (int)getpid());
        snprintf(procs, sizeof(procs), "%s/cgroup.procs", cgroup);
        if (mkdir(cgroup, 0755) == 0 && access(procs, W_OK) == 0)
            return;
        rmdir(cgroup);
    }
    cr_skip_test("no cgroup can be made (not root?)");
}

static in_port_t start_container(struct program *program)
{
    make_cgroup();
    if (shell(said, sizeof(said), "unshare --net --pid --fork true 2>&1") != 0) {
        rmdir(cgroup);
        cr_skip_test("no namespaces: %s", said);
    }
    program_start(program, NULL,
                  ARGS("unshare", "--net", "--pid", "--fork", "--kill-child", "/usr/bin/python3",
                       "-c", script, cgroup));
    return port_of(program);
}

static void end_container(struct program *program)
{
    cr_expect_eq(program_end(program), 0);
    cr_expect_eq(rmdir(cgroup), 0, "%s stays", cgroup);
}

Test(outside_container, is_listed_and_named_by_ps)
{
    struct program program;
    char expected[256];
    const in_port_t port = start_container(&program);
    snprintf(expected, sizeof(expected), "contained machine:%s 127.0.0.1:%d\n", name, port);
    cr_expect_eq(shell(said, sizeof(said),
                       "%s ps -n -o COMMAND,CONTAINER,PEER | tr -s ' ' | grep ' machine:%s '",
                       built("closewait"), name),
                 0);
    cr_expect_str_eq(said, expected, "%s", said);
    shell(said, sizeof(said), "%s ps --format=openmetrics | grep '^closewait_sockets{'",
          built("closewait"));
    snprintf(expected, sizeof(expected),
             "process=\"contained\",container=\"machine:%s\",class=\"eof-unread\","
             "direction=\"connected\",port=\"%d\"} 1\n",
             name, port);
    cr_expect_not_null(strstr(said, expected), "no %s in %s", expected, said);
    end_container(&program);
}

/* By docs/schema.json, and no field that it does not know. */
static void must_be_valid(const char *lines)
{
    char command[] = "/usr/bin/python3 tests/schema.py --strict >/dev/null";
    FILE *checker = popen(command, "we");
    cr_assert_not_null(checker);
    fputs(lines, checker);
    cr_expect_eq(pclose(checker), 0, "%s", lines);
}

Test(outside_container, is_watched_and_named_in_reports)
{
    struct program program;
    struct program watch;
    char expected[96];
    start_container(&program);
    program_start(&watch, NULL,
                  ARGS(built("closewait"), "watch", "--name=contained", "--grace=100ms"));
    snprintf(expected, sizeof(expected), "] in machine:%s: leak: fd ", name);
    program_must_report(&watch, expected);
    kill(watch.pid, SIGTERM);
    cr_expect_eq(program_end(&watch), 0);
    program_start(
        &watch, NULL,
        ARGS(built("closewait"), "watch", "--name=contained", "--grace=100ms", "--format=json"));
    snprintf(expected, sizeof(expected), ",\"container\":\"machine:%s\",", name);
    program_must_report(&watch, expected);
    kill(watch.pid, SIGTERM);
    cr_expect_eq(program_end(&watch), 0);
    must_be_valid(watch.reported);
    end_container(&program);
}

Test(outside_container, is_named_by_reap_too)
{
    static const struct {
        const char *options;
        const char *expected;
    } rows[] = {
        {"--dry-run", "] in machine:%s: fd "},
        {"--dry-run --format=json", "\"container\":\"machine:%s\","},
        {"", "] in machine:%s: reap: fd "},
    };
    struct program program;
    char expected[96];
    char pid[16];
    start_container(&program);
    shell(pid, sizeof(pid), "%s ps -n -o CONTAINER,PID | sed -n 's/^machine:%s *//p'",
          built("closewait"), name);
    pid[strcspn(pid, "\n")] = '\0';
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        shell(said, sizeof(said), "%s reap --all --grace=1ms %s %s 2>&1", built("closewait"),
              rows[i].options, pid);
        snprintf(expected, sizeof(expected), rows[i].expected, name);
        cr_expect_not_null(strstr(said, expected), "no %s in %s", expected, said);
    }
    end_container(&program);
}

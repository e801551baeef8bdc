/*
 * closewait reap on processes in every state that a process can be in: stopped, traced, dying,
 * another user's, filtered, and what it says to arguments that are wrong.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "half_closed.h"
#include "support.h"

static char said[64 * 1024];

static int reap(pid_t pid, const char *options)
{
    return shell(said, sizeof(said), "timeout 30 %s reap --all --grace=1ms %s %d 2>&1",
                 built("closewait"), options, (int)pid);
}

#define must_say_that(text) cr_expect_not_null(strstr(said, text), "no '%s' in:\n%s", text, said)

/*
 * A child with a leaked socket on LEAK, that goes into some state and then waits. It alone has the
 * socket. said_by is the reading end of its standard output.
 */
enum { LEAK = 100 };

struct child {
    pid_t pid;
    int hold;    /* when it is closed, the child ends */
    int said_by; /* what the child tells */
};

static void await_end(int hold)
{
    char byte = 0;
    while (read(hold, &byte, 1) < 0 && errno == EINTR) {
    }
}

static struct child start_child(void (*enter)(int hold, int tell))
{
    int hold[2];
    int tell[2];
    char byte = 0;
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    cr_assert(pipe(hold) == 0 && pipe(tell) == 0);
    struct child child = {fork(), hold[1], tell[0]};
    if (child.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(hold[1]);
        const int fd = try_dial(AF_INET, port);
        dup2(fd, LEAK);
        close(fd);
        enter(hold[0], tell[1]);
        _exit(0);
    }
    close(hold[0]);
    close(tell[1]);
    const int peer = accept(listener, NULL, NULL);
    cr_assert_geq(peer, 0);
    close(peer);
    close(listener);
    cr_assert_eq(read(child.said_by, &byte, 1), 1);
    return child;
}

/* Its exit status, as a shell gives it, once it is let go. */
static int end_child(struct child child)
{
    int status = -1;
    close(child.hold);
    cr_assert_eq(waitpid(child.pid, &status, 0), child.pid);
    close(child.said_by);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void say(int tell)
{
    /* Not before the peer has closed. */
    poll(&(struct pollfd){.fd = LEAK, .events = POLLRDHUP}, 1, 5000);
    poll(NULL, 0, 20);
    if (write(tell, "r", 1) != 1)
        _exit(99);
}

static void wait_only(int hold, int tell)
{
    say(tell);
    await_end(hold);
}

static char state_of(pid_t pid)
{
    char state[8];
    shell(state, sizeof(state), "sed -n 's/^State:.\\(.\\).*/\\1/p' /proc/%d/status", (int)pid);
    return state[0];
}

static bool is_stopped(const void *pid)
{
    return state_of(*(const pid_t *)pid) == 'T';
}

static bool is_asleep(const void *pid)
{
    return state_of(*(const pid_t *)pid) == 'S';
}

Test(outside_states, a_stopped_process_stays_stopped)
{
    int status = 0;
    const struct child child = start_child(wait_only);
    kill(child.pid, SIGSTOP);
    cr_assert_eq(waitpid(child.pid, &status, WUNTRACED), child.pid);
    cr_expect_eq(reap(child.pid, ""), 0, "%s", said);
    must_say_that(": closed, and the connection is gone\n");
    for (int i = 0; i < 20; i++) {
        cr_expect(is_stopped(&child.pid), "%c", state_of(child.pid));
        poll(NULL, 0, 10);
    }
    cr_expect_eq(waitpid(child.pid, &status, WUNTRACED | WCONTINUED | WNOHANG), 0);
    kill(child.pid, SIGCONT);
    cr_expect(eventually(is_asleep, &child.pid));
    cr_expect_eq(end_child(child), 0);
}

/* Starts a tracer of the child, refuses it with the tracer, and serves it when that has gone. */
static void must_be_refused_under(const char *name, const char *command)
{
    char expected[128];
    char number[64];
    const struct child child = start_child(wait_only);
    shell(number, sizeof(number), "%s -p %d </dev/null >/dev/null 2>&1 & echo $!", command,
          (int)child.pid);
    const pid_t tracer = (pid_t)strtol(number, NULL, 10);
    snprintf(expected, sizeof(expected), "process %d is traced by process %d (%s)", (int)child.pid,
             (int)tracer, name);
    const uint64_t begin = now_ms();
    do
        reap(child.pid, "--dry-run");
    while (!strstr(said, "is traced by") && now_ms() - begin < PATIENCE_MS);
    cr_expect_eq(reap(child.pid, ""), 1);
    must_say_that(expected);
    cr_expect_eq(times(said, "\n"), 1, "%s", said);
    kill(tracer, SIGTERM);
    for (int i = 0; i < 200 && reap(child.pid, "") != 0; i++)
        poll(NULL, 0, 10);
    must_say_that(": closed, and the connection is gone\n");
    cr_expect_eq(end_child(child), 0);
}

Test(outside_states, a_traced_process_is_refused_with_the_tracer)
{
    must_be_refused_under("strace", "strace -qq -o /dev/null");
}

Test(outside_states, a_process_in_a_debugger_is_refused_with_its_name, .timeout = 60)
{
    if (shell(said, sizeof(said), "command -v gdb") != 0)
        cr_skip_test("no gdb");
    must_be_refused_under("gdb", "gdb -nx -batch -ex continue");
}

Test(outside_states, a_process_that_dies_is_told_in_a_line, .timeout = 60)
{
    for (int i = 0; i < 40; i++) {
        const struct child child = start_child(wait_only);
        const pid_t killer = fork();
        if (killer == 0) {
            poll(NULL, 0, i % 20);
            kill(child.pid, SIGKILL);
            _exit(0);
        }
        const int status = reap(child.pid, "");
        cr_expect(status == 0 || status == 1, "%d: %s", status, said);
        cr_expect_eq(strncmp(said, "closewait", 9), 0, "%s", said);
        waitpid(killer, NULL, 0);
        cr_expect_eq(end_child(child), 128 + SIGKILL);
    }
}

Test(outside_states, no_process_is_told_so)
{
    const pid_t gone = fork();
    if (gone == 0)
        _exit(0);
    siginfo_t info;
    waitid(P_PID, (id_t)gone, &info, WEXITED | WNOWAIT);
    cr_expect_eq(reap(gone, ""), 1);
    must_say_that("has ended, and its parent has not asked for it yet\n");
    waitpid(gone, NULL, 0);
    cr_expect_eq(reap(gone, ""), 1);
    must_say_that("closewait reap: no process has the id ");
    cr_expect_eq(reap(2, ""), 1);
    must_say_that("process 2 is a thread of the kernel's\n");
}

Test(outside_states, another_user_is_told_what_it_takes)
{
    if (geteuid() != 0)
        cr_skip_test("needs root to become another user");
    const struct child child = start_child(wait_only);
    shell(said, sizeof(said),
          "d=$(mktemp -d) && chmod 755 $d && cp %s $d && cd $d && "
          "setpriv --reuid=65534 --regid=65534 --clear-groups ./closewait reap --all %d 2>&1; "
          "echo status $?; rm -r $d",
          built("closewait"), (int)child.pid);
    must_say_that(": it takes CAP_SYS_PTRACE");
    must_say_that(": run as root\nstatus 1\n");
    /* And root without it. */
    shell(said, sizeof(said),
          "setpriv --bounding-set=-sys_ptrace --inh-caps=-sys_ptrace %s reap --all %d 2>&1; "
          "echo status $?",
          built("closewait"), (int)child.pid);
    must_say_that(": it takes CAP_SYS_PTRACE: in a container, give it that capability, or run "
                  "outside as root\nstatus 1\n");
    cr_expect_eq(end_child(child), 0);
}

static void become_nobody(int hold, int tell)
{
    /* Dumpable, or what is in /proc would stay root's (proc(5)). */
    if (setgid(65534) != 0 || setuid(65534) != 0 || prctl(PR_SET_DUMPABLE, 1) != 0)
        _exit(77);
    wait_only(hold, tell);
}

Test(outside_states, root_that_may_not_list_descriptors_is_told_what_it_takes)
{
    if (geteuid() != 0)
        cr_skip_test("needs root to become another user");
    const struct child child = start_child(become_nobody);
    const char drop[] = "-dac_read_search,-dac_override";
    shell(said, sizeof(said),
          "setpriv --bounding-set=%s --inh-caps=%s %s reap --all %d 2>&1; echo status $?", drop,
          drop, built("closewait"), (int)child.pid);
    must_say_that(": it takes CAP_DAC_READ_SEARCH: in a container, give it that capability, or run "
                  "outside as root\nstatus 1\n");
    cr_expect_eq(end_child(child), 0);
}

static void filter_sockets(int hold, int tell)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_dup3, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    const struct sock_fprog program = {sizeof(rules) / sizeof(rules[0]), rules};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(77);
    wait_only(hold, tell);
}

/* With the filter lifted for our calls where the kernel and our rights let us, or not at all. */
Test(outside_states, a_filter_of_system_calls_does_not_kill)
{
    const struct child child = start_child(filter_sockets);
    const int status = reap(child.pid, "");
    if (status == 0)
        must_say_that(": closed, and the connection is gone\n");
    else
        must_say_that("filters its system calls (seccomp); it takes CAP_SYS_ADMIN");
    cr_expect_eq(end_child(child), 0);
}

/* From here on the command, too, has a filter: EPERM for one system call. */
static void refuse_call(uint32_t number)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof(rules) / sizeof(rules[0]), rules};
    cr_assert(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
              prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

Test(outside_states, root_whose_container_forbids_to_copy_descriptors_is_told_so)
{
    if (geteuid() != 0)
        cr_skip_test("needs CAP_SYS_PTRACE");
    const struct child child = start_child(wait_only);
    refuse_call(SYS_pidfd_getfd);
    cr_expect_eq(reap(child.pid, ""), 1);
    must_say_that(" although CAP_SYS_PTRACE is there: a filter of system calls (seccomp) or a ");
    cr_expect_eq(end_child(child), 0);
}

Test(outside_states, a_filter_on_the_command_keeps_it_from_lifting_another)
{
    const struct child child = start_child(filter_sockets);
    refuse_call(SYS_acct);
    cr_expect_eq(reap(child.pid, ""), 1);
    must_say_that("filters its system calls (seccomp); it takes CAP_SYS_ADMIN to make others in "
                  "it, and no such filter on closewait itself: run as root, outside of the "
                  "container\n");
    cr_expect_eq(end_child(child), 0);
}

static int ends_for_thread[2];

static void *wait_alone(void *unused)
{
    wait_only(ends_for_thread[0], ends_for_thread[1]);
    _exit(0);
    return unused;
}

static void be_alone(int hold, int tell)
{
    pthread_t thread;
    ends_for_thread[0] = hold;
    ends_for_thread[1] = tell;
    if (pthread_create(&thread, NULL, wait_alone, NULL) == 0)
        pthread_exit(NULL);
}

Test(outside_states, the_first_thread_may_have_ended)
{
    const struct child child = start_child(be_alone);
    cr_expect_eq(reap(child.pid, ""), 0, "%s", said);
    must_say_that(": closed, and the connection is gone\n");
    cr_expect_eq(end_child(child), 0);
}

static void wait_in_vfork(int hold, int tell)
{
    say(tell);
    const pid_t pid = vfork();
    if (pid == 0) {
        close(LEAK);
        await_end(hold);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}

Test(outside_states, a_thread_that_waits_for_a_vfork_child_is_told)
{
    const struct child child = start_child(wait_in_vfork);
    poll(NULL, 0, 50);
    cr_expect_eq(reap(child.pid, ""), 1);
    must_say_that(
        " does not stop, it waits for the kernel or for a vfork child: try again later\n");
    must_say_that("left alone: the process could not be stopped\n");
    cr_expect_eq(end_child(child), 0);
}

static int hold_for_sharer;

static int share(void *unused)
{
    (void)unused;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    await_end(hold_for_sharer);
    return 0;
}

static void share_descriptors(int hold, int tell)
{
    static char stack[65536] __attribute__((aligned(16)));
    hold_for_sharer = hold;
    const pid_t pid = clone(share, stack + sizeof(stack), CLONE_FILES | SIGCHLD, NULL);
    wait_only(hold, tell);
    waitpid(pid, NULL, 0);
}

Test(outside_states, a_process_that_has_the_same_table_is_told)
{
    const struct child child = start_child(share_descriptors);
    cr_expect_eq(reap(child.pid, ""), 1);
    must_say_that(" (CLONE_FILES), which would not stop with it\n");
    cr_expect_eq(end_child(child), 0);
}

Test(outside_states, a_32_bit_program_is_refused)
{
    if (shell(said, sizeof(said),
              "echo '#include <stdio.h>\nint main(void) { return 0; }' | "
              "gcc -m32 -x c -o /dev/null - 2>&1") != 0)
        cr_skip_test("no 32-bit compiler");
    char folder[] = "/tmp/closewait-32.XXXXXX";
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(shell(said, sizeof(said),
                       "gcc -m32 -std=gnu11 -o %s/leaker tests/programs/leaker.c 2>&1", folder),
                 0, "%s", said);
    struct program program;
    char path[64];
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    snprintf(path, sizeof(path), "%s/leaker", folder);
    program_start(&program, NULL, ARGS(path, step("connect4", port), "wait", "probe"));
    close(accept(listener, NULL, NULL));
    program_must_say(&program, "did connect4");
    for (int i = 0; i < 100 && reap(program.pid, "") == 0; i++)
        poll(NULL, 0, 10);
    must_say_that("is a program for another word size than closewait: not supported\n");
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 0);
    cr_expect_not_null(strstr(program.said, "recv 0, send 1"), "%s", program.said);
    shell(said, sizeof(said), "rm -r %s", folder);
}

Test(outside_states, arguments_that_are_wrong_are_told_in_a_line)
{
    static const struct {
        const char *arguments;
        const char *told;
    } rows[] = {
        {"", "no process: expected closewait reap [OPTION...] PID [FD...]\n"},
        {"1", "nothing to close: give descriptors, or --all for what is leaked; --dry-run shows "
              "it\n"},
        {"x", "'x' is no process id: expected one, such as 4711\n"},
        {"0 --all", "'0' is no process id: expected one, such as 4711\n"},
        {"1 3x", "'3x' is no descriptor: expected a number, such as 3\n"},
        {"1 -3", "unknown option '-3': closewait reap --help lists the options\n"},
        {"--all 1 3", "--all and descriptors exclude each other: give one of them\n"},
        {"--force --all 1", "--force takes the descriptors to close: closewait reap --force PID "
                            "FD...\n"},
        {"--grace=never --all 1", "grace is 'never': expected "},
        {"--grace=1s,action=log --all 1", "--grace is '1s,action=log': expected one duration\n"},
        {"--format=xml --all 1", "--format is 'xml': expected text or json\n"},
        {"--grace", "option '--grace' needs a value: closewait reap --help lists the options\n"},
        {"--walk", "unknown option '--walk': closewait reap --help lists the options\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const int status =
            shell(said, sizeof(said), "%s reap %s 2>&1", built("closewait"), rows[i].arguments);
        cr_expect_eq(status, 2, "%s: %d %s", rows[i].arguments, status, said);
        cr_expect_eq(strncmp(said, "closewait reap: ", 16), 0, "%s: %s", rows[i].arguments, said);
        cr_expect_not_null(strstr(said, rows[i].told), "%s: %s", rows[i].arguments, said);
        cr_expect_eq(times(said, "\n"), 1, "%s", said);
    }
}

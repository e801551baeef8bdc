/*
 * Things that programs do which are none of closewait's business: each prints what came of it, and
 * has to print the same under the shim. What each is called says what the shim once did to it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sockaddr_in addr;
static int listener;

static void open_listener(void)
{
    socklen_t len = sizeof(addr);
    addr.sin_family = AF_INET;
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&addr, len) != 0 || listen(listener, 512) != 0)
        exit(3);
    getsockname(listener, (struct sockaddr *)&addr, &len);
}

/* A client whose peer has closed. */
static int leak(void)
{
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0)
        exit(4);
    close(accept(listener, NULL, NULL));
    return fd;
}

static void rest(int ms)
{
    poll(NULL, 0, ms);
}

/* Until whoever started it has ended its standard input: what is to be told has been told. */
static void await_the_end_of_input(void)
{
    char line[16];
    while (fgets(line, sizeof(line), stdin)) {
    }
}

/* Its tombstones had the number 2 for a moment each. */
static void write_to_a_closed_standard_error(void)
{
    for (int i = 0; i < 100; i++)
        leak();
    close(2);
    int refused = 0;
    for (int i = 0; i < 2000; i++) {
        refused += write(2, "x", 1) == -1 && errno == EBADF;
        rest(i % 10 == 0);
    }
    printf("refused %d\n", refused);
}

/* Asking whether there are filters ended the watch. */
static void ask_for_seccomp(void)
{
    const int ret = prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL, 0, 0);
    printf("%d %s\n", ret, strerror(errno));
    leak();
    await_the_end_of_input();
}

static int end_by_number(void *unused)
{
    (void)unused;
    syscall(SYS_exit, 0);
    return 0;
}

/* One thread's end was taken for the last one's. */
static void end_one_thread_by_number(void)
{
    static _Alignas(16) char stack[65536];
    leak();
    const int flags =
        CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
    printf("%d\n", clone(end_by_number, stack + sizeof(stack), flags, NULL) > 0);
    await_the_end_of_input();
}

/* The watcher went, and no thread could be started any more. */
static void unshare_the_pids_of_children(void)
{
    leak();
    printf("%d\n", unshare(CLONE_NEWPID) == 0 || errno == EPERM);
    leak();
    await_the_end_of_input();
}

/* errno was 0 afterwards. */
static void bind_where_a_leak_is(void)
{
    struct sockaddr_in own = {.sin_family = AF_INET};
    socklen_t len = sizeof(own);
    const int fd = leak();
    getsockname(fd, (struct sockaddr *)&own, &len);
    await_the_end_of_input();
    errno = 77;
    const int other = socket(AF_INET, SOCK_STREAM, 0);
    const int ret = bind(other, (struct sockaddr *)&own, len);
    printf("%d\n", ret == 0 ? errno : 77);
}

static int is_stray(int fd, int last)
{
    return fd > last && fcntl(fd, F_GETFD) != -1;
}

/* A child had a descriptor that nobody had opened: a tombstone in the making. */
static void fork_while_sockets_are_closed(void)
{
    int strays = 0;
    int last = 0;
    for (int i = 0; i < 200; i++)
        last = leak();
    for (int i = 0; i < 2000; i++) {
        const pid_t pid = fork();
        if (pid == 0)
            _exit(is_stray(last + 1, last) || is_stray(last + 2, last));
        int status = 0;
        waitpid(pid, &status, 0);
        strays += status != 0;
    }
    printf("strays %d\n", strays);
}

static int first;
static int last;

static void close_all(int number)
{
    (void)number;
    for (int fd = first; fd <= last; fd++)
        close(fd);
}

/* A handler in a child that was adopting its table waited for a claim of the parent's watcher. */
static void interrupt_a_forked_child(void)
{
    first = leak();
    for (int i = 0; i < 200; i++)
        last = leak();
    signal(SIGALRM, close_all);
    int ended = 0;
    for (int i = 0; i < 300; i++) {
        sigset_t alarm;
        sigemptyset(&alarm);
        sigaddset(&alarm, SIGALRM);
        sigprocmask(SIG_BLOCK, &alarm, NULL);
        const pid_t pid = fork();
        if (pid == 0) {
            kill(getpid(), SIGALRM);
            sigprocmask(SIG_UNBLOCK, &alarm, NULL);
            close(first);
            _exit(0);
        }
        int status = 1;
        waitpid(pid, &status, 0);
        ended += status == 0;
    }
    printf("ended %d\n", ended);
}

/* The socket that it was to replace was forgotten. */
static void dup2_that_fails(void)
{
    const int fd = leak();
    printf("%d\n", dup2(-1, fd));
    await_the_end_of_input();
}

/* A line of ours to a file that is full was the program's end. */
static void live_under_a_limit_of_file_size(void)
{
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_FSIZE, &none);
    leak();
    await_the_end_of_input();
    printf("alive\n");
}

#define END_AT(number)                                                                             \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),                                             \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)

/* A call of ours that its filter does not know was the end of it. */
static void be_a_sandbox(void)
{
    struct sock_filter calls[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        END_AT(SYS_getsockopt),
        END_AT(SYS_getsockname),
        END_AT(SYS_process_vm_readv),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog filter = {sizeof(calls) / sizeof(calls[0]), calls};
    int ends[2];
    leak();
    const int second = socket(AF_INET, SOCK_STREAM, 0);
    await_the_end_of_input();
    if (pipe(ends) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) != 0)
        exit(5);
    printf("%d\n", bind(second, (struct sockaddr *)&addr, sizeof(addr)));
    printf("%s\n", strerror(errno));
    printf("%d\n", poll(&(struct pollfd){.fd = ends[0], .events = POLLIN}, 1, 1));
}

/* The kernel's clock reads the counter: an end of stream was the end of it. */
static void forbid_itself_the_time_stamp_counter(void)
{
    char c;
    prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0);
    const int fd = leak();
    printf("%zd\n", read(fd, &c, 1));
    await_the_end_of_input();
}

static const struct {
    const char *name;
    void (*go)(void);
} manners[] = {
    {"closed-stderr", write_to_a_closed_standard_error},
    {"seccomp", ask_for_seccomp},
    {"sandbox", be_a_sandbox},
    {"tsc", forbid_itself_the_time_stamp_counter},
    {"thread-exit", end_one_thread_by_number},
    {"newpid", unshare_the_pids_of_children},
    {"bind", bind_where_a_leak_is},
    {"fork", fork_while_sockets_are_closed},
    {"interrupt", interrupt_a_forked_child},
    {"dup2", dup2_that_fails},
    {"fsize", live_under_a_limit_of_file_size},
};

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    open_listener();
    for (size_t i = 0; argc == 2 && i < sizeof(manners) / sizeof(manners[0]); i++) {
        if (strcmp(argv[1], manners[i].name) != 0)
            continue;
        manners[i].go();
        return 0;
    }
    return 2;
}

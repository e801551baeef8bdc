/*
 * A program with a leaked socket, whose threads wait in system calls of different kinds: what
 * becomes of those when somebody stops it from outside?
 *
 *     blocked PORT CALL [CALL...]
 *
 * connects to the port, waits until that peer has closed, and makes each call, on a thread of its
 * own; a single one on the first thread. Each says "CALL: RESULT ERRNO after MILLISECONDS" when it
 * returns. A child sets off what they wait for, when it has read a byte of standard input. What
 * waits for a time waits for WAIT_MS.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 1500L

enum { CALLS_MAX = 32 };

static const struct timespec wait_time = {.tv_sec = WAIT_MS / 1000,
                                          .tv_nsec = WAIT_MS % 1000 * 1000000};

/* Seen by the child that sets things off. */
struct shared {
    _Atomic uint32_t word;
    _Atomic pid_t paused[2]; /* threads that wait for a signal */
    struct sockaddr_in listener;
};

static struct shared *shared;
static int ends[2];
static int listener;
static int semaphores;
static pid_t other;

static int wait_epoll(int ms)
{
    const int set = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &event);
    return epoll_wait(set, &event, 1, ms);
}

static long do_epoll(void)
{
    return wait_epoll(-1);
}

/* Of a pipe that nobody writes to. */
static long do_epoll_timed(void)
{
    return epoll_wait(epoll_create1(0), &(struct epoll_event){0}, 1, WAIT_MS);
}

static long do_futex(void)
{
    return syscall(SYS_futex, &shared->word, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static long do_futex_timed(void)
{
    uint32_t own = 0;
    return syscall(SYS_futex, &own, FUTEX_WAIT_PRIVATE, 0, &wait_time, NULL, 0);
}

static long do_nanosleep(void)
{
    return syscall(SYS_nanosleep, &wait_time, NULL);
}

static long do_clock_nanosleep(void)
{
    return syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &wait_time, NULL);
}

static long do_read(void)
{
    char byte;
    return read(ends[0], &byte, 1);
}

static long do_accept(void)
{
    const int fd = accept(listener, NULL, NULL);
    return fd < 0 ? fd : 0;
}

static long do_poll(void)
{
    return poll(&(struct pollfd){.fd = ends[0], .events = POLLIN}, 1, -1);
}

static long do_poll_timed(void)
{
    return poll(NULL, 0, WAIT_MS);
}

static long do_select_timed(void)
{
    return select(0, NULL, NULL, NULL,
                  &(struct timeval){.tv_sec = WAIT_MS / 1000, .tv_usec = WAIT_MS % 1000 * 1000});
}

static long do_recv_timed(void)
{
    char byte;
    int pair[2];
    const struct timeval limit = {.tv_sec = WAIT_MS / 1000, .tv_usec = WAIT_MS % 1000 * 1000};
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    return recv(pair[0], &byte, 1, 0);
}

static long do_read_timed(void)
{
    char byte;
    int pair[2];
    const struct timeval limit = {.tv_sec = WAIT_MS / 1000, .tv_usec = WAIT_MS % 1000 * 1000};
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    return read(pair[0], &byte, 1);
}

static void nothing(int signal)
{
    (void)signal;
}

static long do_pause(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    shared->paused[0] = gettid();
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    return pause();
}

static long do_sigsuspend(void)
{
    sigset_t set;
    sigemptyset(&set);
    shared->paused[1] = gettid();
    return sigsuspend(&set);
}

static long do_sigtimedwait(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    return sigtimedwait(&set, NULL, &wait_time);
}

static long do_wait4(void)
{
    return wait4(other, NULL, 0, NULL) == other ? 0 : -1;
}

static long do_semop(void)
{
    struct sembuf take = {.sem_op = -1};
    return semop(semaphores, &take, 1);
}

static long do_semtimedop(void)
{
    struct sembuf take = {.sem_num = 1, .sem_op = -1};
    return semtimedop(semaphores, &take, 1, &wait_time);
}

/* What a stop must not touch: a loop that never enters the kernel. */
static long do_spin(void)
{
    volatile uint64_t sum = 0;
    uint64_t expected = 0;
    while (shared->word == 0) {
        sum = sum + 1;
        expected++;
    }
    return sum == expected ? 0 : -1;
}

static const struct call {
    const char *name;
    long (*make)(void);
} calls[] = {
    {"epoll", do_epoll},
    {"epoll_timed", do_epoll_timed},
    {"futex", do_futex},
    {"futex_timed", do_futex_timed},
    {"nanosleep", do_nanosleep},
    {"clock_nanosleep", do_clock_nanosleep},
    {"read", do_read},
    {"accept", do_accept},
    {"poll", do_poll},
    {"poll_timed", do_poll_timed},
    {"select_timed", do_select_timed},
    {"recv_timed", do_recv_timed},
    {"read_timed", do_read_timed},
    {"pause", do_pause},
    {"sigsuspend", do_sigsuspend},
    {"sigtimedwait", do_sigtimedwait},
    {"wait4", do_wait4},
    {"semop", do_semop},
    {"semtimedop", do_semtimedop},
    {"spin", do_spin},
};

static const struct call *call_of(const char *name)
{
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        if (strcmp(calls[i].name, name) == 0)
            return &calls[i];
    fprintf(stderr, "blocked: unknown call '%s'\n", name);
    exit(2);
}

static long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void *make(void *argument)
{
    const struct call *call = argument;
    const long begin = now_ms();
    errno = 0;
    const long result = call->make();
    const char *error = result < 0 ? strerrorname_np(errno) : "-";
    const long ms = now_ms() - begin;
    printf("%s: %ld %s after %ld\n", call->name, result, error, ms);
    fflush(stdout);
    return NULL;
}

static void set_off(pid_t program)
{
    char byte;
    if (read(0, &byte, 1) != 1)
        _exit(1);
    shared->word = 1;
    syscall(SYS_futex, &shared->word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
    if (write(ends[1], "..", 2) != 2)
        _exit(1);
    struct sembuf give = {.sem_op = 1};
    semop(semaphores, &give, 1);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&shared->listener, sizeof(shared->listener)) != 0)
        _exit(1);
    for (int i = 0; i < 2; i++)
        if (shared->paused[i])
            syscall(SYS_tgkill, program, shared->paused[i], SIGUSR1);
}

/* Before the socket is there: no child may hold it. */
static void start_children(void)
{
    const pid_t program = getpid();
    if (fork() == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        set_off(program);
        _exit(0);
    }
    other = fork();
    if (other == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        syscall(SYS_futex, &shared->word, FUTEX_WAIT, 0, NULL, NULL, 0);
        _exit(0);
    }
}

static void prepare(void)
{
    socklen_t len = sizeof(shared->listener);
    sigset_t set;
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    shared->listener.sin_family = AF_INET;
    shared->listener.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    semaphores = semget(IPC_PRIVATE, 2, 0600);
    if (pipe(ends) != 0 || semaphores < 0 ||
        bind(listener, (struct sockaddr *)&shared->listener, len) != 0 ||
        listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&shared->listener, &len) != 0) {
        perror("blocked");
        exit(1);
    }
    signal(SIGUSR1, nothing);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void leak(const char *port)
{
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons((in_port_t)strtol(port, NULL, 10))};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&in, sizeof(in)) != 0) {
        perror("blocked: connect");
        exit(1);
    }
    poll(&(struct pollfd){.fd = fd, .events = POLLRDHUP}, 1, -1);
    printf("leaked %d\n", fd);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    pthread_t threads[CALLS_MAX];
    const int count = argc - 2;
    if (count < 1 || count > CALLS_MAX)
        return 2;
    prepare();
    start_children();
    leak(argv[1]);
    if (count == 1)
        make((void *)call_of(argv[2]));
    for (int i = 0; count > 1 && i < count; i++)
        pthread_create(&threads[i], NULL, make, (void *)call_of(argv[2 + i]));
    for (int i = 0; count > 1 && i < count; i++)
        pthread_join(threads[i], NULL);
    semctl(semaphores, 0, IPC_RMID);
    printf("over\n");
    return 0;
}

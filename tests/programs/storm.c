/*
 * A storm on the table: threads that open, accept, dup2 over, close and reuse numbers as fast as
 * they can, beside peers that send FIN at random and a watcher that reaps at once. Every
 * descriptor carries a tag, its inode, that its owner checks before he gives it up: one that has
 * become something else was touched by somebody else.
 *
 *     storm SECONDS [THREADS]
 *
 * The shim is linked in, with a watcher that sweeps every millisecond. Prints how many cycles and
 * reaps there were; exits 1 at the first innocent descriptor that was touched.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { HELD = 24 };

/* A descriptor and what it must be. A leaked one may have become a tombstone, nothing else. */
struct held {
    int fd;
    ino_t tag;
    int leaked;
    int peer;
};

struct hand {
    pthread_t thread;
    unsigned seed;
    int listener;
    in_port_t port;
    struct held held[HELD];
    long cycles;
    long tombs;
};

static _Atomic int stop;

static _Noreturn void wrong(const char *what, int fd)
{
    struct stat st = {0};
    const int ret = fstat(fd, &st);
    fprintf(stderr, "storm: descriptor %d: %s (fstat %d, mode %o, inode %lu)\n", fd, what, ret,
            (unsigned)st.st_mode, (unsigned long)st.st_ino);
    abort();
}

static ino_t tag_of(int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        wrong("was closed by somebody else", fd);
    return st.st_ino;
}

static int is_tombstone(int fd)
{
    struct sockaddr_storage addr;
    socklen_t len = sizeof(addr);
    char c;
    return getpeername(fd, (struct sockaddr *)&addr, &len) == -1 && errno == ENOTCONN &&
           recv(fd, &c, 1, MSG_DONTWAIT) == 0;
}

/* Looks at it for the last time. */
static void check(struct hand *hand, const struct held *held)
{
    if (tag_of(held->fd) == held->tag)
        return;
    if (!held->leaked || !is_tombstone(held->fd))
        wrong("is not what its owner opened", held->fd);
    hand->tombs++;
}

static struct held hold(int fd, int leaked, int peer)
{
    if (fd < 0)
        wrong(strerror(errno), fd);
    return (struct held){fd, tag_of(fd), leaked, peer};
}

static unsigned draw(struct hand *hand, unsigned below)
{
    return (unsigned)rand_r(&hand->seed) % below;
}

static void open_listener(struct hand *hand)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    socklen_t len = sizeof(in);
    hand->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(hand->listener, (struct sockaddr *)&in, len) != 0 || listen(hand->listener, 8) != 0 ||
        getsockname(hand->listener, (struct sockaddr *)&in, &len) != 0)
        wrong("cannot listen", hand->listener);
    hand->port = in.sin_port;
}

/* A connection to a random address of the loopback net: ports in TIME_WAIT do not run out. */
static struct held connect_pair(struct hand *hand)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = hand->port};
    in.sin_addr.s_addr = htonl(0x7f000001U + draw(hand, 1U << 20));
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&in, sizeof(in)) != 0)
        wrong("cannot connect", fd);
    const int accepted = accept(hand->listener, NULL, NULL);
    /* Either end may be the one whose peer goes. */
    const int mine = draw(hand, 2) ? fd : accepted;
    const int peer = mine == fd ? accepted : fd;
    /* Whoever closes last sends RST: hundreds of thousands in TIME_WAIT would help nobody. */
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(mine, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    if (draw(hand, 4) == 0) {
        setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        return hold(mine, 0, peer);
    }
    if (close(peer) != 0)
        wrong("the peer is not ours to close", peer);
    return hold(mine, 1, -1);
}

static struct held open_one(struct hand *hand)
{
    static const char nothing[] = "/dev/null";
    switch (draw(hand, 8)) {
    case 0:
    case 1:
        return connect_pair(hand);
    case 2:
        return hold(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), 0, -1);
    case 3:
        return hold(open(nothing, O_RDONLY | O_CLOEXEC), 0, -1);
    case 4:
        return hold(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), 0, -1);
    default:
        return hold(memfd_create("storm", MFD_CLOEXEC), 0, -1);
    }
}

/* Gives a descriptor up, in one of the ways that programs have. */
static void give_up(struct hand *hand, struct held *held)
{
    check(hand, held);
    const int way = (int)draw(hand, 8);
    if (way == 0) {
        FILE *stream = fdopen(held->fd, "r");
        if (!stream || fclose(stream) != 0)
            wrong("cannot be closed as a stream", held->fd);
    } else if (way == 1) {
        if (close_range((unsigned)held->fd, (unsigned)held->fd, 0) != 0)
            wrong("cannot be closed as a range", held->fd);
    } else if (close(held->fd) != 0) {
        wrong("cannot be closed", held->fd);
    }
    if (held->peer >= 0 && close(held->peer) != 0)
        wrong("the peer cannot be closed", held->peer);
}

/* Another file on the same number, over whatever is there. */
static void replace(struct hand *hand, struct held *held)
{
    check(hand, held);
    const int file = memfd_create("over", MFD_CLOEXEC);
    if (dup2(file, held->fd) != held->fd)
        wrong("cannot be replaced", held->fd);
    if (held->peer >= 0)
        close(held->peer);
    *held = hold(held->fd, 0, -1);
    if (held->tag != tag_of(file))
        wrong("is not what was put there", held->fd);
    close(file);
}

static void *storm(void *argument)
{
    struct hand *hand = argument;
    open_listener(hand);
    for (int i = 0; i < HELD; i++)
        hand->held[i] = open_one(hand);
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        struct held *held = &hand->held[draw(hand, HELD)];
        if (draw(hand, 4) == 0) {
            replace(hand, held);
        } else {
            give_up(hand, held);
            *held = open_one(hand);
        }
        hand->cycles++;
    }
    for (int i = 0; i < HELD; i++)
        give_up(hand, &hand->held[i]);
    close(hand->listener);
    return NULL;
}

/* A handler that does with sockets what it may: calls that are async-signal-safe. */
static void interrupt(int number)
{
    (void)number;
    const int kept = errno;
    char c;
    const struct sockaddr_in nobody = {.sin_family = AF_INET, .sin_port = htons(1)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (connect(fd, (const struct sockaddr *)&nobody, sizeof(nobody)) == 0)
        wrong("is connected to nobody", fd);
    recv(fd, &c, 1, MSG_DONTWAIT);
    close(fd);
    errno = kept;
}

/* A forked child is born while the watcher has slots claimed; it must not hang on them. */
static void fork_and_close(void)
{
    const pid_t pid = fork();
    if (pid == 0) {
        alarm(10);
        for (int fd = 3; fd < 300; fd++)
            close(fd);
        _exit(0);
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (status != 0) {
        fprintf(stderr, "storm: a forked child ended with %d\n", status);
        abort();
    }
}

int main(int argc, char **argv)
{
    const long seconds = argc > 1 ? strtol(argv[1], NULL, 10) : 10;
    const long threads = argc > 2 ? strtol(argv[2], NULL, 10) : 8;
    struct hand *hands = calloc((size_t)threads, sizeof(*hands));
    struct sigaction action = {.sa_handler = interrupt, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    for (long i = 0; i < threads; i++) {
        hands[i].seed = (unsigned)i + 1;
        pthread_create(&hands[i].thread, NULL, storm, &hands[i]);
    }
    const time_t end = time(NULL) + seconds;
    for (unsigned round = 0; time(NULL) < end; round++) {
        const struct timespec pause = {.tv_nsec = 5000000};
        nanosleep(&pause, NULL);
        pthread_kill(hands[round % (unsigned)threads].thread, SIGUSR1);
        if (round % 16 == 0)
            fork_and_close();
    }
    atomic_store(&stop, 1);
    long cycles = 0;
    long tombs = 0;
    for (long i = 0; i < threads; i++) {
        pthread_join(hands[i].thread, NULL);
        cycles += hands[i].cycles;
        tombs += hands[i].tombs;
    }
    free(hands);
    printf("storm: %ld cycles, %ld sockets were reaped, no other descriptor was touched\n", cycles,
           tombs);
    return tombs > 0 ? 0 : 1;
}

/*
 * A program that does with a TCP socket what its arguments say, one step each. It knows nothing
 * of closewait, uses libc alone, and waits for its standard input where a step says so: the test
 * that started it decides when it goes on.
 *
 *     connect4=PORT connect6=PORT mapped=PORT   to the loopback address
 *     nonblock=PORT      connect4 without waiting
 *     from=PORT          before a connect: bind to this port, exit 1 when that fails
 *     reuse              before a connect: SO_REUSEADDR
 *     accept4 accept6 accept   listen on a free port, print "port N", accept one
 *     listen=IP          listen there, on the port of from or a free one, print "port N"
 *     reuseport          before a listen: SO_REUSEPORT
 *     admit              accept one connection from that listener, and close it
 *     keep               the same, and leave it open
 *     read readv recv recvfrom recvmsg splice   once, print what was read
 *     drain              read until the end of stream
 *     send               one byte, without SIGPIPE; prints the errno name when it fails
 *     write writev sendmsg sendfile number   the same with it; number is by syscall()
 *     hold_pipe          block SIGPIPE and raise it
 *     release_pipe       unblock it
 *     keepalive=SECONDS  SO_KEEPALIVE, with this TCP_KEEPIDLE
 *     options            print both
 *     dup2=FD            duplicate the socket
 *     copy               go on with a duplicate
 *     fd=FD              go on with what has this number
 *     lend               a vfork child writes one byte, and exits with 0 when it got an answer
 *     close              close it
 *     fork               go on in a child, the parent waits for it
 *     vfork              a vfork child closes the socket's number and exits
 *     probe              print what poll, recv, send and getpeername say of it
 *     exec               go on in a new image of this program: the socket is inherited
 *     become=PATH        go on in that program, with the steps that are left
 *     fclose             close it as a stream
 *     daemon             close 3 to 65535 and daemonize
 *     chroot=DIR         and into it
 *     setuid=ID          become another user
 *     take2=FILE         close standard error, and open FILE on its number
 *     part               get descriptors of its own, beside another thread
 *     pthread_exit       end this thread, which is the last
 *     _exit quick_exit   end without destructors
 *     udp                a socket of another kind, connected
 *     nothing            nothing
 *     doze               sleep for a second
 *     wait               read a byte of standard input
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static int fd = -1;
static in_port_t own_port;
static int reuse;
static int reuseport;

static void fail(const char *what)
{
    printf("%s: %s\n", what, strerror(errno));
    fflush(stdout);
    perror(what);
    exit(1);
}

static void bind_own(int family)
{
    const int on = 1;
    if (reuse)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (!own_port)
        return;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(own_port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(own_port)};
    const int ret = family == AF_INET ? bind(fd, (struct sockaddr *)&in, sizeof(in))
                                      : bind(fd, (struct sockaddr *)&in6, sizeof(in6));
    if (ret != 0)
        fail("bind");
}

static void dial4(in_port_t port, int flags)
{
    fd = socket(AF_INET, SOCK_STREAM | flags, 0);
    bind_own(AF_INET);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&in, sizeof(in)) != 0 && errno != EINPROGRESS)
        fail("connect");
}

static void dial6(const char *ip, in_port_t port)
{
    fd = socket(AF_INET6, SOCK_STREAM, 0);
    bind_own(AF_INET6);
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    inet_pton(AF_INET6, ip, &in6.sin6_addr);
    if (connect(fd, (struct sockaddr *)&in6, sizeof(in6)) != 0)
        fail("connect");
}

static void serve(int family, int four)
{
    const int listener = socket(family, SOCK_STREAM, 0);
    /* Both families have the port in the same place. */
    struct sockaddr_in6 addr = {.sin6_family = (sa_family_t)family};
    socklen_t len = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(addr);
    if (bind(listener, (struct sockaddr *)&addr, len) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&addr, &len) != 0)
        fail("listen");
    printf("port %d\n", ntohs(addr.sin6_port));
    fflush(stdout);
    fd = four ? accept4(listener, NULL, NULL, SOCK_CLOEXEC) : accept(listener, NULL, NULL);
    if (fd < 0)
        fail("accept");
}

/* Both families have the port in the same place. */
static void listen_on(const char *ip)
{
    const int on = 1;
    struct sockaddr_in6 addr = {.sin6_port = htons(own_port)};
    struct sockaddr_in *in = (struct sockaddr_in *)&addr;
    addr.sin6_family = strchr(ip, ':') ? AF_INET6 : AF_INET;
    socklen_t len = addr.sin6_family == AF_INET ? sizeof(*in) : sizeof(addr);
    void *at = addr.sin6_family == AF_INET ? (void *)&in->sin_addr : (void *)&addr.sin6_addr;
    inet_pton(addr.sin6_family, ip, at);
    fd = socket(addr.sin6_family, SOCK_STREAM, 0);
    if (reuseport)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&addr, len) != 0 || listen(fd, 4) != 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &len) != 0)
        fail("listen");
    printf("port %d\n", ntohs(addr.sin6_port));
    fflush(stdout);
}

static int admit(void)
{
    const int accepted = accept(fd, NULL, NULL);
    if (accepted < 0)
        fail("accept");
    return accepted;
}

static ssize_t receive_into_pipe(void)
{
    int ends[2];
    if (pipe(ends) != 0)
        fail("pipe");
    const ssize_t n = splice(fd, NULL, ends[1], NULL, 16, 0);
    close(ends[0]);
    close(ends[1]);
    return n;
}

static void receive(const char *how)
{
    char buf[16];
    /* Not a constant to the compiler: then a fortified build checks it when it runs. */
    size_t size = sizeof(buf);
    __asm__("" : "+r"(size));
    struct iovec iov = {buf, size};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n = -1;
    if (strcmp(how, "read") == 0)
        n = read(fd, buf, size);
    else if (strcmp(how, "readv") == 0)
        n = readv(fd, &iov, 1);
    else if (strcmp(how, "recv") == 0)
        n = recv(fd, buf, size, 0);
    else if (strcmp(how, "recvfrom") == 0)
        n = recvfrom(fd, buf, size, 0, NULL, NULL);
    else if (strcmp(how, "recvmsg") == 0)
        n = recvmsg(fd, &msg, 0);
    else
        n = receive_into_pipe();
    if (n < 0)
        printf("%s %s\n", how, strerror(errno));
    else
        printf("%s %zd\n", how, n);
}

static void probe(void)
{
    char c = 0;
    struct sockaddr_storage addr;
    socklen_t len = sizeof(addr);
    struct pollfd polled = {.fd = fd, .events = POLLIN | POLLOUT};
    poll(&polled, 1, 0);
    printf("poll%s%s", polled.revents & POLLIN ? " in" : "",
           polled.revents & POLLHUP ? " hup" : "");
    const ssize_t got = recv(fd, &c, 1, 0);
    printf(", recv %zd", got);
    const ssize_t sent = send(fd, &c, 1, MSG_NOSIGNAL);
    printf(", send %s", sent == 1 ? "1" : strerror(errno));
    const int named = getpeername(fd, (struct sockaddr *)&addr, &len);
    printf(", getpeername %s\n", named == 0 ? "0" : strerror(errno));
}

static ssize_t transmit_file(void)
{
    FILE *file = tmpfile();
    if (!file || fputc(0, file) != 0 || fflush(file) != 0)
        fail("tmpfile");
    off_t from = 0;
    const ssize_t n = sendfile(fd, fileno(file), &from, 1);
    const int why = errno;
    fclose(file);
    errno = why;
    return n;
}

static void transmit(const char *how)
{
    char c = 0;
    struct iovec iov = {&c, 1};
    const struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n = -1;
    if (strcmp(how, "write") == 0)
        n = write(fd, &c, 1);
    else if (strcmp(how, "writev") == 0)
        n = writev(fd, &iov, 1);
    else if (strcmp(how, "send") == 0)
        n = send(fd, &c, 1, MSG_NOSIGNAL);
    else if (strcmp(how, "sendmsg") == 0)
        n = sendmsg(fd, &msg, 0);
    else if (strcmp(how, "sendfile") == 0)
        n = transmit_file();
    else
        n = syscall(SYS_write, fd, &c, 1);
    printf("%s %s\n", how, n == 1 ? "1" : strerror(errno));
}

static void hold_pipe(int how)
{
    sigset_t pipe_only;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    sigprocmask(how, &pipe_only, NULL);
}

static void keep_alive(int seconds)
{
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof(seconds));
}

static void print_options(void)
{
    int on = -1;
    int idle = -1;
    socklen_t len = sizeof(int);
    getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, &len);
    getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, &len);
    printf("keepalive %d, idle %d\n", on, idle);
}

static void go_on_in_child(void)
{
    const pid_t pid = fork();
    if (pid == 0)
        return;
    int status = 0;
    waitpid(pid, &status, 0);
    exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static void borrow(void)
{
    const pid_t pid = vfork();
    if (pid == 0) {
        close(fd);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}

static void lend(void)
{
    int status = 0;
    const pid_t pid = vfork();
    if (pid == 0) {
        const ssize_t n = write(fd, "", 1);
        _exit(n < 0 && errno != EPIPE);
    }
    waitpid(pid, &status, 0);
    printf("lend %s\n", WIFEXITED(status) && WEXITSTATUS(status) == 0 ? "0" : "killed");
}

/* connect on a datagram socket sends nothing. */
static void dial_udp(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(9)};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (connect(fd, (struct sockaddr *)&in, sizeof(in)) != 0)
        fail("connect");
}

static void become_daemon(void)
{
    for (int other = 3; other <= 65535; other++)
        close(other);
    if (daemon(1, 1) != 0)
        fail("daemon");
}

static void take_stderr(const char *path)
{
    close(2);
    if (open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600) != 2)
        fail(path);
}

static void *linger(void *unused)
{
    pause();
    return unused;
}

static void part(void)
{
    pthread_t other;
    if (pthread_create(&other, NULL, linger, NULL) != 0 || unshare(CLONE_FILES) != 0)
        fail("unshare");
}

/* Listening, and what changes the process around the socket. False when it is no such step. */
static int change(const char *step)
{
    const char *value = strchr(step, '=') ? strchr(step, '=') + 1 : "";
    if (strcmp(step, "daemon") == 0)
        become_daemon();
    else if (strncmp(step, "chroot=", 7) == 0) {
        if (chroot(value) != 0 || chdir("/") != 0)
            fail("chroot");
    } else if (strncmp(step, "setuid=", 7) == 0) {
        if (setuid((uid_t)strtol(value, NULL, 10)) != 0)
            fail("setuid");
    } else if (strncmp(step, "take2=", 6) == 0)
        take_stderr(value);
    else if (strcmp(step, "part") == 0)
        part();
    else if (strncmp(step, "listen=", 7) == 0)
        listen_on(value);
    else if (strcmp(step, "reuseport") == 0)
        reuseport = 1;
    else if (strcmp(step, "admit") == 0)
        close(admit());
    else if (strcmp(step, "keep") == 0)
        admit();
    else if (strcmp(step, "pthread_exit") == 0)
        pthread_exit(NULL);
    else if (strcmp(step, "_exit") == 0)
        _exit(0);
    else if (strcmp(step, "quick_exit") == 0)
        quick_exit(0);
    else if (strcmp(step, "fclose") == 0)
        fclose(fdopen(fd, "r"));
    else
        return 0;
    return 1;
}

static in_port_t port_of(const char *step)
{
    return (in_port_t)strtol(strchr(step, '=') + 1, NULL, 10);
}

static int begins(const char *step, const char *word)
{
    return strncmp(step, word, strlen(word)) == 0;
}

static void take(const char *step)
{
    char c = 0;
    if (change(step))
        return;
    if (begins(step, "connect4="))
        dial4(port_of(step), 0);
    else if (begins(step, "nonblock="))
        dial4(port_of(step), SOCK_NONBLOCK);
    else if (begins(step, "connect6="))
        dial6("::1", port_of(step));
    else if (begins(step, "mapped="))
        dial6("::ffff:127.0.0.1", port_of(step));
    else if (begins(step, "from="))
        own_port = port_of(step);
    else if (strcmp(step, "reuse") == 0)
        reuse = 1;
    else if (begins(step, "accept"))
        serve(strcmp(step, "accept6") == 0 ? AF_INET6 : AF_INET, strcmp(step, "accept4") == 0);
    else if (begins(step, "read") || begins(step, "recv") || strcmp(step, "splice") == 0)
        receive(step);
    else if (strcmp(step, "drain") == 0)
        while (read(fd, &c, 1) > 0) {
        }
    else if (begins(step, "write") || begins(step, "send") || strcmp(step, "number") == 0)
        transmit(step);
    else if (strcmp(step, "hold_pipe") == 0) {
        hold_pipe(SIG_BLOCK);
        raise(SIGPIPE);
    } else if (strcmp(step, "release_pipe") == 0)
        hold_pipe(SIG_UNBLOCK);
    else if (begins(step, "keepalive="))
        keep_alive(port_of(step));
    else if (strcmp(step, "options") == 0)
        print_options();
    else if (begins(step, "dup2="))
        dup2(fd, port_of(step));
    else if (begins(step, "fd="))
        fd = port_of(step);
    else if (strcmp(step, "copy") == 0)
        fd = dup(fd);
    else if (strcmp(step, "lend") == 0)
        lend();
    else if (strcmp(step, "close") == 0)
        close(fd);
    else if (strcmp(step, "fork") == 0)
        go_on_in_child();
    else if (strcmp(step, "vfork") == 0)
        borrow();
    else if (strcmp(step, "udp") == 0)
        dial_udp();
    else if (strcmp(step, "nothing") == 0)
        return;
    else if (strcmp(step, "doze") == 0)
        sleep(1);
    else if (strcmp(step, "probe") == 0)
        probe();
    else if (strcmp(step, "wait") == 0) {
        if (read(0, &c, 1) != 1)
            exit(0);
    } else {
        fprintf(stderr, "leaker: unknown step '%s'\n", step);
        exit(2);
    }
}

int main(int argc, char **argv);

static void *go_on(void *argv)
{
    exit(main(0, argv));
}

/* The rest is another thread's, and this one ends. */
static void hand_over(char **argv)
{
    pthread_t other;
    if (pthread_create(&other, NULL, go_on, argv) != 0)
        fail("pthread_create");
    pthread_exit(NULL);
}

int main(int argc, char **argv)
{
    (void)argc;
    for (int i = 1; argv[i]; i++) {
        if (strcmp(argv[i], "hand_over") == 0) {
            argv[i] = argv[0];
            hand_over(argv + i);
        }
        if (strcmp(argv[i], "exec") == 0) {
            argv[i] = argv[0];
            execv(argv[0], argv + i);
            fail("exec");
        }
        if (begins(argv[i], "become=")) {
            argv[i] = strchr(argv[i], '=') + 1;
            execv(argv[i], argv + i);
            fail("exec");
        }
        take(argv[i]);
        if (strcmp(argv[i], "wait") != 0) {
            printf("did %s\n", argv[i]);
            fflush(stdout);
        }
    }
    return 0;
}

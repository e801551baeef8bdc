/*
 * Every door that a socket goes through: a row for each call of the list, which does what the
 * call does to a socket and looks at the slot, the errno, the return value and, at the end, the
 * report. The list of calls makes the table: a call without a function door_NAME does not link.
 *
 *     doors REPORT        where REPORT is the file that both the reports and standard error go to
 *
 * The shim's own objects are linked in, so this program is one under the shim that can see the
 * table. It prints a line a door and one for the report, and exits 1 when one of them is wrong.
 */
#define _GNU_SOURCE
#include "doors.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct sockaddr_in addr;
int listener = -1;
int peer = -1;

static const char *failure;

void must_(int holds, const char *what)
{
    if (!holds && !failure)
        failure = what;
}

int has_failed(void)
{
    return failure != NULL;
}

/* The watcher may be looking at it just now. */
enum slot_state state(int fd)
{
    return slot_unclaimed(slot_word(slot_of(fd)));
}

enum how how(int fd)
{
    return slot_how(slot_word(slot_of(fd)));
}

int eof_read(int fd)
{
    return (slot_word(slot_of(fd)) & SLOT_EOF_READ) != 0;
}

static void open_listener(void)
{
    socklen_t len = sizeof(addr);
    addr = (struct sockaddr_in){.sin_family = AF_INET};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    must(bind(listener, (struct sockaddr *)&addr, len) == 0);
    must(listen(listener, 64) == 0);
    getsockname(listener, (struct sockaddr *)&addr, &len);
}

int live(void)
{
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    must(connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0);
    peer = accept(listener, NULL, NULL);
    must(state(fd) == SLOT_LIVE);
    return fd;
}

void await_fin(int fd)
{
    struct pollfd polled = {.fd = fd, .events = POLLRDHUP};
    must(poll(&polled, 1, 5000) == 1);
}

int ended(const char *bytes)
{
    const int fd = live();
    must(write(peer, bytes, strlen(bytes)) == (ssize_t)strlen(bytes));
    close(peer);
    await_fin(fd);
    return fd;
}

int in_child(void (*what)(void))
{
    fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0) {
        what();
        _exit(failure ? 1 : 0);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* What one line of the report must hold, once. Children note theirs, so it is shared. */
struct wanted {
    char parts[3][160];
    const char *door;
    int is_leak;
};

static struct {
    _Atomic int count;
    struct wanted wanted[128];
} * report;

static const char *door;

static struct wanted *want(void)
{
    const int at = report->count++;
    if (at >= (int)(sizeof(report->wanted) / sizeof(report->wanted[0])))
        abort();
    report->wanted[at].door = door;
    return &report->wanted[at];
}

void must_leak(int fd, const char *class, const char *how_opened)
{
    struct sockaddr_in local = {0};
    struct sockaddr_in remote = {0};
    socklen_t len = sizeof(local);
    must(getsockname(fd, (struct sockaddr *)&local, &len) == 0);
    must(getpeername(fd, (struct sockaddr *)&remote, &len) == 0);
    struct wanted *wanted = want();
    wanted->is_leak = 1;
    snprintf(wanted->parts[0], sizeof(wanted->parts[0]), "\"pid\":%d,", (int)getpid());
    snprintf(wanted->parts[1], sizeof(wanted->parts[1]),
             "\"class\":\"%s\",\"state\":\"CLOSE_WAIT\",\"local\":\"127.0.0.1:%d\","
             "\"peer\":\"127.0.0.1:%d\",\"how\":\"%s\",",
             class, ntohs(local.sin_port), ntohs(remote.sin_port), how_opened);
    snprintf(wanted->parts[2], sizeof(wanted->parts[2]), "\"open_stack\":[{\"module\":\"/");
}

void must_tell(pid_t pid, const char *what)
{
    struct wanted *wanted = want();
    snprintf(wanted->parts[0], sizeof(wanted->parts[0]), "closewait: doors[%d]: %s", (int)pid,
             what);
}

void must_tell_conflict(void)
{
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    must_fail(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), EADDRINUSE);
    close(fd);
    struct wanted *wanted = want();
    snprintf(wanted->parts[0], sizeof(wanted->parts[0]), "{\"type\":\"bind-conflict\",");
    snprintf(wanted->parts[1], sizeof(wanted->parts[1]), "\"pid\":%d,", (int)getpid());
    snprintf(wanted->parts[2], sizeof(wanted->parts[2]), "\"local\":\"127.0.0.1:%d\",",
             ntohs(addr.sin_port));
}

static int is_in_line(const char *line, size_t len, const struct wanted *wanted)
{
    for (int i = 0; i < 3; i++)
        if (!memmem(line, len, wanted->parts[i], strlen(wanted->parts[i])))
            return 0;
    return 1;
}

/* The lines that hold all of what is wanted. */
static int lines_with(const char *said, const struct wanted *wanted)
{
    int n = 0;
    for (const char *line = said; *line;) {
        const size_t len = strcspn(line, "\n");
        n += is_in_line(line, len, wanted);
        line += len + (line[len] == '\n');
    }
    return n;
}

static int leaks_wanted(void)
{
    int n = 0;
    for (int i = 0; i < report->count; i++)
        n += report->wanted[i].is_leak;
    return n;
}

/* The first that is wanted and not told; NULL when all are. */
static const struct wanted *untold(const char *said)
{
    for (int i = 0; i < report->count; i++)
        if (lines_with(said, &report->wanted[i]) != 1)
            return &report->wanted[i];
    return NULL;
}

static void read_report(const char *path, char *said, size_t size)
{
    const int fd = open(path, O_RDONLY);
    const ssize_t n = read(fd, said, size - 1);
    said[n > 0 ? n : 0] = '\0';
    close(fd);
}

static int check_report(const char *path)
{
    static char said[1 << 20];
    const struct wanted *missing = NULL;
    int tries = 100;
    do {
        poll(NULL, 0, 100);
        read_report(path, said, sizeof(said));
        missing = untold(said);
    } while (missing && --tries > 0);
    /* Not of the children: what they inherit is theirs as well. */
    struct wanted own = {.parts[0] = "{\"type\":\"leak\","};
    snprintf(own.parts[1], sizeof(own.parts[1]), "\"pid\":%d,", (int)getpid());
    const int leaks = lines_with(said, &own);
    const int wrong = missing || leaks != leaks_wanted();
    printf("%s report: %d of %d leaks\n", wrong ? "not ok" : "ok", leaks, leaks_wanted());
    if (missing)
        printf("    not told once, of %s: %s ... %s ... %s\n", missing->door, missing->parts[0],
               missing->parts[1], missing->parts[2]);
    return wrong;
}

static const struct {
    const char *name;
    void (*go)(void);
} doors[] = {
#define CALL(returns, name, parameters, kernel) {#name, door_##name},
#define ALIAS(name, of)                         {#name, door_##name},
#include "calls.h"
#undef CALL
};

int main(int argc, char **argv)
{
    int wrong = 0;
    if (argc != 2)
        return 2;
    report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; i < sizeof(doors) / sizeof(doors[0]); i++) {
        failure = NULL;
        door = doors[i].name;
        open_listener();
        doors[i].go();
        close(listener);
        printf("%s %s%s%s\n", failure ? "not ok" : "ok", doors[i].name, failure ? ": " : "",
               failure ? failure : "");
        wrong += failure != NULL;
    }
    wrong += check_report(argv[1]);
    return wrong ? 1 : 0;
}

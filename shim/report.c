#define _GNU_SOURCE
#include "report.h"

#include <fcntl.h>
#include <linux/stat.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>

#include "kernel.h"
#include "raw.h"
#include "signals.h"
#include "text.h"

enum { RECORD_SIZE = 4096, PORTS_REMEMBERED = 16 };

static const struct options *rules;
static char comm[16]; /* TASK_COMM_LEN */

/* Which file standard error was at the start; ino 0: none. */
static struct statx stderr_at_start;

static struct {
    uint32_t leaked;
    uint32_t reaped;
    uint32_t unwritten;
} counts;

/* How often each port was wanted in vain. */
static struct {
    struct endpoint wanted;
    uint32_t times;
} conflicts[PORTS_REMEMBERED];

static bool stat_of(int fd, struct statx *stat)
{
    return raw5(SYS_statx, fd, (long)"", AT_EMPTY_PATH, STATX_INO, (long)stat) == 0;
}

static bool stderr_is_ours(void)
{
    struct statx now = {0};
    return stderr_at_start.stx_ino && stat_of(2, &now) && now.stx_ino == stderr_at_start.stx_ino &&
           now.stx_dev_major == stderr_at_start.stx_dev_major &&
           now.stx_dev_minor == stderr_at_start.stx_dev_minor;
}

void report_init(void)
{
    raw2(SYS_prctl, PR_GET_NAME, (long)comm);
    /* inetd gives a server its connection as standard error: that is the client's. */
    if (!stat_of(2, &stderr_at_start) || kernel_is_tcp(2))
        stderr_at_start = (struct statx){0};
}

void report_start(const struct options *options)
{
    rules = options;
}

/* A planted symbolic link is not followed (O_NOFOLLOW); a record is appended in one piece. */
static bool write_file(const char *path, const struct text *text)
{
    const long fd =
        raw4(SYS_openat, AT_FDCWD, (long)path,
             O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0600);
    if (fd < 0)
        return false;
    const long written = raw3(SYS_write, fd, (long)text->at, (long)text->len);
    raw1(SYS_close, fd);
    return written == (long)text->len;
}

/* A pipe that nobody reads must not keep the watcher: a record fits where POLLOUT is (pipe(7)). */
static bool write_stderr(const struct text *text)
{
    static bool stuck;
    struct pollfd polled = {.fd = 2, .events = POLLOUT};
    const struct timespec patience = {.tv_nsec = stuck ? 0 : 500000000};
    if (!stderr_is_ours())
        return false;
    stuck = raw5(SYS_ppoll, (long)&polled, 1, (long)&patience, 0, 0) != 1;
    /* Once more: the program may have put a file of its own there while we waited. */
    return !stuck && (polled.revents & POLLOUT) && stderr_is_ours() &&
           raw3(SYS_write, 2, (long)text->at, (long)text->len) == (long)text->len;
}

/* Where the reports should have gone nobody will look for the reason that they did not. */
static void tell_lost_output(void)
{
    static bool told;
    if (told)
        return;
    told = true;
    report_complain("cannot write to the file of the option output (no folder, no space, no "
                    "permission, or a symbolic link): reports are lost");
}

static void write_out(const struct text *text)
{
    if (!rules->output[0]) {
        counts.unwritten += !write_stderr(text);
        return;
    }
    if (write_file(rules->output, text))
        return;
    counts.unwritten++;
    tell_lost_output();
}

static struct text begin(char *buffer, size_t size)
{
    struct text text = text_in(buffer, size);
    text_add(&text, "closewait: ");
    text_add(&text, comm);
    text_add(&text, "[");
    text_add_uint(&text, (uint64_t)raw0(SYS_getpid));
    text_add(&text, "]: ");
    return text;
}

/* On a thread of the host's: a SIGPIPE of ours is taken back before it is delivered. */
void report_complain(const char *what)
{
    char buffer[512];
    struct text text = begin(buffer, sizeof(buffer) - 1);
    text_add(&text, what);
    buffer[text.len++] = '\n';
    const uint64_t mask = signals_block();
    const uint64_t sigpipe = 1ULL << (SIGPIPE - 1);
    uint64_t pending = 0;
    raw2(SYS_rt_sigpending, (long)&pending, sizeof(pending));
    write_stderr(&text);
    const struct timespec at_once = {0};
    if (!(pending & sigpipe))
        raw4(SYS_rt_sigtimedwait, (long)&sigpipe, 0, (long)&at_once, sizeof(sigpipe));
    signals_restore(mask);
}

static void add_count(struct text *text, uint64_t number, const char *one, const char *many)
{
    text_add_uint(text, number);
    text_add(text, " ");
    text_add(text, number == 1 ? one : many);
}

static void add_ends(struct text *text, const struct leak *leak)
{
    text_add(text, "fd ");
    text_add_uint(text, (uint64_t)leak->fd);
    text_add(text, "  ");
    text_add_endpoint(text, &leak->local);
    text_add(text, " -> ");
    text_add_endpoint(text, &leak->peer);
}

static void add_state(struct text *text, const struct leak *leak)
{
    if (leak->state == TCP_CLOSE_WAIT) {
        text_add(text, "  CLOSE_WAIT: the peer closed ");
        text_add_duration(text, leak->gone_ms);
        text_add(text, " ago, the program never did\n");
    } else {
        text_add(text, "  CLOSE: the connection has been over for ");
        text_add_duration(text, leak->gone_ms);
        text_add(text, ", the program still holds it\n");
    }
}

static void add_class(struct text *text, const struct leak *leak)
{
    static const char *const classes[] = {
        [CLASS_NONE] = "",
        [CLASS_EOF_IGNORED] = "eof-ignored (it read the end of stream and went on)",
        [CLASS_EOF_UNREAD] = "eof-unread (it has not read since)",
        [CLASS_DATA_UNREAD] = "data-unread (bytes lie unread before the end of stream)",
        [CLASS_RESET_IGNORED] = "reset-ignored (reset, timed out or shut down)",
    };
    text_add(text, "    class ");
    text_add(text, classes[leak->class]);
    text_add(text, "; ");
    text_add_uint(text, leak->unread_bytes);
    text_add(text, " bytes unread, ");
    text_add_uint(text, leak->unsent_bytes);
    text_add(text, " unsent\n");
}

static void add_origin(struct text *text, const struct leak *leak)
{
    static const char *const ways[] = {
        [HOW_CONNECT] = "opened by connect ",
        [HOW_ACCEPT] = "opened by accept ",
        [HOW_INHERITED] = "inherited over fork, or over exec without FD_CLOEXEC; first seen ",
        [HOW_RECEIVED] = "received from another process (SCM_RIGHTS) ",
    };
    text_add(text, "    ");
    text_add(text, ways[leak->how]);
    text_add_duration(text, leak->open_ms);
    text_add(text, " ago\n");
}

static void add_advice(struct text *text, const struct leak *leak)
{
    text_add(text, "    close(");
    text_add_uint(text, (uint64_t)leak->fd);
    text_add(text, leak->state == TCP_CLOSE_WAIT ? ") when the peer closes" : ") it");
    if (leak->class == CLASS_DATA_UNREAD)
        text_add(text, "; never closed for the program while bytes are unread\n");
    else if (leak->error)
        text_add(text, "; not closed for the program before it has read the error\n");
    else
        text_add(text, rules->action == ACTION_LOG ? ", or run with action=close\n" : "\n");
}

static void add_leak_body(struct text *text, const struct leak *leak)
{
    add_class(text, leak);
    add_origin(text, leak);
    add_advice(text, leak);
}

static void add_leak(struct text *text, const struct record *record)
{
    text_add(text, "leak: ");
    add_ends(text, &record->leak);
    add_state(text, &record->leak);
    add_leak_body(text, &record->leak);
}

static void add_reap(struct text *text, const struct record *record)
{
    static const char *const fates[] = {
        [FATE_UNKNOWN] = "closed; the kernel could not be asked what became of it",
        [FATE_GONE] = "closed, and the connection is gone",
        [FATE_CLOSING] = "closed, the peer has yet to acknowledge",
        [FATE_HELD] = "closed here, but another descriptor or process still holds the connection",
    };
    text_add(text, "reap: ");
    add_ends(text, &record->leak);
    text_add(text, record->why == WHY_DEAD ? "  dead for " : "  leaked for ");
    text_add_duration(text, record->leak.gone_ms);
    text_add(text, ": ");
    if (record->error) {
        text_add(text, "could not be closed (errno ");
        text_add_uint(text, (uint64_t)record->error);
        text_add(text, ")\n");
        return;
    }
    text_add(text, fates[record->fate]);
    text_add(text, "\n");
}

static void add_more(struct text *text, int more)
{
    if (more <= 0)
        return;
    text_add(text, "    and ");
    add_count(text, (uint64_t)more, "more leaked socket holds", "more leaked sockets hold");
    text_add(text, " the port\n");
}

static void add_rescue(struct text *text, const struct record *record)
{
    text_add(text, "rescue: bind to ");
    text_add_endpoint(text, &record->wanted);
    text_add(text, " met a leaked socket of this program, which was closed for it; bind ");
    text_add(text, record->error ? "still fails after " : "works after ");
    text_add_uint(text, record->waited_ms);
    text_add(text, " ms\n    ");
    add_ends(text, &record->leak);
    add_state(text, &record->leak);
    add_leak_body(text, &record->leak);
    add_more(text, record->leaks - 1);
}

/* Who is in the way, when it is not a leak. Only what was proven is said of anybody. */
static void add_holder(struct text *text, const struct holder *holder)
{
    static const char *const states[] = {
        [TCP_ESTABLISHED] = "a live connection",
        [TCP_CLOSE_WAIT] = "a socket in CLOSE_WAIT",
        [TCP_LISTEN] = "a listening socket",
        [TCP_CLOSING + 1] = NULL,
    };
    const bool named = holder->state <= TCP_CLOSING && states[holder->state];
    const char *socket = named ? states[holder->state] : "a socket";
    switch (holder->kind) {
    case HOLDER_SELF:
        text_add(text, "this program itself holds the port, with ");
        text_add(text, socket);
        text_add(text, " that is not leaked\n");
        return;
    case HOLDER_OTHER:
        text_add(text, "another process holds the port, with ");
        text_add(text, socket);
        text_add(text, "\n    not this program's doing; find the process with: ss -tanp\n");
        return;
    case HOLDER_TIME_WAIT:
        text_add(text, "the port is in TIME_WAIT for ");
        text_add_duration(text, holder->left_ms);
        text_add(text, " more: the side that closes first waits\n"
                       "    no process holds it; had both sockets set SO_REUSEADDR, the one that "
                       "closed and this one, bind would work\n");
        return;
    case HOLDER_CLOSING:
        text_add(text, "a closed connection holds the port until its peer acknowledges\n");
        return;
    case HOLDER_UNKNOWN:
        break;
    }
    text_add(text, "who holds the port is not known; no leaked socket of this program does\n");
}

static void add_conflict(struct text *text, const struct record *record)
{
    text_add(text, "bind to ");
    text_add_endpoint(text, &record->wanted);
    text_add(text, " failed, address already in use: ");
    if (record->leaks == 0) {
        add_holder(text, &record->holder);
        return;
    }
    text_add(text, "this program still holds the port\n    ");
    add_ends(text, &record->leak);
    add_state(text, &record->leak);
    add_leak_body(text, &record->leak);
    add_more(text, record->leaks - 1);
}

bool report_count(const struct record *record)
{
    counts.leaked += (uint32_t)record->fresh;
    counts.reaped += (uint32_t)record->reaped;
    if (record->type != RECORD_BIND_CONFLICT)
        return true;
    for (int i = 0; i < PORTS_REMEMBERED; i++) {
        if (conflicts[i].times && !endpoint_equal(&conflicts[i].wanted, &record->wanted))
            continue;
        conflicts[i].wanted = record->wanted;
        const uint32_t times = ++conflicts[i].times;
        return (times & (times - 1)) == 0;
    }
    return false;
}

void report_tell(const struct record *record)
{
    static void (*const adders[])(struct text *, const struct record *) = {
        [RECORD_LEAK] = add_leak,
        [RECORD_REAP] = add_reap,
        [RECORD_RESCUE] = add_rescue,
        [RECORD_BIND_CONFLICT] = add_conflict,
    };
    char buffer[RECORD_SIZE];
    struct text text = begin(buffer, sizeof(buffer));
    adders[record->type](&text, record);
    write_out(&text);
}

void report_summary(void)
{
    const uint32_t lost = record_lost() + counts.unwritten;
    if (counts.leaked + counts.reaped + lost == 0)
        return;
    char buffer[512];
    struct text text = begin(buffer, sizeof(buffer));
    text_add(&text, "summary: ");
    add_count(&text, counts.leaked, "socket leaked, ", "sockets leaked, ");
    text_add_uint(&text, counts.reaped);
    text_add(&text, " reaped");
    if (lost) {
        text_add(&text, ", ");
        add_count(&text, lost, "report lost", "reports lost");
    }
    text_add(&text, "\n");
    write_out(&text);
}

void report_retirement(enum retirement why)
{
    report_complain(why == RETIRED_FILTER
                        ? "the program filters its system calls from now on (seccomp): not watched "
                          "any more"
                        : "a thread has descriptors of its own from now on, or a process shares "
                          "them (CLONE_FILES): not watched any more");
}

void report_adopt(void)
{
    memset(&counts, 0, sizeof(counts));
    memset(conflicts, 0, sizeof(conflicts));
}

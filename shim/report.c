#define _GNU_SOURCE
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <time.h>

#include "journal.h"
#include "json.h"
#include "kernel.h"
#include "owner.h"
#include "prose.h"
#include "raw.h"
#include "signals.h"
#include "sites.h"
#include "suppress.h"
#include "text.h"

enum { LINE_SIZE = 65536, PORTS_REMEMBERED = 16, LEAKS_REMEMBERED = 256 };

static const struct options *rules;
static struct suppressions suppressions;
static char comm[16]; /* TASK_COMM_LEN */
static int opener;    /* who had what this process inherited over fork */

/* Which file standard error was at the start; ino 0: none. */
static struct statx stderr_at_start;

/* What sites.c does not know. */
static struct totals counts;

/* How often each port was wanted in vain. */
static struct {
    struct endpoint wanted;
    uint32_t times;
} conflicts[PORTS_REMEMBERED];

/* The ends of what was told last, for a late close: its tombstone has none. */
static struct {
    int fd;
    uint32_t cookie;
    struct endpoint local;
    struct endpoint peer;
} remembered[LEAKS_REMEMBERED];
static uint32_t remembered_end;

static bool stat_of(int fd, struct statx *stat)
{
    return raw5(SYS_statx, fd, (long)"", AT_EMPTY_PATH, STATX_INO | STATX_TYPE, (long)stat) == 0;
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
    if (!stat_of(2, &stderr_at_start) ||
        ((stderr_at_start.stx_mode & S_IFMT) == S_IFSOCK && kernel_is_tcp(2)))
        stderr_at_start = (struct statx){0};
}

bool report_start(const struct options *options)
{
    char why[400];
    char line_of_it[460];
    if (options->suppress[0] &&
        !suppress_read(&suppressions, options->suppress, why, sizeof(why))) {
        struct text text = text_in(line_of_it, sizeof(line_of_it));
        text_add(&text, "CLOSEWAIT_OPTIONS: suppress: ");
        text_add(&text, why);
        report_complain(line_of_it);
        return false;
    }
    rules = options;
    sites_init(options->grace_ms);
    return true;
}

/*
 * What a write of ours may raise. Where no thread of ours can be started it is one of the host's
 * that tells, with its signals blocked: what was raised is taken back before they are not.
 */
static const uint64_t OF_WRITING = SIGNAL_BIT(SIGPIPE) | SIGNAL_BIT(SIGXFSZ);

/* A planted symbolic link is not followed (O_NOFOLLOW); a record is appended in one piece. */
static bool write_file(const char *path, const struct text *text)
{
    const long fd =
        raw4(SYS_openat, AT_FDCWD, (long)path,
             O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0600);
    if (fd < 0)
        return false;
    /* A line that was cut off by a full disk ends here, and not with the next one. */
    static bool torn;
    const struct iovec parts[] = {{.iov_base = "\n", .iov_len = torn},
                                  {.iov_base = text->at, .iov_len = text->len}};
    const uint64_t pending = signals_pending();
    const long written = raw3(SYS_writev, fd, (long)parts, 2) - torn;
    signals_take_back(OF_WRITING & ~pending);
    raw1(SYS_close, fd);
    torn = written >= 0 ? written < (long)text->len && (written > 0 || torn) : torn;
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
    if (stuck || !(polled.revents & POLLOUT) || !stderr_is_ours())
        return false;
    const uint64_t pending = signals_pending();
    const long written = raw3(SYS_write, 2, (long)text->at, (long)text->len);
    signals_take_back(OF_WRITING & ~pending);
    return written == (long)text->len;
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

/* A container, or a system without systemd, has none: what is told is told all the same. */
static void write_journal(const struct told *told, const struct text *text)
{
    static bool complained;
    const int error = journal_send(told, text);
    if (error == 0)
        return;
    if (error == -EAGAIN) {
        counts.lost++;
        return;
    }
    if (!complained)
        report_complain("no journal can be reached at /run/systemd/journal/socket: reports go to "
                        "standard error");
    complained = true;
    counts.lost += !write_stderr(text);
}

/* told: what the text is of, if it is of a record. */
static void write_out(const struct told *told, const struct text *text)
{
    static char path[OPTIONS_PATH_SIZE];
    if (rules->journal) {
        write_journal(told, text);
        return;
    }
    if (!rules->output[0]) {
        counts.lost += !write_stderr(text);
        return;
    }
    if (options_output(rules, (int)raw0(SYS_getpid), path) && write_file(path, text))
        return;
    counts.lost++;
    tell_lost_output();
}

void report_complain(const char *what)
{
    char buffer[512];
    struct text text = text_in(buffer, sizeof(buffer) - 1);
    prose_begin(&text, comm, (int)raw0(SYS_getpid), NULL);
    text_add(&text, what);
    buffer[text.len++] = '\n';
    const uint64_t mask = signals_block();
    write_stderr(&text);
    signals_restore(mask);
}

static void remember(const struct leak *leak)
{
    const uint32_t place = remembered_end++ % LEAKS_REMEMBERED;
    remembered[place].fd = leak->fd;
    remembered[place].cookie = (uint32_t)leak->cookie;
    remembered[place].local = leak->local;
    remembered[place].peer = leak->peer;
}

static void recall(struct leak *leak)
{
    for (int i = 0; i < LEAKS_REMEMBERED; i++) {
        if (remembered[i].fd != leak->fd || remembered[i].cookie != (uint32_t)leak->cookie)
            continue;
        leak->local = remembered[i].local;
        leak->peer = remembered[i].peer;
    }
}

/* A leak is told when it is found. A program that tries its port again and again is answered at the
 * 1st, 2nd, 4th, 8th, ... time. */
static bool is_new_conflict(const struct endpoint *wanted)
{
    for (int i = 0; i < PORTS_REMEMBERED; i++) {
        if (conflicts[i].times && !endpoint_equal(&conflicts[i].wanted, wanted))
            continue;
        conflicts[i].wanted = *wanted;
        const uint32_t times = ++conflicts[i].times;
        return (times & (times - 1)) == 0;
    }
    return true;
}

static void begin(const struct record *record, struct told *told)
{
    struct timespec now = {0};
    raw2(SYS_clock_gettime, CLOCK_REALTIME, (long)&now);
    *told = (struct told){
        .record = record,
        .time_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000,
        .pid = (int)raw0(SYS_getpid),
        .opener = opener,
        .comm = comm,
        .action = rules->action,
        .reuseaddr = rules->reuseaddr,
    };
}

bool report_count(struct record *record, struct told *told)
{
    begin(record, told);
    counts.leaked += (uint32_t)record->fresh;
    if (record->type == RECORD_LATE_CLOSE) {
        recall(&record->leak);
    } else {
        counts.reaped += (uint32_t)record->reaped;
        if (record->leaks > 0)
            remember(&record->leak);
    }
    if (record->type == RECORD_BIND_CONFLICT && !is_new_conflict(&record->wanted) &&
        record->fresh == 0)
        return false;
    return sites_count(told, rules->format);
}

bool report_pending(struct record *record, struct told *told)
{
    begin(record, told);
    return sites_pending(record, told);
}

/* The errand that tells is one at a time: what it needs of memory is here and not on its stack. */
static char line[LINE_SIZE];
static struct frame frames[4][DEPOT_FRAMES];
static char build_ids[4][DEPOT_FRAMES][2 * MODULE_ID_SIZE + 1];

static void write_build_id(const struct module *module, char *id)
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < module->id_size; i++) {
        *id++ = digits[module->id[i] >> 4];
        *id++ = digits[module->id[i] & 15];
    }
    *id = '\0';
}

static struct trace trace_of(site_t site, int which)
{
    struct place places[DEPOT_FRAMES];
    const int count = depot_get(site, places);
    for (int i = 0; i < count; i++) {
        const struct module *module = modules_of(places[i].module);
        frames[which][i] = (struct frame){.offset = places[i].address};
        if (!module)
            continue;
        write_build_id(module, build_ids[which][i]);
        frames[which][i].module = module->path;
        frames[which][i].build_id = build_ids[which][i];
    }
    return (struct trace){.frames = frames[which], .count = count};
}

bool report_suppresses(const struct leak *leak)
{
    if (suppressions.count == 0)
        return false;
    const struct trace opened = trace_of(leak->opened_at, 0);
    struct suppression *pattern = suppress_find(&suppressions, leak, &opened);
    if (!pattern)
        return false;
    pattern->matched++;
    counts.suppressed++;
    return true;
}

bool report_spares(const struct leak *leak)
{
    if (suppressions.count == 0)
        return false;
    const struct trace opened = trace_of(leak->opened_at, 0);
    return suppress_could(&suppressions, leak, &opened);
}

bool report_held(const struct record *record, struct told *told)
{
    begin(record, told);
    return sites_asked(told);
}

static void put_into_words(struct text *text, const struct told *told)
{
    if (rules->format == FORMAT_JSON)
        json_add(text, told);
    else
        prose_add(text, told);
}

/* What is too long for a line is told without its lists: half an object is none. */
static void write_told(struct told *told)
{
    struct text text = text_in(line, sizeof(line));
    put_into_words(&text, told);
    if (text.cut) {
        told->opened.count = told->eof.count = told->last.count = told->asked.count = 0;
        told->suppression_count = 0;
        text = text_in(line, sizeof(line));
        put_into_words(&text, told);
    }
    write_out(told, &text);
}

void report_tell(struct told *told)
{
    const struct record *record = told->record;
    told->opened = trace_of(record->leak.opened_at, 0);
    told->eof = trace_of(record->leak.eof_at, 1);
    told->last = trace_of(record->leak.last_at, 2);
    told->asked = trace_of(record->asked_at, 3);
    write_told(told);
}

void report_pace(uint32_t sweep_ms)
{
    counts.sweep_ms = sweep_ms;
}

void report_summary(void)
{
    const struct record record = {.type = RECORD_SUMMARY};
    struct told told;
    begin(&record, &told);
    told.totals = counts;
    told.totals.lost += record_lost();
    told.totals.stackless = depot_refused();
    told.suppressions = suppressions.at;
    told.suppression_count = suppressions.count;
    sites_sum(&told.totals);
    write_told(&told);
}

uint32_t report_changes(void)
{
    struct totals all = counts;
    if (rules->format == FORMAT_JSON)
        return 0;
    sites_sum(&all);
    return all.leaked + all.reaped + all.suppressed + all.late + all.lost;
}

void report_summary_if_any(void)
{
    if (counts.leaked + counts.reaped + counts.suppressed + counts.lost + record_lost() > 0)
        report_summary();
}

/* No record: where lines are objects it goes to standard error. */
void report_retirement(enum retirement why)
{
    static const char *const reasons[] = {
        [RETIRED_FILTER] = "the program filters its system calls from now on (seccomp)",
        [RETIRED_TABLES] = "a thread has descriptors of its own from now on, or a process shares "
                           "them (CLONE_FILES)",
        [RETIRED_ALONE] = "the kernel lets this process have no more threads",
    };
    struct text text = text_in(line, sizeof(line));
    prose_begin(&text, comm, (int)raw0(SYS_getpid), NULL);
    text_add(&text, reasons[why]);
    text_add(&text, ": not watched any more\n");
    if (rules->format == FORMAT_JSON)
        counts.lost += !write_stderr(&text);
    else
        write_out(NULL, &text);
}

void report_adopt(void)
{
    memset(&counts, 0, sizeof(counts));
    memset(conflicts, 0, sizeof(conflicts));
    memset(remembered, 0, sizeof(remembered));
    opener = owner_before();
    sites_adopt();
}

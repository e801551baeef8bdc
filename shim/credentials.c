#define _GNU_SOURCE
#include "credentials.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>

#include "raw.h"
#include "thread.h"

/* Those of i386 without the number have 16 bits. */
#ifdef SYS_setresuid32
#define SYS_SETGROUPS SYS_setgroups32
#define SYS_GETGROUPS SYS_getgroups32
#define SYS_SETRESGID SYS_setresgid32
#define SYS_SETRESUID SYS_setresuid32
#define SYS_GETRESGID SYS_getresgid32
#define SYS_GETRESUID SYS_getresuid32
#else
#define SYS_SETGROUPS SYS_setgroups
#define SYS_GETGROUPS SYS_getgroups
#define SYS_SETRESGID SYS_setresgid
#define SYS_SETRESUID SYS_setresuid
#define SYS_GETRESGID SYS_getresgid
#define SYS_GETRESUID SYS_getresuid
#endif

enum { SUID_DUMP_USER = 1 };   /* linux/sched/coredump.h */
enum { IDS = 3, GROUPS = 64 }; /* real, effective, saved */

struct credentials {
    uint32_t users[IDS];
    uint32_t groups[IDS];
    uint32_t others[GROUPS];
    int other_count;
    bool known;
};

/* What follows the label at the beginning of a line; "" when no line begins so. */
static const char *line_after(const char *status, const char *label)
{
    for (const char *line = status; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        const char *wanted = label;
        for (; *wanted && *line == *wanted; line++)
            wanted++;
        if (!*wanted)
            return line;
    }
    return "";
}

/* The numbers of a line, at most room; returns how many. */
static int read_line(const char *status, const char *label, uint32_t *numbers, int room)
{
    const char *at = line_after(status, label);
    int count = 0;
    while (*at && *at != '\n' && count < room) {
        if (*at < '0' || *at > '9') {
            at++;
            continue;
        }
        uint32_t number = 0;
        for (; *at >= '0' && *at <= '9'; at++)
            number = number * 10 + (uint32_t)(*at - '0');
        numbers[count++] = number;
    }
    return count;
}

/* An errand: the file is none of the program's descriptors. */
static void run_read(void *with)
{
    struct credentials *credentials = with;
    char status[4096] = "";
    const long fd = raw4(SYS_openat, AT_FDCWD, (long)"/proc/self/status", O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return;
    raw3(SYS_read, fd, (long)status, sizeof(status) - 1);
    raw1(SYS_close, fd);
    credentials->other_count = read_line(status, "Groups:", credentials->others, GROUPS);
    credentials->known = read_line(status, "Uid:", credentials->users, IDS) == IDS &&
                         read_line(status, "Gid:", credentials->groups, IDS) == IDS;
}

static bool has_its_groups(const struct credentials *first)
{
    uint32_t others[GROUPS] = {0};
    const long count = raw2(SYS_GETGROUPS, GROUPS, (long)others);
    return count == first->other_count &&
           memcmp(others, first->others, (size_t)count * sizeof(others[0])) == 0;
}

static bool is_as(const struct credentials *first)
{
    uint32_t users[IDS] = {0};
    uint32_t groups[IDS] = {0};
    raw3(SYS_GETRESUID, (long)&users[0], (long)&users[1], (long)&users[2]);
    raw3(SYS_GETRESGID, (long)&groups[0], (long)&groups[1], (long)&groups[2]);
    return memcmp(users, first->users, sizeof(users)) == 0 &&
           memcmp(groups, first->groups, sizeof(groups)) == 0 && has_its_groups(first);
}

/* A thread that changes its effective user takes the flag from the whole process (prctl(2)). */
static void stay_dumpable(long before)
{
    if (before == SUID_DUMP_USER && raw5(SYS_prctl, PR_GET_DUMPABLE, 0, 0, 0, 0) != before)
        raw5(SYS_prctl, PR_SET_DUMPABLE, before, 0, 0, 0);
}

void credentials_follow(void)
{
    struct credentials first = {.known = false};
    thread_apart(run_read, &first);
    if (!first.known || is_as(&first))
        return;
    const long dumpable = raw5(SYS_prctl, PR_GET_DUMPABLE, 0, 0, 0, 0);
    raw2(SYS_SETGROUPS, first.other_count, (long)first.others);
    raw3(SYS_SETRESGID, (long)first.groups[0], (long)first.groups[1], (long)first.groups[2]);
    raw3(SYS_SETRESUID, (long)first.users[0], (long)first.users[1], (long)first.users[2]);
    stay_dumpable(dumpable);
}

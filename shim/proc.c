#define _GNU_SOURCE
#include "proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

#include "clock.h"
#include "raw.h"
#include "text.h"
#include "thread.h"

enum { LINK_SIZE = 32, ENTRIES_SIZE = 1024, SEARCH_MS = 333, NUMBERS = 1024 };

/* The number at the beginning of text, -1 when there is none. */
static int64_t number_of(const char *text)
{
    int64_t number = -1;
    for (; *text >= '0' && *text <= '9' && number < UINT32_MAX; text++)
        number = (number < 0 ? 0 : number * 10) + (*text - '0');
    return number;
}

/* What the link says, 0 when it is no socket's; else a negative errno. */
static int64_t link_inode(int folder, const char *path)
{
    static const char socket[] = "socket:[";
    const size_t prefix = sizeof(socket) - 1;
    char target[LINK_SIZE + 1] = {0};
    const long n = raw4(SYS_readlinkat, folder, (long)path, (long)target, LINK_SIZE);
    if (n < 0)
        return n;
    const bool is_socket = memcmp(target, socket, prefix) == 0;
    return is_socket ? number_of(target + prefix) : 0;
}

/* "/proc/" who "/fd/" fd. */
static void write_path(struct text *path, const char *who, int fd)
{
    text_add(path, "/proc/");
    text_add(path, who);
    text_add(path, "/fd/");
    if (fd >= 0)
        text_add_uint(path, (uint64_t)fd);
}

static void write_number(char *who, size_t size, const char *before, int number)
{
    struct text text = text_in(who, size);
    text_add(&text, before);
    text_add_uint(&text, (uint64_t)number);
}

static uint32_t inode_at(const char *who, int fd)
{
    char buffer[PROC_PATH_SIZE];
    struct text path = text_in(buffer, sizeof(buffer));
    write_path(&path, who, fd);
    const int64_t inode = link_inode(AT_FDCWD, buffer);
    return inode > 0 ? (uint32_t)inode : 0;
}

uint32_t proc_inode(int fd)
{
    return inode_at("thread-self", fd);
}

/* By the watcher, which has the program's descriptors: the first thread may have ended. */
static void write_program(char who[PROC_PATH_SIZE])
{
    write_number(who, PROC_PATH_SIZE, "self/task/", thread_id());
}

void proc_own_folder(char path[PROC_PATH_SIZE])
{
    char who[PROC_PATH_SIZE];
    struct text text = text_in(path, PROC_PATH_SIZE);
    write_program(who);
    write_path(&text, who, PROC_NO_FD);
}

static long open_folder(const char *path)
{
    return raw4(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
}

/* Whether a search may go on. */
static bool in_time(uint64_t start_ms)
{
    return clock_ms() - start_ms < SEARCH_MS;
}

/* The entry of a folder of descriptors that is the socket, PROC_NO_FD when none is. */
static int find_link(int folder, uint32_t inode, uint64_t start_ms)
{
    _Alignas(struct dirent64) char entries[ENTRIES_SIZE] = {0};
    for (long len; (len = raw3(SYS_getdents64, folder, (long)entries, sizeof(entries))) > 0;) {
        for (long at = 0; at < len;) {
            const struct dirent64 *entry = (const struct dirent64 *)(entries + at);
            if (link_inode(folder, entry->d_name) == inode)
                return (int)number_of(entry->d_name);
            at += entry->d_reclen;
        }
        if (!in_time(start_ms))
            return PROC_NO_FD;
    }
    return PROC_NO_FD;
}

static int fd_of(const char *who, uint32_t inode, uint64_t start_ms)
{
    char buffer[PROC_PATH_SIZE];
    struct text path = text_in(buffer, sizeof(buffer));
    write_path(&path, who, -1);
    const long folder = open_folder(buffer);
    if (folder < 0)
        return PROC_UNKNOWN;
    const int fd = find_link((int)folder, inode, start_ms);
    raw1(SYS_close, folder);
    return fd;
}

int proc_own_fd(uint32_t inode)
{
    char who[PROC_PATH_SIZE];
    write_program(who);
    return fd_of(who, inode, clock_ms());
}

static void read_comm(int pid, char comm[PROC_COMM_SIZE])
{
    char buffer[PROC_PATH_SIZE];
    struct text path = text_in(buffer, sizeof(buffer));
    text_add(&path, "/proc/");
    text_add_uint(&path, (uint64_t)pid);
    text_add(&path, "/comm");
    memset(comm, 0, PROC_COMM_SIZE);
    const long file = raw4(SYS_openat, AT_FDCWD, (long)buffer, O_RDONLY | O_CLOEXEC, 0);
    if (file < 0)
        return;
    const long len = raw3(SYS_read, file, (long)comm, PROC_COMM_SIZE);
    raw1(SYS_close, file);
    if (len > 0)
        comm[len - 1] = '\0'; /* an end of line */
}

/* As /proc numbers processes, which need not be how this one knows itself (pid_namespaces(7)). */
static int own_number(void)
{
    char target[LINK_SIZE + 1] = {0};
    const long n = raw4(SYS_readlinkat, AT_FDCWD, (long)"/proc/self", (long)target, LINK_SIZE);
    return n > 0 ? (int)number_of(target) : -1;
}

/* Of the processes in these entries of /proc the first that has the socket, 0 when none has. */
static int find_process(const char *entries, long len, uint32_t inode, int self, uint64_t start_ms)
{
    for (long at = 0; at < len && in_time(start_ms);) {
        const struct dirent64 *entry = (const struct dirent64 *)(entries + at);
        const int pid = (int)number_of(entry->d_name);
        char who[PROC_PATH_SIZE];
        at += entry->d_reclen;
        if (pid <= 0 || pid == self)
            continue;
        write_number(who, sizeof(who), "", pid);
        if (fd_of(who, inode, start_ms) >= 0)
            return pid;
    }
    return 0;
}

int proc_other(uint32_t inode, char comm[PROC_COMM_SIZE])
{
    _Alignas(struct dirent64) char entries[ENTRIES_SIZE] = {0};
    const uint64_t start_ms = clock_ms();
    const int self = own_number();
    const long folder = inode && self > 0 ? open_folder("/proc") : -ENOENT;
    int pid = 0;
    if (folder < 0)
        return 0;
    for (long len; pid == 0 && in_time(start_ms) &&
                   (len = raw3(SYS_getdents64, folder, (long)entries, sizeof(entries))) > 0;)
        pid = find_process(entries, len, inode, self, start_ms);
    raw1(SYS_close, folder);
    if (pid > 0)
        read_comm(pid, comm);
    return pid;
}

/* As link_inode; of PROC_NO_FD the folder itself, which is no link: -EINVAL when it is there. */
static int64_t other_inode(int pid, int fd)
{
    char who[PROC_PATH_SIZE];
    char buffer[PROC_PATH_SIZE];
    struct text path = text_in(buffer, sizeof(buffer));
    write_number(who, sizeof(who), "", pid);
    write_path(&path, who, fd);
    return link_inode(AT_FDCWD, buffer);
}

/* Where /proc shows nothing of a process that is there (hidepid), all its links are missing. */
static bool is_hidden(int pid)
{
    return other_inode(pid, PROC_NO_FD) == -ENOENT && raw2(SYS_kill, pid, 0) != -ESRCH;
}

enum proc_has proc_has(int pid, uint32_t inode, int like)
{
    if (own_number() != (int)raw0(SYS_getpid))
        return PROC_HAS_UNKNOWN;
    const int64_t at_like = other_inode(pid, like);
    if (at_like < 0 && (at_like != -ENOENT || is_hidden(pid)))
        return PROC_HAS_UNKNOWN;
    bool has = at_like == inode;
    for (int fd = 0; fd < NUMBERS && !has; fd++)
        has = other_inode(pid, fd) == inode;
    return has ? PROC_HAS : PROC_HAS_NOT;
}

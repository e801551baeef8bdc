#define _GNU_SOURCE
#include "found.h"

#include <bsd/stdlib.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "accepted.h"
#include "array.h"
#include "holders.h"
#include "kernel.h"
#include "netns.h"
#include "sockets.h"

/* The longest name of a protocol has 31 characters (struct proto). */
enum { PROTOCOL_SIZE = 33 };

/* A descriptor that is a socket of any kind. */
struct opening {
    uint32_t inode;
    int fd;
};

struct openings {
    struct opening *at;
    size_t count;
};

static int compare(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int by_inode_fd(const void *a, const void *b)
{
    const struct opening *left = a;
    const struct opening *right = b;
    return left->inode != right->inode ? compare(left->inode, right->inode)
                                       : compare((uint64_t)left->fd, (uint64_t)right->fd);
}

static int sockets_by_inode(const void *a, const void *b)
{
    return compare(((const struct tcp_socket *)a)->inode, ((const struct tcp_socket *)b)->inode);
}

static int by_first_fd(const void *a, const void *b)
{
    return compare((uint64_t)((const struct found *)a)->fds[0],
                   (uint64_t)((const struct found *)b)->fds[0]);
}

static DIR *open_folder(const struct target *target)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/task/%d/fd", (int)target->pid, (int)target->tid);
    return opendir(path);
}

static struct openings openings_of(DIR *folder)
{
    struct openings openings = {0};
    for (const struct dirent *entry; (entry = readdir(folder));) {
        const uint32_t inode = holders_socket(dirfd(folder), entry->d_name);
        const char *error = NULL;
        const int fd = (int)strtonum(entry->d_name, 0, INT_MAX, &error);
        if (inode == 0 || error)
            continue;
        openings.at = array_grow(openings.at, openings.count, sizeof(*openings.at));
        openings.at[openings.count++] = (struct opening){inode, fd};
    }
    if (openings.count > 0)
        qsort(openings.at, openings.count, sizeof(*openings.at), by_inode_fd);
    return openings;
}

struct reading {
    struct sockets sockets;
    char *why;
    size_t why_size;
};

static bool read_netns(uint64_t netns, void *argument)
{
    struct reading *reading = argument;
    return sockets_add(&reading->sockets, netns, sockets_all, reading->why, reading->why_size);
}

static bool read_sockets(struct reading *reading, const struct target *target)
{
    struct pid_list pids = {0};
    size_t closed =
        0; /* a namespace that may not be entered: its sockets are looked at by copies */
    processes_add(&pids, target->pid);
    const bool read = netns_visit(&pids, read_netns, reading, &closed);
    free(pids.at);
    accepted_find(&reading->sockets);
    if (reading->sockets.count > 0)
        qsort(reading->sockets.at, reading->sockets.count, sizeof(*reading->sockets.at),
              sockets_by_inode);
    return read;
}

static const struct tcp_socket *socket_of(const struct sockets *sockets, uint32_t inode)
{
    const struct tcp_socket key = {.inode = inode};
    if (sockets->count == 0)
        return NULL;
    return bsearch(&key, sockets->at, sockets->count, sizeof(key), sockets_by_inode);
}

static void fill_from_table(struct found *found, const struct tcp_socket *socket)
{
    found->cookie = socket->cookie;
    found->accepted = socket->accepted;
    found->local = socket->local;
    found->peer = socket->peer;
    found->facts = (struct facts){
        .state = socket->state,
        .handshake = true,
        .sent = socket->sent_ms != UINT32_MAX,
        .unread_bytes = socket->unread_bytes,
        .unsent_bytes = socket->unsent_bytes,
        .sent_ms = socket->sent_ms,
        .heard_ms = socket->age_ms,
    };
    found->history.eof_read = socket->eof_read;
}

/*
 * lsof(8) asks so, too: what kind of a socket it is, without a descriptor of it. False when the
 * kernel does not say.
 */
static bool read_protocol(const struct target *target, int fd, char name[PROTOCOL_SIZE])
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/task/%d/fd/%d", (int)target->pid, (int)target->tid, fd);
    const ssize_t len = getxattr(path, "system.sockprotoname", name, PROTOCOL_SIZE - 1);
    name[len > 0 ? len : 0] = '\0';
    return len > 0;
}

static bool is_tcp(const struct target *target, int fd)
{
    char name[PROTOCOL_SIZE];
    return read_protocol(target, fd, name) &&
           (strcmp(name, "TCP") == 0 || strcmp(name, "TCPv6") == 0);
}

/* Whether there may be one. All sockets of a namespace are much to ask for where there is none. */
static bool have_tcp(const struct openings *openings, const struct target *target)
{
    char name[PROTOCOL_SIZE];
    for (size_t i = 0; i < openings->count; i++)
        if (!read_protocol(target, openings->at[i].fd, name) || strstr(name, "TCP"))
            return true;
    return false;
}

static bool fill_from_copy(struct found *found, const struct target *target)
{
    if (!is_tcp(target, found->fds[0]))
        return false;
    const int copy = target_copy(target, found->fds[0]);
    if (copy < 0)
        return false;
    found->cookie = kernel_cookie(copy);
    const bool filled = kernel_is_tcp(copy) && kernel_facts(copy, &found->facts);
    if (filled) {
        found->local = kernel_local(copy);
        found->peer = kernel_peer(copy);
    }
    close(copy);
    return filled;
}

static void add_found(struct findings *findings, const struct target *target,
                      const struct sockets *sockets, const struct opening *openings, size_t count)
{
    struct found found = {.inode = openings[0].inode, .history = {.touched_ms = UINT32_MAX}};
    for (size_t i = 0; i < count; i++) {
        found.fds = array_grow(found.fds, i, sizeof(*found.fds));
        found.fds[i] = openings[i].fd;
    }
    found.fd_count = count;
    const struct tcp_socket *socket = socket_of(sockets, found.inode);
    if (socket)
        fill_from_table(&found, socket);
    else if (!fill_from_copy(&found, target)) {
        free(found.fds);
        return;
    }
    found.history.fin_seen = found.facts.state == TCP_CLOSE_WAIT;
    found.history.gone_ms = found.facts.heard_ms;
    findings->at = array_grow(findings->at, findings->count, sizeof(*findings->at));
    findings->at[findings->count++] = found;
}

static void add_all(struct findings *findings, const struct target *target,
                    const struct sockets *sockets, const struct openings *openings)
{
    size_t next = 0;
    for (size_t i = 0; i < openings->count; i = next) {
        while (next < openings->count && openings->at[next].inode == openings->at[i].inode)
            next++;
        add_found(findings, target, sockets, &openings->at[i], next - i);
    }
    if (findings->count > 0)
        qsort(findings->at, findings->count, sizeof(*findings->at), by_first_fd);
}

/*
 * The error of a dead connection can be read once. Who buries it reads it; so nobody else may have
 * it.
 */
static void find_sharers(struct findings *findings, const struct target *target)
{
    struct inodes inodes = {0};
    struct pid_list pids = {0};
    for (size_t i = 0; i < findings->count; i++) {
        if (findings->at[i].ruling.reap != REAP_AS_RESET)
            continue;
        inodes.at = array_grow(inodes.at, inodes.count, sizeof(*inodes.at));
        inodes.at[inodes.count++] = findings->at[i].inode;
    }
    if (inodes.count > 0)
        processes_add_all(&pids);
    struct holders holders = holders_find(&inodes, &pids);
    for (size_t i = 0; i < findings->count; i++) {
        size_t count = 0;
        const struct holder *holder = holders_of(&holders, findings->at[i].inode, &count);
        for (size_t j = 0; j < count; j++)
            findings->at[i].shared |= holder[j].pid != target->pid;
    }
    free(holders.at);
    free(inodes.at);
    free(pids.at);
}

bool findings_take(struct findings *findings, const struct target *target,
                   const struct options *options, char *why, size_t why_size)
{
    *findings = (struct findings){0};
    struct reading reading = {.why = why, .why_size = why_size};
    DIR *folder = open_folder(target);
    if (!folder) {
        if (errno == EACCES)
            target_explain_hidden(target, why, why_size);
        else if (errno == EMFILE || errno == ENFILE)
            snprintf(why, why_size, "the descriptors of process %d cannot be looked at: %s",
                     (int)target->pid, strerror(errno));
        else
            snprintf(why, why_size, "process %d has ended", (int)target->pid);
        return false;
    }
    /* The descriptors first: what is closed before the second look is then nobody's. */
    struct openings openings = openings_of(folder);
    closedir(folder);
    bool read = !have_tcp(&openings, target) || read_sockets(&reading, target);
    if (!target_lives(target) || process_is_ending(target->tid)) {
        snprintf(why, why_size, "process %d has ended", (int)target->pid);
        read = false;
    }
    if (read)
        add_all(findings, target, &reading.sockets, &openings);
    free(openings.at);
    free(reading.sockets.at);
    for (size_t i = 0; i < findings->count; i++) {
        struct found *found = &findings->at[i];
        found->ruling = judge(&found->facts, &found->history, options);
    }
    find_sharers(findings, target);
    return read;
}

void findings_free(struct findings *findings)
{
    for (size_t i = 0; i < findings->count; i++)
        free(findings->at[i].fds);
    free(findings->at);
    *findings = (struct findings){0};
}

struct found *findings_of(const struct findings *findings, int fd)
{
    for (size_t i = 0; i < findings->count; i++)
        for (size_t j = 0; j < findings->at[i].fd_count; j++)
            if (findings->at[i].fds[j] == fd)
                return &findings->at[i];
    return NULL;
}

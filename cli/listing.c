#include "listing.h"

#include <libsmartcols/libsmartcols.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "array.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A peer that closed has forgotten the connection by then: tcp_fin_timeout, as it usually is. */
enum { OLD_MS = 60 * 1000 };

static void add_command(const struct row *row, struct text *text)
{
    if (row->holder)
        text_add(text, row->holder->comm);
}

static void add_pid(const struct row *row, struct text *text)
{
    if (row->holder)
        text_add_uint(text, (uint64_t)row->holder->pid);
}

static void add_container(const struct row *row, struct text *text)
{
    if (row->holder)
        text_add(text, row->holder->container);
}

static void add_fd(const struct row *row, struct text *text)
{
    if (row->holder)
        text_add_uint(text, (uint64_t)row->holder->fd);
}

static void add_local(const struct row *row, struct text *text)
{
    text_add_endpoint(text, &row->socket->local);
}

static void add_peer(const struct row *row, struct text *text)
{
    text_add_endpoint(text, &row->socket->peer);
}

static void add_age(const struct row *row, struct text *text)
{
    text_add_duration(text, row->age_ms);
}

static void add_age_in_seconds(const struct row *row, struct text *text)
{
    char seconds[32];
    snprintf(seconds, sizeof(seconds), "%u.%03u", row->age_ms / 1000, row->age_ms % 1000);
    text_add(text, seconds);
}

static const char *age_color(const struct row *row)
{
    return row->age_ms >= OLD_MS ? "red" : NULL;
}

static void add_unread(const struct row *row, struct text *text)
{
    text_add_uint(text, row->socket->unread_bytes);
}

static const char *unread_color(const struct row *row)
{
    return row->socket->unread_bytes > 0 ? "yellow" : NULL;
}

static void add_unsent(const struct row *row, struct text *text)
{
    text_add_uint(text, row->socket->unsent_bytes);
}

static void add_state(const struct row *row, struct text *text)
{
    text_add(text, row->socket->state == TCP_LISTEN ? "LISTEN" : "CLOSE_WAIT");
}

static void add_number_after(struct text *text, const char *before, uint64_t number,
                             const char *after)
{
    text_add(text, before);
    text_add_uint(text, number);
    text_add(text, after);
}

static void add_owner(const struct row *row, struct text *text)
{
    const struct tcp_socket *listener = row->socket->listener;
    size_t holders = 0;
    if (!listener)
        return;
    const struct holder *holder = holders_of(&row->of->holders, listener->inode, &holders);
    if (holder) {
        text_add(text, holder->comm);
        add_number_after(text, "[", (uint64_t)holder->pid, "]");
        add_number_after(text, " fd ", (uint64_t)holder->fd, " ");
    }
    text_add_endpoint(text, &listener->local);
    if (holders > 1)
        add_number_after(text, " shared by ", holders, "");
    if (row->socket->listeners > 1)
        add_number_after(text, " or another of ", row->socket->listeners, "");
}

static void add_waiting(const struct row *row, struct text *text)
{
    text_add_uint(text, row->socket->waiting);
}

static void add_hung_up(const struct row *row, struct text *text)
{
    text_add_uint(text, row->socket->hung_up);
}

static void add_backlog(const struct row *row, struct text *text)
{
    text_add_uint(text, row->socket->backlog);
}

static const char *waiting_color(const struct row *row)
{
    return row->socket->waiting > row->socket->backlog ? "red" : NULL;
}

static void add_inode(const struct row *row, struct text *text)
{
    if (row->socket->inode != 0)
        text_add_uint(text, row->socket->inode);
}

static void add_cookie(const struct row *row, struct text *text)
{
    text_add_uint(text, row->socket->cookie);
}

static void add_netns(const struct row *row, struct text *text)
{
    if (row->socket->netns != 0)
        text_add_uint(text, row->socket->netns);
}

static void add_uid(const struct row *row, struct text *text)
{
    if (row->socket->inode != 0)
        text_add_uint(text, row->socket->uid);
}

#define STRING(name, cell, flags, what)                                                            \
    {                                                                                              \
        name, what, flags, SCOLS_JSON_STRING, cell, NULL, NULL                                     \
    }
#define NUMBER(name, cell, color, what)                                                            \
    {                                                                                              \
        name, what, SCOLS_FL_RIGHT, SCOLS_JSON_NUMBER, cell, NULL, color                           \
    }
#define SECONDS(name, what)                                                                        \
    {                                                                                              \
        name, what, SCOLS_FL_RIGHT, SCOLS_JSON_NUMBER, add_age, add_age_in_seconds, age_color      \
    }

#define WHO                                                                                        \
    STRING("COMMAND", add_command, SCOLS_FL_TRUNC, "name of the process"),                         \
        NUMBER("PID", add_pid, NULL, "its process id"),                                            \
        NUMBER("FD", add_fd, NULL, "its descriptor of the socket")
#define IDENTITY                                                                                   \
    STRING("CONTAINER", add_container, 0, "that the process is in, by its cgroup"),                \
        STRING("STATE", add_state, 0, "TCP state of the socket"),                                  \
        NUMBER("INODE", add_inode, NULL, "the socket's, as in /proc/PID/fd"),                      \
        NUMBER("COOKIE", add_cookie, NULL, "the kernel's identity of the socket (SO_COOKIE)"),     \
        NUMBER("NETNS", add_netns, NULL, "inode of its network namespace, as lsns shows it"),      \
        NUMBER("UID", add_uid, NULL, "user who made the socket")

static const struct column socket_columns[] = {
    WHO,
    STRING("LOCAL", add_local, 0, "own address"),
    STRING("PEER", add_peer, 0, "address of the peer that closed"),
    SECONDS("AGE", "time since the peer was last heard: its FIN, or a later acknowledgement"),
    NUMBER("UNREAD", add_unread, unread_color, "bytes that the process has not read"),
    NUMBER("UNSENT", add_unsent, NULL, "bytes that the peer has not acknowledged"),
    STRING("OWNER", add_owner, SCOLS_FL_TRUNC,
           "without a descriptor: the listener in whose accept queue it waits"),
    IDENTITY,
};

static const struct column queue_columns[] = {
    WHO,
    STRING("LOCAL", add_local, 0, "address that it listens on"),
    NUMBER("WAITING", add_waiting, waiting_color, "connections in the accept queue"),
    NUMBER("HUNG_UP", add_hung_up, NULL, "how many of those are in CLOSE_WAIT"),
    NUMBER("BACKLOG", add_backlog, NULL, "length that the queue was given; it takes one more"),
    SECONDS("AGE", "time since the oldest of those that hung up was last heard"),
    IDENTITY,
};

static bool is_close_wait(const struct tcp_socket *socket)
{
    return socket->state == TCP_CLOSE_WAIT;
}

static uint32_t own_age_ms(const struct tcp_socket *socket)
{
    return socket->age_ms;
}

static bool has_hung_up(const struct tcp_socket *socket)
{
    return socket->state == TCP_LISTEN && socket->hung_up > 0;
}

static uint32_t oldest_ms(const struct tcp_socket *socket)
{
    return socket->oldest_ms;
}

const struct listing listing_sockets = {
    .name = "sockets",
    .columns = socket_columns,
    .count = COUNT(socket_columns),
    .usual = "COMMAND,PID,FD,LOCAL,PEER,AGE,UNREAD,OWNER",
    .lists = is_close_wait,
    .age_ms = own_age_ms,
};

const struct listing listing_queues = {
    .name = "listeners",
    .columns = queue_columns,
    .count = COUNT(queue_columns),
    .usual = "COMMAND,PID,FD,LOCAL,WAITING,HUNG_UP,BACKLOG,AGE",
    .lists = has_hung_up,
    .age_ms = oldest_ms,
};

static const struct column *find(const struct listing *listing, const char *name, size_t len)
{
    for (size_t i = 0; i < listing->count; i++) {
        const char *known = listing->columns[i].name;
        if (strlen(known) == len && strncasecmp(known, name, len) == 0)
            return &listing->columns[i];
    }
    return NULL;
}

static void add_once(struct choice *choice, const struct column *column)
{
    for (size_t i = 0; i < choice->count; i++)
        if (choice->at[i] == column)
            return;
    choice->at[choice->count++] = column;
}

static void name_known(const struct listing *listing, const char *name, size_t len,
                       struct text *why)
{
    text_add(why, "unknown column '");
    text_add_bytes(why, name, len);
    text_add(why, "': expected ");
    for (size_t i = 0; i < listing->count; i++) {
        const bool last = i + 1 == listing->count;
        text_add(why, i == 0 ? "" : last ? " or " : ", ");
        text_add(why, listing->columns[i].name);
    }
}

bool listing_choose(const struct listing *listing, const char *list, struct choice *choice,
                    char *why, size_t why_size)
{
    if (list[0] == '+' && !listing_choose(listing, listing->usual, choice, why, why_size))
        return false;
    for (const char *at = list + (list[0] == '+'); at;
         at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        const size_t len = strcspn(at, ",");
        const struct column *column = find(listing, at, len);
        if (!column) {
            struct text text = text_in(why, why_size);
            name_known(listing, at, len, &text);
            return false;
        }
        add_once(choice, column);
    }
    return true;
}

static int by_age(const void *a, const void *b)
{
    const struct row *left = a;
    const struct row *right = b;
    if (left->age_ms != right->age_ms)
        return left->age_ms < right->age_ms ? 1 : -1;
    if (left->socket->cookie != right->socket->cookie)
        return left->socket->cookie < right->socket->cookie ? -1 : 1;
    return (left->holder > right->holder) - (left->holder < right->holder);
}

static void add_row(struct rows *rows, const struct row *row)
{
    rows->at = array_grow(rows->at, rows->count, sizeof(*rows->at));
    rows->at[rows->count++] = *row;
}

typedef bool wants_unheld(const struct snapshot *snapshot, const struct tcp_socket *socket);

static struct rows collect(const struct listing *listing, const struct snapshot *snapshot,
                           wants_unheld *wants)
{
    struct rows rows = {0};
    for (size_t i = 0; i < snapshot->sockets.count; i++) {
        const struct tcp_socket *socket = &snapshot->sockets.at[i];
        if (!listing->lists(socket))
            continue;
        struct row row = {.of = snapshot, .socket = socket, .age_ms = listing->age_ms(socket)};
        size_t count = 0;
        const struct holder *holders = holders_of(&snapshot->holders, socket->inode, &count);
        if (count == 0 && wants(snapshot, socket))
            add_row(&rows, &row);
        for (size_t j = 0; j < count; j++) {
            row.holder = &holders[j];
            add_row(&rows, &row);
        }
    }
    if (rows.count > 0)
        qsort(rows.at, rows.count, sizeof(*rows.at), by_age);
    return rows;
}

static bool any(const struct snapshot *snapshot, const struct tcp_socket *socket)
{
    (void)snapshot;
    (void)socket;
    return true;
}

static bool in_held_queue(const struct snapshot *snapshot, const struct tcp_socket *socket)
{
    size_t count = 0;
    if (socket->listener)
        holders_of(&snapshot->holders, socket->listener->inode, &count);
    return count > 0;
}

struct rows listing_all(const struct listing *listing, const struct snapshot *snapshot)
{
    return collect(listing, snapshot, any);
}

struct rows listing_held(const struct listing *listing, const struct snapshot *snapshot)
{
    return collect(listing, snapshot, in_held_queue);
}

void listing_explain(const struct listing *listing, FILE *to)
{
    for (size_t i = 0; i < listing->count; i++)
        fprintf(to, "  %-8s %s\n", listing->columns[i].name, listing->columns[i].what);
}

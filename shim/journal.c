#define _GNU_SOURCE
#include "journal.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "names.h"
#include "raw.h"

enum { FIELDS_SIZE = 2048, PATIENCE_US = 500000 };

/* syslog(3)'s numbers. */
enum { PRIORITY_WARNING = 4, PRIORITY_NOTICE = 5, PRIORITY_INFO = 6 };

static int priority_of(const struct told *told)
{
    switch (told->record->type) {
    case RECORD_LEAK:
    case RECORD_BIND_CONFLICT:
    case RECORD_ACCEPT_QUEUE:
    case RECORD_DESCRIPTORS:
        return PRIORITY_WARNING;
    case RECORD_REAP:
    case RECORD_RESCUE:
    case RECORD_GIVEN_BACK:
        return told->record->error ? PRIORITY_WARNING : PRIORITY_NOTICE;
    case RECORD_LATE_CLOSE:
        return PRIORITY_NOTICE;
    case RECORD_SUMMARY:
        break;
    }
    return PRIORITY_INFO;
}

/* The value as it is: a number, or a word of ours. */
static void add(struct text *fields, const char *name, const char *value)
{
    text_add(fields, name);
    text_add(fields, "=");
    text_add(fields, value);
    text_add(fields, "\n");
}

static void add_number(struct text *fields, const char *name, uint64_t number)
{
    text_add(fields, name);
    text_add(fields, "=");
    text_add_uint(fields, number);
    text_add(fields, "\n");
}

/* A newline in it would begin a field of somebody else's choice. */
static void add_name(struct text *fields, const char *name, const char *value)
{
    text_add(fields, name);
    text_add(fields, "=");
    text_add_name(fields, value);
    text_add(fields, "\n");
}

static void add_endpoint(struct text *fields, const char *name, const struct endpoint *end)
{
    if (!end->family)
        return;
    text_add(fields, name);
    text_add(fields, "=");
    text_add_endpoint(fields, end);
    text_add(fields, "\n");
}

static void add_leak(struct text *fields, const struct leak *leak)
{
    if (!leak->cookie && !leak->local.family)
        return;
    add_number(fields, "CLOSEWAIT_FD", (uint64_t)leak->fd);
    add_endpoint(fields, "CLOSEWAIT_LOCAL", &leak->local);
    add_endpoint(fields, "CLOSEWAIT_PEER", &leak->peer);
    if (leak->class != CLASS_NONE)
        add(fields, "CLOSEWAIT_CLASS", names_class[leak->class]);
}

/* OBJECT_PID asks the journal to say of another process what it says of the sender. */
static void add_told(struct text *fields, const struct told *told)
{
    add_number(fields, "PRIORITY", (uint64_t)priority_of(told));
    add(fields, "CLOSEWAIT_TYPE", names_type[told->record->type]);
    add_number(fields, "CLOSEWAIT_PID", (uint64_t)told->pid);
    add_name(fields, "CLOSEWAIT_COMM", told->comm);
    if (told->container && told->container[0])
        add_name(fields, "CLOSEWAIT_CONTAINER", told->container);
    if (told->pid != (int)raw0(SYS_getpid))
        add_number(fields, "OBJECT_PID", (uint64_t)told->pid);
    if (told->site) {
        text_add(fields, "CLOSEWAIT_SITE=");
        text_add_hex(fields, told->site);
        text_add(fields, "\n");
    }
    add_leak(fields, &told->record->leak);
}

/* Its own name is a field: the message begins with the program's. */
static struct iovec without_our_name(const struct text *message)
{
    static const char name[] = "closewait: ";
    struct iovec part = {message->at, message->len};
    if (part.iov_len > 0 && message->at[part.iov_len - 1] == '\n')
        part.iov_len--;
    if (part.iov_len >= sizeof(name) - 1 && memcmp(message->at, name, sizeof(name) - 1) == 0) {
        part.iov_base = message->at + sizeof(name) - 1;
        part.iov_len -= sizeof(name) - 1;
    }
    return part;
}

/*
 * A journal that is behind must not keep the watcher; the socket is made for this datagram alone,
 * so that it has room, and only the journal's own can be full.
 */
static long send_parts(struct iovec *parts, size_t count)
{
    static bool behind;
    struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket"};
    struct msghdr datagram = {
        .msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = parts, .msg_iovlen = count};
    const struct timeval patience = {.tv_usec = PATIENCE_US};
    const long fd = raw3(SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fd;
    raw5(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDTIMEO, (long)&patience, sizeof(patience));
    const long sent =
        raw3(SYS_sendmsg, fd, (long)&datagram, MSG_NOSIGNAL | (behind ? MSG_DONTWAIT : 0));
    raw1(SYS_close, fd);
    behind = sent == -EAGAIN;
    return sent;
}

int journal_send(const struct told *told, const struct text *message)
{
    char buffer[FIELDS_SIZE];
    struct text fields = text_in(buffer, sizeof(buffer));
    struct iovec value = without_our_name(message);
    /* Lines of its own: the length, in 64 bits, of little endian, instead of an equals sign. */
    const uint64_t len = value.iov_len;
    char head[sizeof("MESSAGE\n") - 1 + sizeof(len)] = "MESSAGE\n";
    for (size_t i = 0; i < sizeof(len); i++)
        head[sizeof("MESSAGE\n") - 1 + i] = (char)(len >> (8 * i));
    text_add(&fields, "\nSYSLOG_IDENTIFIER=closewait\n");
    if (told)
        add_told(&fields, told);
    struct iovec parts[] = {{head, sizeof(head)}, value, {fields.at, fields.len}};
    const long sent = send_parts(parts, sizeof(parts) / sizeof(parts[0]));
    return sent < 0 ? (int)sent : 0;
}

#include "prose_holder.h"

#include <netinet/tcp.h>

static bool is_connect(const struct record *record)
{
    return record->to.family != 0;
}

void prose_wish(struct text *text, const struct record *record)
{
    text_add(text, is_connect(record) ? "connect from " : "bind to ");
    text_add_endpoint(text, &record->wanted);
    if (!is_connect(record))
        return;
    text_add(text, " to ");
    text_add_endpoint(text, &record->to);
}

static void add_socket(struct text *text, const struct holder *holder)
{
    static const char *const states[] = {
        [TCP_ESTABLISHED] = "a live connection",
        [TCP_CLOSE] = "a socket without a connection",
        [TCP_CLOSE_WAIT] = "a socket in CLOSE_WAIT",
        [TCP_LISTEN] = "a listening socket",
        [TCP_CLOSING + 1] = NULL,
    };
    const bool named = holder->state <= TCP_CLOSING && states[holder->state];
    text_add(text, named ? states[holder->state] : "a socket");
}

static void add_process(struct text *text, const struct holder *holder)
{
    text_add(text, "another process");
    if (!holder->pid)
        return;
    text_add(text, ", ");
    text_add_uint(text, (uint64_t)holder->pid);
    text_add(text, holder->comm[0] ? " (" : "");
    text_add_name(text, holder->comm);
    text_add(text, holder->comm[0] ? ")," : ",");
}

/* Advice that was taken already is none. */
static void add_time_wait(struct text *text, const struct told *told)
{
    const struct record *record = told->record;
    text_add(text, is_connect(record) ? "that connection is in TIME_WAIT for "
                                      : "the port is in TIME_WAIT for ");
    text_add_duration(text, record->holder.left_ms);
    text_add(text, " more: the side that closes first waits\n");
    if (is_connect(record))
        text_add(text, "    no process holds it; with TCP timestamps at both ends (sysctl "
                       "net.ipv4.tcp_timestamps), connect would work\n");
    else if (told->reuseaddr)
        text_add(text, "    no process holds it; the connection that closed was made without "
                       "SO_REUSEADDR: what is made with reuseaddr=on keeps no port\n");
    else
        text_add(text, "    no process holds it; had both sockets set SO_REUSEADDR, the one that "
                       "closed and this one, bind would work: run with reuseaddr=on\n");
}

void prose_holder(struct text *text, const struct told *told)
{
    const struct record *record = told->record;
    const struct holder *holder = &record->holder;
    const char *what = is_connect(record) ? " that connection" : " the port";
    switch (holder->kind) {
    case HOLDER_SELF:
        text_add(text, "this program itself holds");
        text_add(text, what);
        text_add(text, ", with ");
        add_socket(text, holder);
        text_add(text, " that is not leaked (fd ");
        text_add_uint(text, (uint64_t)holder->fd);
        text_add(text, ")\n");
        return;
    case HOLDER_OTHER:
        add_process(text, holder);
        text_add(text, " holds");
        text_add(text, what);
        text_add(text, ", with ");
        add_socket(text, holder);
        text_add(text, holder->pid ? "\n    not this program's doing\n"
                                   : "\n    not this program's doing; find the process with: "
                                     "ss -tanp\n");
        return;
    case HOLDER_TIME_WAIT:
        add_time_wait(text, told);
        return;
    case HOLDER_CLOSING:
        text_add(text, is_connect(record)
                           ? "that connection was closed, and its peer has yet to acknowledge\n"
                           : "a closed connection holds the port until its peer acknowledges\n");
        return;
    case HOLDER_UNKNOWN:
        break;
    }
    text_add(text, "who holds");
    text_add(text, what);
    text_add(text, " is not known; no leaked socket of this program does\n");
}

void prose_sharer(struct text *text, const struct told *told)
{
    const struct holder *holder = &told->record->holder;
    if (holder->kind == HOLDER_UNKNOWN)
        return;
    text_add(text, "    ");
    if (holder->kind == HOLDER_OTHER && holder->same) {
        add_process(text, holder);
        text_add(text, " has the same socket open: both must close it\n");
        return;
    }
    text_add(text, "in the way as well: ");
    prose_holder(text, told);
}

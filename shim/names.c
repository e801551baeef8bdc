#include "names.h"

#include <netinet/tcp.h>
#include <string.h>

#include "record.h"
#include "trend.h"

const char *const names_type[] = {
    [RECORD_LEAK] = "leak",
    [RECORD_REAP] = "reap",
    [RECORD_RESCUE] = "rescue",
    [RECORD_BIND_CONFLICT] = "bind-conflict",
    [RECORD_LATE_CLOSE] = "late-close",
    [RECORD_ACCEPT_QUEUE] = "accept-queue",
    [RECORD_SUMMARY] = "summary",
    [RECORD_DESCRIPTORS] = "descriptor-limit",
    [RECORD_GIVEN_BACK] = "rescue",
    NULL,
};

const char *const names_class[] = {
    [CLASS_NONE] = "",
    [CLASS_EOF_IGNORED] = "eof-ignored",
    [CLASS_EOF_UNREAD] = "eof-unread",
    [CLASS_DATA_UNREAD] = "data-unread",
    [CLASS_RESET_IGNORED] = "reset-ignored",
    NULL,
};

const char *const names_how[] = {
    [HOW_CONNECT] = "connect",   [HOW_ACCEPT] = "accept", [HOW_INHERITED] = "inherited",
    [HOW_RECEIVED] = "received", [HOW_FOUND] = "found",   NULL,
};

const char *const names_why[] = {
    [WHY_GRACE] = "grace",
    [WHY_DEAD] = "dead",
    [WHY_PORT] = "port",
    [WHY_DESCRIPTORS] = "descriptors",
    NULL,
};

const char *const names_limited[] = {
    [LIMITED_NONE] = "",
    [LIMITED_SOCKET] = "socket",
    [LIMITED_ACCEPT] = "accept",
    [LIMITED_ACCEPT4] = "accept4",
    NULL,
};

const char *const names_outcome[] = {
    [FATE_UNKNOWN] = "unknown",
    [FATE_GONE] = "gone",
    [FATE_CLOSING] = "closing",
    [FATE_HELD] = "held",
    NULL,
};

/* A closed connection whose peer has yet to acknowledge is nobody's: its state says it. */
const char *const names_holder[] = {
    [HOLDER_UNKNOWN] = "unknown",     [HOLDER_SELF] = "this process",
    [HOLDER_TIME_WAIT] = "time-wait", [HOLDER_CLOSING] = "closing",
    [HOLDER_OTHER] = "other process", NULL,
};

const char *const names_trend[] = {
    [TREND_UNKNOWN] = "",
    [TREND_FLAT] = "flat",
    [TREND_GROWING] = "growing",
    NULL,
};

const char *const names_state[] = {
    [0] = "",
    [TCP_ESTABLISHED] = "ESTABLISHED",
    [TCP_SYN_SENT] = "SYN_SENT",
    [TCP_SYN_RECV] = "SYN_RECV",
    [TCP_FIN_WAIT1] = "FIN_WAIT1",
    [TCP_FIN_WAIT2] = "FIN_WAIT2",
    [TCP_TIME_WAIT] = "TIME_WAIT",
    [TCP_CLOSE] = "CLOSE",
    [TCP_CLOSE_WAIT] = "CLOSE_WAIT",
    [TCP_LAST_ACK] = "LAST_ACK",
    [TCP_LISTEN] = "LISTEN",
    [TCP_CLOSING] = "CLOSING",
    NULL,
};

int names_find(const char *const *names, const char *name)
{
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

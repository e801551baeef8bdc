#include "told_json.h"

#include <arpa/inet.h>
#include <bsd/string.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

/* 0 when it is none, or out of range. */
static uint64_t number_of(const json_t *object, const char *name, uint64_t most)
{
    const json_int_t value = json_integer_value(json_object_get(object, name));
    return value > 0 && (uint64_t)value <= most ? (uint64_t)value : 0;
}

static uint32_t count_of(const json_t *object, const char *name)
{
    return (uint32_t)number_of(object, name, UINT32_MAX);
}

static int int_of(const json_t *object, const char *name)
{
    return (int)number_of(object, name, INT32_MAX);
}

static uint32_t ms_of(const json_t *object, const char *name)
{
    const double seconds = json_number_value(json_object_get(object, name));
    return seconds > 0 && seconds < UINT32_MAX / 1000.0 ? (uint32_t)(seconds * 1000 + 0.5) : 0;
}

/* The first when it is none of them. */
static int name_of(const json_t *object, const char *name, const char *const *names)
{
    const int found = names_find(names, text_of(object, name));
    return found < 0 ? 0 : found;
}

/* As text_add_endpoint writes it. */
static struct endpoint end_of(const json_t *object, const char *name)
{
    struct endpoint end = {0};
    char address[80];
    const char *text = text_of(object, name);
    const char *colon = strrchr(text, ':');
    if (!colon || colon - text >= (int)sizeof(address))
        return end;
    memcpy(address, text, (size_t)(colon - text));
    address[colon - text] = '\0';
    end.port = (uint16_t)strtoul(colon + 1, NULL, 10);
    char *bracket = strpbrk(address, "%]");
    if (bracket && *bracket == '%')
        end.scope = (uint32_t)strtoul(bracket + 1, NULL, 10);
    if (bracket)
        *bracket = '\0';
    if (address[0] == '[' && inet_pton(AF_INET6, address + 1, end.ip) == 1)
        end.family = AF_INET6;
    else if (inet_pton(AF_INET, address, end.ip) == 1)
        end.family = AF_INET;
    return end;
}

static struct fds fds_of(const json_t *object, const char *name)
{
    struct fds fds = {0};
    const json_t *array = json_object_get(object, name);
    size_t i;
    const json_t *fd;
    json_array_foreach((json_t *)array, i, fd)
    {
        if (i < sizeof(fds.at) / sizeof(fds.at[0]))
            fds.at[fds.count++] = (int)json_integer_value(fd);
    }
    return fds;
}

static struct trace trace_of(const json_t *object, const char *name, struct frame *frames)
{
    const json_t *array = json_object_get(object, name);
    int count = 0;
    size_t i;
    const json_t *at;
    json_array_foreach((json_t *)array, i, at)
    {
        const char *function = text_of(at, "symbol");
        if (count == RETOLD_FRAMES)
            break;
        frames[count++] = (struct frame){
            .module = text_of(at, "module")[0] ? text_of(at, "module") : NULL,
            .build_id = text_of(at, "build_id"),
            .offset = number_of(at, "offset", INT64_MAX),
            .function = function[0] ? function : NULL,
            .file = json_string_value(json_object_get(at, "file")),
            .line = int_of(at, "line"),
            .inlined = json_is_true(json_object_get(at, "inlined")),
        };
    }
    return (struct trace){.frames = frames, .count = count};
}

static void read_counts(const json_t *json, struct told *told)
{
    told->count = count_of(json, "count");
    told->since = count_of(json, "since");
    told->site_age_ms = ms_of(json, "site_age_s");
}

static void read_leak(const json_t *json, struct retold *retold)
{
    struct told *told = &retold->told;
    retold->record.leak = (struct leak){
        .fd = int_of(json, "fd"),
        .copies = fds_of(json, "fds"),
        .state = (uint8_t)name_of(json, "state", names_state),
        .class = (enum leak_class)name_of(json, "class", names_class),
        .how = (enum how)name_of(json, "how", names_how),
        .gone_ms = ms_of(json, "fin_age_s"),
        .open_ms = ms_of(json, "open_age_s"),
        .unread_bytes = count_of(json, "unread"),
        .unsent_bytes = count_of(json, "unsent"),
        .error = json_is_true(json_object_get(json, "error")),
        .local = end_of(json, "local"),
        .peer = end_of(json, "peer"),
    };
    told->site = strtoull(text_of(json, "site"), NULL, 16);
    told->opener = int_of(json, "opener_pid");
    read_counts(json, told);
    told->opened = trace_of(json, "open_stack", retold->frames[0]);
    told->eof = trace_of(json, "eof_stack", retold->frames[1]);
    told->last = trace_of(json, "last_stack", retold->frames[2]);
}

static void read_act(const json_t *json, struct retold *retold)
{
    struct record *record = &retold->record;
    const bool failed = strcmp(text_of(json, "outcome"), "failed") == 0;
    record->why = (enum reap_why)name_of(json, "why", names_why);
    record->fate = (enum fate)name_of(json, "outcome", names_outcome);
    record->error = failed ? int_of(json, "errno") : 0;
    if (failed && record->error == 0)
        record->error = 1;
    record->reaped = json_is_true(json_object_get(json, "reaped")) + int_of(json, "closed");
    record->waited_ms = ms_of(json, "waited_s");
    record->fds = fds_of(json, "fds");
}

/* Of a leak that is in the way it is this process; what is told besides is of another socket. */
static struct holder holder_of(const json_t *json)
{
    struct holder holder = {
        .kind = (enum holder_kind)name_of(json, "holder", names_holder),
        .state = (uint8_t)name_of(json, "state", names_state),
        .left_ms = ms_of(json, "left_s"),
        .fd = int_of(json, "holder_fd"),
        .pid = int_of(json, "holder_pid"),
        .same = json_is_true(json_object_get(json, "shared")),
    };
    strlcpy(holder.comm, text_of(json, "holder_comm"), sizeof(holder.comm));
    if (holder.kind == HOLDER_SELF && json_object_get(json, "leak"))
        holder.kind = holder.pid                           ? HOLDER_OTHER
                      : json_object_get(json, "holder_fd") ? HOLDER_SELF
                                                           : HOLDER_UNKNOWN;
    return holder;
}

static void read_port(const json_t *json, struct retold *retold)
{
    struct record *record = &retold->record;
    const json_t *leak = json_object_get(json, "leak");
    const bool connects = strcmp(text_of(json, "call"), "connect") == 0;
    record->wanted = end_of(json, "local");
    record->leaks = int_of(json, "leaks");
    record->holder = holder_of(json);
    if (connects)
        record->to = end_of(json, "peer");
    if (json_is_object(leak))
        read_leak(leak, retold);
    read_counts(json, &retold->told);
    retold->told.asked =
        trace_of(json, connects ? "connect_stack" : "bind_stack", retold->frames[3]);
}

static void read_limits(const json_t *json, struct retold *retold)
{
    struct record *record = &retold->record;
    record->error = int_of(json, "errno");
    record->limits = (struct limits){
        .call = (enum limited)name_of(json, "call", names_limited),
        .open = int_of(json, "open"),
        .limit = int_of(json, "limit"),
        .leaked = int_of(json, "leaked"),
        .tombstones = int_of(json, "tombstones"),
        .given = int_of(json, "given_back"),
    };
    retold->told.asked = trace_of(json, "call_stack", retold->frames[3]);
}

/* Its site and its stack are those of the listener. */
static void read_queue(const json_t *json, struct queue *queue)
{
    *queue = (struct queue){
        .waiting = count_of(json, "waiting"),
        .hung_up = count_of(json, "hung_up"),
        .backlog = count_of(json, "backlog"),
        .age_ms = ms_of(json, "age_s"),
    };
}

static void read_totals(const json_t *json, struct totals *totals)
{
    *totals = (struct totals){
        .leaked = count_of(json, "leaked"),
        .sites = count_of(json, "sites"),
        .growing = count_of(json, "growing"),
        .flat = count_of(json, "flat"),
        .held = count_of(json, "held"),
        .reaped = count_of(json, "reaped"),
        .suppressed = count_of(json, "suppressed"),
        .late = count_of(json, "late"),
        .grace_ms = ms_of(json, "grace_s"),
        .sweep_ms = ms_of(json, "sweep_s"),
        .lost = count_of(json, "lost"),
        .stackless = count_of(json, "stackless"),
    };
}

bool told_read(const json_t *json, struct retold *retold)
{
    int type = names_find(names_type, text_of(json, "type"));
    if (type < 0)
        return false;
    if (type == RECORD_RESCUE && strcmp(text_of(json, "what"), "descriptors") == 0)
        type = RECORD_GIVEN_BACK;
    *retold = (struct retold){.record = {.type = (enum record_type)type}};
    struct told *told = &retold->told;
    told->record = &retold->record;
    read_act(json, retold);
    switch (retold->record.type) {
    case RECORD_LEAK:
    case RECORD_REAP:
    case RECORD_LATE_CLOSE:
        read_leak(json, retold);
        break;
    case RECORD_RESCUE:
    case RECORD_BIND_CONFLICT:
        read_port(json, retold);
        break;
    case RECORD_ACCEPT_QUEUE:
        read_leak(json, retold);
        read_queue(json, &retold->record.queue);
        break;
    case RECORD_SUMMARY:
        read_totals(json, &told->totals);
        break;
    case RECORD_DESCRIPTORS:
    case RECORD_GIVEN_BACK:
        read_limits(json, retold);
        break;
    }
    told->pid = int_of(json, "pid");
    told->comm = text_of(json, "comm");
    if (retold->record.type == RECORD_LEAK)
        told->held = count_of(json, "held");
    told->trend = (enum trend)name_of(json, "trend", names_trend);
    told->grace_ms = ms_of(json, "grace_s");
    if (retold->record.type == RECORD_LATE_CLOSE)
        told->leaks = count_of(json, "leaks");
    told->symbolized = true;
    return true;
}

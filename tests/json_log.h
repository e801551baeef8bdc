/*
 * Logs made by hand for closewait report: lines as the shim writes them, in files of a folder of
 * the test's own.
 */
#ifndef CLOSEWAIT_TESTS_JSON_LOG_H
#define CLOSEWAIT_TESTS_JSON_LOG_H

#include <stddef.h>

#include "support.h"

#define BEGIN(type, minute, pid)                                                                   \
    "{\"type\":\"" type "\",\"time\":\"2026-01-12T08:" #minute ":00.000Z\",\"pid\":" #pid ","      \
    "\"comm\":\"client\","

#define FACTS(id)                                                                                  \
    "\"fd\":3,\"class\":\"eof-unread\",\"local\":\"127.0.0.1:4000\",\"peer\":\"10.0.0.7:5432\","   \
    "\"how\":\"connect\",\"fin_age_s\":60.000,\"site\":\"" #id "\""

#define COUNTS(count, since) ",\"count\":" #count ",\"since\":" #since ",\"site_age_s\":0.000}\n"

#define LEAK(minute, pid, id, count, since)                                                        \
    BEGIN("leak", minute, pid) FACTS(id) COUNTS(count, since)

#define REAP(minute, pid, id, outcome, count, since)                                               \
    BEGIN("reap", minute, pid)                                                                     \
    FACTS(id) ",\"why\":\"grace\",\"outcome\":\"" #outcome "\"" COUNTS(count, since)

#define LATE(minute, pid, id, reaped, count, since)                                                \
    BEGIN("late-close", minute, pid) FACTS(id) ",\"reaped\":" #reaped COUNTS(count, since)

#define RESCUE(minute, pid, id, fds)                                                               \
    BEGIN("rescue", minute, pid)                                                                   \
    "\"what\":\"port\",\"fds\":" fds ",\"outcome\":\"works\",\"leak\":{" FACTS(id) "}}\n"

#define CONFLICT(minute, pid, id) BEGIN("bind-conflict", minute, pid) "\"leak\":{" FACTS(id) "}}\n"

#define SUMMARY(minute, pid, leaked) BEGIN("summary", minute, pid) "\"leaked\":" #leaked "}\n"

#define QUEUE(minute, pid, local, waiting, hung_up, age)                                           \
    BEGIN("accept-queue", minute, pid)                                                             \
    "\"fd\":3,\"local\":\"" local "\",\"waiting\":" #waiting ",\"hung_up\":" #hung_up              \
    ",\"backlog\":4,\"age_s\":" #age ",\"site\":\"f6\""

/* For a test suite's .init and .fini: the folder. */
void json_log_begin(void);
void json_log_end(void);

/* Writes lines as a file of the folder; returns its path. Static storage, 16 at a time. */
const char *json_log(const char *name, const char *lines);
const char *json_log_bytes(const char *name, const char *bytes, size_t size);

/*
 * Runs closewait report --format=json with arguments and puts what it says of each call site on a
 * line: "a1: 3 leaked, 2 held, 0 at the end, 1 reaped, 0 late, 1 process". Fails the test unless it
 * exits with the status; what it says on standard error is in said. Static storage.
 */
const char *sums_of(const char *arguments, int status, char *said, size_t size);

/* Where a file of the folder is. Static storage, 16 at a time. */
const char *in_log_folder(const char *name);

#endif

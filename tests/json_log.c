#define _GNU_SOURCE
#include "json_log.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char place[64];

void json_log_begin(void)
{
    unsetenv("DEBUGINFOD_URLS");
    snprintf(place, sizeof(place), "/tmp/closewait-report.XXXXXX");
    cr_assert_not_null(mkdtemp(place));
}

void json_log_end(void)
{
    char said[256];
    shell(said, sizeof(said), "rm -r %s", place);
}

const char *in_log_folder(const char *name)
{
    static char paths[16][256];
    static unsigned next;
    char *path = paths[next++ % 16];
    snprintf(path, sizeof(paths[0]), "%s/%s", place, name);
    return path;
}

const char *json_log_bytes(const char *name, const char *bytes, size_t size)
{
    const char *path = in_log_folder(name);
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(bytes, 1, size, file), size);
    cr_assert_eq(fclose(file), 0);
    return path;
}

const char *json_log(const char *name, const char *lines)
{
    return json_log_bytes(name, lines, strlen(lines));
}

static int number(const json_t *group, const char *name)
{
    const json_t *value = json_object_get(group, name);
    cr_assert(json_is_integer(value), "%s", name);
    return (int)json_integer_value(value);
}

static int processes_of(const json_t *group)
{
    int sum = 0;
    const char *name;
    json_t *count;
    json_object_foreach(json_object_get(group, "processes"), name, count) sum +=
        (int)json_integer_value(count);
    return sum;
}

const char *sums_of(const char *arguments, int status, char *said, size_t size)
{
    static char text[8192];
    char json[65536];
    const int ended = shell(json, sizeof(json), "%s report --format=json %s 2>%s",
                            built("closewait"), arguments, in_log_folder("stderr"));
    shell(said, size, "cat %s", in_log_folder("stderr"));
    cr_expect_eq(ended, status, "%s: %d %s", arguments, ended, said);
    json_t *groups = json_loads(json, 0, NULL);
    size_t at;
    const json_t *group;
    size_t len = 0;
    text[0] = '\0';
    cr_assert(groups != NULL || json[0] == '\0', "no JSON: %s", json);
    json_array_foreach(groups, at, group)
    {
        if (json_object_get(group, "type")) /* no call site, but an accept queue */
            continue;
        len += (size_t)snprintf(
            text + len, sizeof(text) - len,
            "%s: %d leaked, %d held, %d at the end, %d reaped, %d late, %d process%s\n",
            json_string_value(json_object_get(group, "site")), number(group, "leaks"),
            number(group, "held"), number(group, "held_at_end"), number(group, "reaped"),
            number(group, "late_closes"), processes_of(group),
            processes_of(group) == 1 ? "" : "es");
        cr_assert_lt(len, sizeof(text));
    }
    json_decref(groups);
    return text;
}

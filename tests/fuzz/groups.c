/*
 * Files of records as closewait report reads them, counted by call site and printed in each format.
 * A line that is no JSON begins another file.
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../cli/groups.h"
#include "../../cli/groups_print.h"
#include "fuzz.h"

/* Every module of every input would stay in the cache. */
enum { INPUTS_A_CACHE = 512, DEPTH = 64 };

static struct symbols *symbols;
static int inputs;

/* What is printed goes into a file of its own; libFuzzer speaks on standard error. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *build = getenv("BUILD");
    (void)argc;
    (void)argv;
    unsetenv("DEBUGINFOD_URLS");
    must_hold(!build || chdir(build) == 0);
    must_hold(freopen("fuzz/grouped", "we+", stdout));
    return 0;
}

static size_t count_brackets(const char *line, size_t len)
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++)
        count += line[i] == '[' || line[i] == '{';
    return count;
}

/* What a line's object is by another reader's word, that knows no limit of depth. */
static void check_members(const char *line, size_t len)
{
    static const char *const names[] = {"type", "pid", "leak"};
    enum { COUNT = sizeof(names) / sizeof(names[0]) };
    struct member found[COUNT];
    const bool is_object = members_read(line, len, names, COUNT, found);
    json_t *const record = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
    json_t *const lax = json_loadb(line, len, JSON_ALLOW_NUL, NULL);
    const size_t brackets = count_brackets(line, len);
    must_hold(is_object || !json_is_object(record) || brackets > DEPTH);
    for (int i = 0; i < COUNT && is_object && lax; i++) {
        const json_t *value = json_object_get(lax, names[i]);
        char text[256];
        must_hold(!value == !found[i].at);
        if (!json_is_string(value) || member_text(&found[i], text, sizeof(text)) < 0)
            continue;
        must_hold(member_kind(&found[i]) == '"' && strcmp(text, json_string_value(value)) == 0);
    }
    json_decref(record);
    json_decref(lax);
}

static void count_lines(struct groups *groups, const char *text)
{
    int file = 0;
    for (const char *at = text; *at;) {
        const size_t len = strcspn(at, "\n");
        char *const line = strndup(at, len);
        must_hold(line);
        check_members(line, len);
        file += groups_add(groups, line, len, file) == ENTRY_WRONG;
        free(line);
        at += len + (at[len] == '\n');
    }
}

static void check_group(const struct groups *groups, const struct group *group)
{
    const struct sums *sums = &group->sums;
    must_hold(sums->held + sums->held_at_end + sums->reaped <= sums->leaks);
    must_hold(group->first_ms <= group->last_ms);
    must_hold(sums->held == 0 || sums->held_since_ms <= groups->last_ms);
    must_hold(group_growth(group) >= -1);
    must_hold(sums->held > 1 || sums->trend == TREND_UNKNOWN);
    must_hold(sums->held_at_end > 1 || sums->trend_at_end == TREND_UNKNOWN);
    must_hold(group_grace_ms(group) == 0 || sums->late * 2 > sums->leaks);
    must_hold(group->peers.count <= GROUP_PEERS && group->names.count > 0);
}

/* What the last print wrote; for free(3). */
static char *take_printed(size_t *size)
{
    struct stat st;
    must_hold(fflush(stdout) == 0 && fstat(STDOUT_FILENO, &st) == 0 && st.st_size > 0);
    *size = (size_t)st.st_size;
    char *copy = malloc(*size + 1);
    must_hold(copy && pread(STDOUT_FILENO, copy, *size, 0) == st.st_size);
    copy[*size] = '\0';
    rewind(stdout);
    must_hold(ftruncate(STDOUT_FILENO, 0) == 0);
    return copy;
}

static void check_json(const struct groups *groups, const struct groups_style *style)
{
    size_t size = 0;
    groups_print_json(groups, style);
    char *printed = take_printed(&size);
    json_t *array = json_loadb(printed, size, 0, NULL);
    must_hold(json_is_array(array) &&
              json_array_size(array) == groups->count + groups->queues.count);
    json_decref(array);
    free(printed);
}

/* Every line ends with a number after a space, and has no other control character. */
static void check_folded(const struct groups *groups, const struct groups_style *style)
{
    size_t size = 0;
    groups_print_folded(groups, style);
    putchar('\n');
    char *printed = take_printed(&size);
    must_hold(strlen(printed) == size);
    for (char *line = strtok(printed, "\n"); line; line = strtok(NULL, "\n")) {
        const char *space = strrchr(line, ' ');
        must_hold(space && space[1] && strspn(space + 1, "0123456789") == strlen(space + 1));
    }
    free(printed);
}

/* What a page has from records is text in it, and its data is JSON without a '<'. */
static void check_html(const struct groups *groups, const struct groups_style *style)
{
    static const char begin[] = "id=\"data\">";
    size_t size = 0;
    groups_print_html(groups, style);
    char *printed = take_printed(&size);
    must_hold(strlen(printed) == size);
    const char *text = strstr(printed, begin) + sizeof(begin) - 1;
    const size_t len = strcspn(text, "<");
    must_hold(strncmp(text + len, "</script>\n<script>", 18) == 0);
    json_t *data = json_loadb(text, len, 0, NULL);
    must_hold(json_array_size(json_object_get(data, "sites")) == groups->count);
    must_hold(json_array_size(json_object_get(data, "records")) == groups->events.count);
    json_decref(data);
    free(printed);
}

static void check_text(const struct groups *groups, const struct groups_style *style)
{
    size_t size = 0;
    groups_print_text(groups, style);
    char *printed = take_printed(&size);
    must_hold(printed[size - 1] == '\n');
    for (const char *at = printed; *at; at++)
        must_hold(*at == '\n' || ((unsigned char)*at >= ' ' && *at != 0x7f));
    free(printed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (inputs++ % INPUTS_A_CACHE == 0) {
        symbols_end(symbols);
        symbols = symbols_begin();
        must_hold(symbols);
    }
    const struct groups_style style = {.symbols = symbols, .limit = SIZE_MAX};
    struct quota quota = {0};
    struct groups groups = groups_begin(&quota);
    groups.for_page = true;
    char *const text = strndup((const char *)data, size);
    must_hold(text);
    count_lines(&groups, text);
    free(text);
    groups_finish(&groups);
    for (size_t i = 0; i < groups.count; i++) {
        check_group(&groups, groups.all[i]);
        must_hold(i == 0 || groups.all[i - 1]->sums.held >= groups.all[i]->sums.held);
    }
    check_json(&groups, &style);
    check_folded(&groups, &style);
    check_text(&groups, &style);
    check_html(&groups, &style);
    groups_free(&groups);
    return 0;
}

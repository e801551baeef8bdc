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
enum { INPUTS_A_CACHE = 512 };

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

static void count_lines(struct groups *groups, const char *data, size_t size)
{
    int file = 0;
    for (const char *at = data; at < data + size;) {
        const char *end = memchr(at, '\n', size - (size_t)(at - data));
        const size_t len = (size_t)((end ? end : data + size) - at);
        json_t *record = json_loadb(at, len, JSON_REJECT_DUPLICATES, NULL);
        if (json_is_object(record))
            groups_add(groups, record, file);
        else
            file++;
        json_decref(record);
        at += len + 1;
    }
}

static void check_group(const struct groups *groups, const struct group *group)
{
    struct met top[GROUP_TOP];
    const struct sums *sums = &group->sums;
    must_hold(sums->held + sums->held_at_end + sums->reaped <= sums->leaks);
    must_hold(group->first_ms <= group->last_ms);
    must_hold(sums->held == 0 || sums->held_since_ms <= groups->last_ms);
    must_hold(group_growth(group) >= -1);
    must_hold(sums->held > 1 || sums->trend == TREND_UNKNOWN);
    must_hold(sums->held_at_end > 1 || sums->trend_at_end == TREND_UNKNOWN);
    must_hold(group_grace_ms(group) == 0 || sums->late * 2 > sums->leaks);
    must_hold(group_top(group->peers, top) <= GROUP_TOP);
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
    struct groups groups = groups_begin();
    count_lines(&groups, (const char *)data, size);
    groups_finish(&groups);
    for (size_t i = 0; i < groups.count; i++) {
        check_group(&groups, groups.all[i]);
        must_hold(i == 0 || groups.all[i - 1]->sums.held >= groups.all[i]->sums.held);
    }
    check_json(&groups, &style);
    check_folded(&groups, &style);
    check_text(&groups, &style);
    groups_free(&groups);
    return 0;
}

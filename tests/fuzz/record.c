/*
 * Lines that some process wrote where the command reads records: symbolized, and told as closewait
 * run tells them. Modules are taken from the build tree: tests/places has symbols and DWARF.
 */
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "../../cli/retell.h"
#include "../../cli/traces.h"
#include "fuzz.h"

/* What is known of modules, processes and sites stays until then. */
enum { INPUTS_A_CACHE = 512 };

static const char patterns[] = "function:main class:eof-ignored\nfile:*.cc\npeer:10.*\n";
static const char path[] = "fuzz/told";
static struct symbols *symbols;
static struct retell retell;
static int inputs;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    unsetenv("DEBUGINFOD_URLS");
    const char *build = getenv("BUILD");
    must_hold(!build || chdir(build) == 0);
    return 0;
}

/* Of what the process wrote nothing is left out and nothing changed, but symbols are added. */
static void check_frame(const json_t *before, const json_t *after)
{
    const char *key;
    json_t *value;
    if (!json_is_object(before)) {
        must_hold(json_equal(before, after));
        return;
    }
    json_object_foreach((json_t *)before, key, value)
    {
        const bool filled = strcmp(key, "symbol") == 0 || strcmp(key, "file") == 0 ||
                            strcmp(key, "line") == 0 || strcmp(key, "inlined") == 0;
        must_hold(filled || json_equal(value, json_object_get(after, key)));
    }
}

static void check_stack(const json_t *before, const json_t *after)
{
    const size_t count = json_array_size(before);
    if (!json_is_array(before)) {
        must_hold(json_equal(before, after) || before == after);
        return;
    }
    must_hold(json_array_size(after) >= count);
    if (count > 0)
        check_frame(json_array_get(before, count - 1),
                    json_array_get(after, json_array_size(after) - 1));
}

static void check_stacks(const json_t *before, const json_t *after)
{
    for (size_t i = 0; traces_names[i]; i++)
        check_stack(json_object_get(before, traces_names[i]),
                    json_object_get(after, traces_names[i]));
}

/* What was found once is found again, and what has symbols stays as it is. */
static void check_again(json_t *record)
{
    json_t *copy = json_deep_copy(record);
    traces_symbolize(copy, symbols);
    must_hold(json_equal(copy, record));
    json_decref(copy);
}

static void check(json_t *record)
{
    json_t *before = json_deep_copy(record);
    traces_symbolize(record, symbols);
    must_hold(json_typeof(before) == json_typeof(record));
    check_stacks(before, record);
    check_stacks(json_object_get(before, "leak"), json_object_get(record, "leak"));
    check_again(record);
    char *line = json_dumps(record, JSON_COMPACT | JSON_ENCODE_ANY);
    must_hold(line && !strchr(line, '\n'));
    free(line);
    json_decref(before);
}

/* Whatever the record was, it ends with a line. */
static void check_told(void)
{
    char end = '\n';
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    const off_t size = lseek(fd, 0, SEEK_END);
    must_hold(size == 0 || pread(fd, &end, 1, size - 1) == 1);
    must_hold(end == '\n');
    must_hold(ftruncate(fd, 0) == 0);
    close(fd);
}

static void tell(const char *data, size_t size, enum format format)
{
    retell.options.format = format;
    for (const char *at = data; at < data + size;) {
        const char *end = memchr(at, '\n', size - (size_t)(at - data));
        const size_t len = (size_t)((end ? end : data + size) - at);
        retell_line(&retell, at, len);
        at += len + 1;
    }
    check_told();
}

static void begin_anew(void)
{
    const struct options options = {.action = ACTION_CLOSE};
    char why[128];
    symbols_end(symbols);
    symbols = symbols_begin();
    if (retell.symbols)
        retell_end(&retell);
    must_hold(symbols && retell_begin(&retell, &options));
    retell.quiet.patterns = calloc(1, sizeof(*retell.quiet.patterns));
    must_hold(retell.quiet.patterns);
    memcpy(retell.options.output, path, sizeof(path));
    memcpy(retell.quiet.patterns->text, patterns, sizeof(patterns));
    must_hold(
        suppress_parse(retell.quiet.patterns, sizeof(patterns) - 1, "patterns", why, sizeof(why)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (inputs++ % INPUTS_A_CACHE == 0)
        begin_anew();
    json_t *record = json_loadb((const char *)data, size, 0, NULL);
    if (record)
        check(record);
    json_decref(record);
    tell((const char *)data, size, FORMAT_TEXT);
    tell((const char *)data, size, FORMAT_JSON);
    return 0;
}

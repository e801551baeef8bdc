/*
 * A line that some process wrote where the command reads records. Modules are taken from the build
 * tree: tests/places has symbols and DWARF.
 */
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "../../cli/traces.h"
#include "fuzz.h"

/* Every module of every input would stay in the cache. */
enum { INPUTS_A_CACHE = 512 };

static struct symbols *symbols;
static int inputs;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    unsetenv("DEBUGINFOD_URLS");
    must_hold(!getenv("BUILD") || chdir(getenv("BUILD")) == 0);
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (inputs++ % INPUTS_A_CACHE == 0) {
        symbols_end(symbols);
        symbols = symbols_begin();
        must_hold(symbols);
    }
    json_t *record = json_loadb((const char *)data, size, 0, NULL);
    if (record)
        check(record);
    json_decref(record);
    return 0;
}

/*
 * CLOSEWAIT_OPTIONS as anybody may set it.
 */
#include <string.h>

#include "fuzz.h"
#include "options.h"

enum { DAY_MS = 24 * 60 * 60 * 1000, FRAMES_MAX = 64 };

static void check_options(const struct options *options)
{
    char path[OPTIONS_PATH_SIZE];
    must_hold(options->action >= ACTION_LOG && options->action <= ACTION_CLOSE);
    must_hold(options->grace_ms >= 1 && options->grace_ms <= DAY_MS);
    must_hold(options->format == FORMAT_TEXT || options->format == FORMAT_JSON);
    must_hold(options->stack >= 0 && options->stack <= FRAMES_MAX);
    must_hold(options->signal >= 0);
    must_hold(!options->output[0] || options->output[0] == '/');
    must_hold(!options->suppress[0] || options->suppress[0] == '/');
    must_hold(strlen(options->suppress) < sizeof(options->suppress));
    if (options_output(options, INT32_MAX, path))
        must_hold(!path[0] == !options->output[0]);
}

/* One line, whatever was in the option. */
static void check_reason(const char *why, size_t size)
{
    const size_t len = strnlen(why, size);
    must_hold(len > 0 && len < size);
    for (size_t i = 0; i < len; i++)
        must_hold((unsigned char)why[i] >= ' ');
}

static void check(const char *text, size_t why_size)
{
    struct options options;
    char *why = calloc(1, why_size); /* of the heap: its end is watched */
    must_hold(why);
    if (options_read(text, &options, why, why_size))
        check_options(&options);
    else
        check_reason(why, why_size);
    free(why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { SHORT = 8, LONG = 400 };
    char *text = calloc(1, size + 1);
    must_hold(text);
    memcpy(text, data, size);
    check(text, LONG);
    check(text, SHORT);
    free(text);
    return 0;
}

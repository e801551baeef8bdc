#define _GNU_SOURCE
#include "options.h"

#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <string.h>
#include <unistd.h>

#include "text.h"

/* A word of the option string: not terminated, since the environment is not ours to cut up. */
struct word {
    const char *at;
    size_t len;
};

static bool is(struct word word, const char *name)
{
    return word.len == strlen(name) && memcmp(word.at, name, word.len) == 0;
}

/* As much of it as helps, on one line whatever it holds. */
static void quote(struct text *text, struct word word)
{
    const size_t most = 40;
    text_add(text, "'");
    for (size_t i = 0; i < word.len && i < most; i++)
        text_add_bytes(text, (unsigned char)word.at[i] < ' ' ? "?" : &word.at[i], 1);
    text_add(text, word.len > most ? "...'" : "'");
}

static const struct {
    const char *name;
    enum action action;
} actions[] = {
    {"log", ACTION_LOG},
    {"close-dead", ACTION_CLOSE_DEAD},
    {"close", ACTION_CLOSE},
};

static const struct {
    const char *name;
    uint32_t ms;
} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 60 * 60 * 1000}};

enum {
    GRACE_DEFAULT_MS = 10 * 1000,
    GRACE_CLOSE_MS = 60 * 1000,
    GRACE_MAX_MS = 24 * 60 * 60 * 1000
};

static bool read_action(struct word value, struct options *options, struct text *why)
{
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (is(value, actions[i].name)) {
            options->action = actions[i].action;
            return true;
        }
    }
    text_add(why, "expected log, close-dead or close");
    return false;
}

/* 0 when it is no duration: grace of nothing would reap a socket that is about to be closed. */
static uint32_t duration_ms(struct word value)
{
    size_t digits = 0;
    while (digits < value.len && value.at[digits] >= '0' && value.at[digits] <= '9')
        digits++;
    char number[12];
    if (digits == 0 || digits >= sizeof(number))
        return 0;
    strlcpy(number, value.at, digits + 1);
    const struct word unit = {value.at + digits, value.len - digits};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (is(unit, units[i].name))
            return (uint32_t)strtonum(number, 0, GRACE_MAX_MS / units[i].ms, NULL) * units[i].ms;
    }
    return 0;
}

static bool read_grace(struct word value, struct options *options, struct text *why)
{
    options->grace_ms = duration_ms(value);
    if (options->grace_ms == 0)
        text_add(why, "expected a duration from 1ms to 24h, such as 500ms, 10s or 5m");
    return options->grace_ms != 0;
}

static bool expand_path(struct word value, int pid, struct text *path)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] != '%') {
            text_add_bytes(path, &value.at[i], 1);
            continue;
        }
        i++;
        if (i == value.len || (value.at[i] != 'p' && value.at[i] != '%'))
            return false;
        if (value.at[i] == 'p')
            text_add_uint(path, (uint64_t)pid);
        else
            text_add(path, "%");
    }
    return !path->cut;
}

static bool read_output(struct word value, int pid, struct options *options, struct text *why)
{
    if (is(value, "stderr")) {
        options->output[0] = '\0';
        return true;
    }
    struct text path = text_in(options->output, sizeof(options->output));
    if (value.len > 0 && value.at[0] != '/' && getcwd(options->output, sizeof(options->output))) {
        path.len = strlen(options->output);
        text_add(&path, "/");
    }
    if (value.len > 0 && expand_path(value, pid, &path))
        return true;
    text_add(why, "expected stderr or the path of a file, in which %p is the process id");
    return false;
}

static bool read_pair(struct word pair, int pid, struct options *options, struct text *why)
{
    const char *equals = memchr(pair.at, '=', pair.len);
    const struct word key = {pair.at, equals ? (size_t)(equals - pair.at) : pair.len};
    const struct word value = {pair.at + key.len + (equals != NULL),
                               pair.len - key.len - (equals != NULL)};
    if (!is(key, "action") && !is(key, "grace") && !is(key, "output")) {
        text_add(why, "unknown option ");
        quote(why, key);
        text_add(why, ": expected action, grace or output");
        return false;
    }
    text_add_bytes(why, key.at, key.len);
    text_add(why, " is ");
    quote(why, value);
    text_add(why, ": ");
    if (is(key, "action"))
        return read_action(value, options, why);
    if (is(key, "grace"))
        return read_grace(value, options, why);
    return read_output(value, pid, options, why);
}

bool options_read(const char *text, int pid, struct options *options, char *why, size_t why_size)
{
    *options = (struct options){.action = ACTION_LOG, .stack = 16};
    const char *at = text ? text : "";
    while (*at) {
        const struct word pair = {at, strcspn(at, ",")};
        struct text reason = text_in(why, why_size);
        if (pair.len > 0 && !read_pair(pair, pid, options, &reason))
            return false;
        at += pair.len + (at[pair.len] == ',');
    }
    if (options->grace_ms == 0)
        options->grace_ms = options->action == ACTION_CLOSE ? GRACE_CLOSE_MS : GRACE_DEFAULT_MS;
    return true;
}

#define _GNU_SOURCE
#include "options.h"

#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "depot.h"
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

static bool read_action(struct word value, struct options *options)
{
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (is(value, actions[i].name)) {
            options->action = actions[i].action;
            return true;
        }
    }
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

static bool read_grace(struct word value, struct options *options)
{
    options->grace_ms = duration_ms(value);
    return options->grace_ms != 0;
}

static bool read_format(struct word value, struct options *options)
{
    options->format = is(value, "json") ? FORMAT_JSON : FORMAT_TEXT;
    return is(value, "json") || is(value, "text");
}

static bool read_stack(struct word value, struct options *options)
{
    char number[4];
    const char *mistake = NULL;
    if (value.len == 0 || value.len >= sizeof(number))
        return false;
    strlcpy(number, value.at, value.len + 1);
    options->stack = (int)strtonum(number, 0, DEPOT_FRAMES, &mistake);
    return !mistake && number[0] >= '0' && number[0] <= '9';
}

static bool read_last(struct word value, struct options *options)
{
    options->last = is(value, "on");
    return is(value, "on") || is(value, "off");
}

static bool read_scan(struct word value, struct options *options)
{
    options->scan = is(value, "on") ? SCAN_ON : is(value, "off") ? SCAN_OFF : SCAN_AUTO;
    return options->scan != SCAN_AUTO || is(value, "auto");
}

static bool read_reuseaddr(struct word value, struct options *options)
{
    options->reuseaddr = is(value, "on");
    return is(value, "on") || is(value, "off");
}

/* Those that no fault of the program's raises and that it can go on after. */
static const struct {
    const char *name;
    int number;
} signals[] = {
    {"HUP", SIGHUP},   {"INT", SIGINT},       {"QUIT", SIGQUIT}, {"USR1", SIGUSR1},
    {"USR2", SIGUSR2}, {"ALRM", SIGALRM},     {"TERM", SIGTERM}, {"URG", SIGURG},
    {"PROF", SIGPROF}, {"VTALRM", SIGVTALRM}, {"IO", SIGIO},     {"WINCH", SIGWINCH},
    {"PWR", SIGPWR},
};

static bool read_signal(struct word value, struct options *options)
{
    options->signal = 0;
    if (is(value, "off"))
        return true;
    if (value.len > 3 && memcmp(value.at, "SIG", 3) == 0)
        value = (struct word){value.at + 3, value.len - 3};
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        if (is(value, signals[i].name))
            options->signal = signals[i].number;
    return options->signal != 0;
}

/* %p and %% are all that a % may begin. */
static bool has_sound_percents(struct word value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] != '%')
            continue;
        i++;
        if (i == value.len || (value.at[i] != 'p' && value.at[i] != '%'))
            return false;
    }
    return true;
}

/*
 * A relative path is taken from the working directory, which the program may leave. percent is how
 * a % of that folder's name is written.
 */
static bool read_path(struct word value, const char *percent, char *path)
{
    char folder[OPTIONS_PATH_SIZE] = "";
    struct text text = text_in(path, OPTIONS_PATH_SIZE);
    if (value.len > 0 && value.at[0] != '/' && getcwd(folder, sizeof(folder)))
        strlcat(folder, "/", sizeof(folder));
    for (const char *at = folder; *at; at++)
        text_add_bytes(&text, *at == '%' ? percent : at, *at == '%' ? strlen(percent) : 1);
    text_add_bytes(&text, value.at, value.len);
    return value.len > 0 && !text.cut;
}

static bool read_output(struct word value, struct options *options)
{
    options->output[0] = '\0';
    options->journal = is(value, "journal");
    return options->journal || is(value, "stderr") ||
           (has_sound_percents(value) && read_path(value, "%%", options->output));
}

static bool read_suppress(struct word value, struct options *options)
{
    options->suppress[0] = '\0';
    return is(value, "none") || read_path(value, "%", options->suppress);
}

static const struct {
    const char *name;
    bool (*read)(struct word value, struct options *options);
    const char *expected;
} keys[] = {
    {"action", read_action, "log, close-dead or close"},
    {"grace", read_grace, "a duration from 1ms to 24h, such as 500ms, 10s or 5m"},
    {"output", read_output, "stderr, journal or the path of a file, in which %p is the process id"},
    {"format", read_format, "text or json"},
    {"stack", read_stack, "a number of frames from 0 to 64"},
    {"last", read_last, "on or off"},
    {"suppress", read_suppress, "the path of a file of patterns"},
    {"reuseaddr", read_reuseaddr, "on or off"},
    {"scan", read_scan, "auto, on or off"},
    {"signal", read_signal, "a signal's name, such as SIGUSR2, or off"},
};

enum { KEYS = sizeof(keys) / sizeof(keys[0]) };

static void refuse_key(struct word key, struct text *why)
{
    text_add(why, "unknown option ");
    quote(why, key);
    text_add(why, ": expected ");
    for (int i = 0; i < KEYS; i++) {
        text_add(why, i == 0 ? "" : i == KEYS - 1 ? " or " : ", ");
        text_add(why, keys[i].name);
    }
}

static bool read_pair(struct word pair, struct options *options, struct text *why)
{
    const char *equals = memchr(pair.at, '=', pair.len);
    const struct word key = {pair.at, equals ? (size_t)(equals - pair.at) : pair.len};
    const struct word value = {pair.at + key.len + (equals != NULL),
                               pair.len - key.len - (equals != NULL)};
    int i = 0;
    while (i < KEYS && !is(key, keys[i].name))
        i++;
    if (i == KEYS) {
        refuse_key(key, why);
        return false;
    }
    if (keys[i].read(value, options))
        return true;
    text_add_bytes(why, key.at, key.len);
    text_add(why, " is ");
    quote(why, value);
    text_add(why, ": expected ");
    text_add(why, keys[i].expected);
    return false;
}

/* The paths are 8 KiB, and this is a part of every program's start: their ends will do. */
static void set_defaults(struct options *options)
{
    options->action = ACTION_LOG;
    options->grace_ms = 0;
    options->format = FORMAT_TEXT;
    options->stack = 16;
    options->last = false;
    options->reuseaddr = false;
    options->scan = SCAN_AUTO;
    options->signal = 0;
    options->journal = false;
    options->output[0] = '\0';
    options->suppress[0] = '\0';
}

bool options_read(const char *text, struct options *options, char *why, size_t why_size)
{
    set_defaults(options);
    const char *at = text ? text : "";
    while (*at) {
        const struct word pair = {at, strcspn(at, ",")};
        struct text reason = text_in(why, why_size);
        if (pair.len > 0 && !read_pair(pair, options, &reason))
            return false;
        at += pair.len + (at[pair.len] == ',');
    }
    if (options->grace_ms == 0)
        options->grace_ms = options->action == ACTION_CLOSE ? GRACE_CLOSE_MS : GRACE_DEFAULT_MS;
    return true;
}

bool options_output(const struct options *options, int pid, char path[OPTIONS_PATH_SIZE])
{
    struct text text = text_in(path, OPTIONS_PATH_SIZE);
    for (const char *at = options->output; *at; at++) {
        if (*at == '%' && *++at == 'p')
            text_add_uint(&text, (uint64_t)pid);
        else
            text_add_bytes(&text, at, 1);
    }
    return !text.cut;
}

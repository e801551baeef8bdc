/*
 * A file of patterns as anybody may write it. Its last line is also what the module, the function
 * and the file of a leak are called, so that something matches.
 */
#include <fnmatch.h>
#include <string.h>
#include <sys/socket.h>

#include "fuzz.h"
#include "suppress.h"

static struct suppressions list;
static struct suppressions again;
static char why[400];

static const char *last_line(const char *text)
{
    const char *end = strrchr(text, '\n');
    return end ? end + 1 : text;
}

static bool parse(struct suppressions *into, const char *text, size_t size)
{
    memcpy(into->text, text, size);
    memset(why, 0, sizeof(why));
    return suppress_parse(into, size, "patterns", why, sizeof(why));
}

static void check_reason(void)
{
    const size_t len = strlen(why);
    must_hold(len > 0 && len < sizeof(why));
    for (size_t i = 0; i < len; i++)
        must_hold((unsigned char)why[i] >= ' ');
}

static bool is_trimmed(const char *text)
{
    return text[0] && !strchr(" \t\r#", text[0]) && !strchr(" \t\r", text[strlen(text) - 1]) &&
           !strstr(text, " #") && !strstr(text, "\t#") && !strstr(text, "\r#");
}

/* The line that a summary shows means, in a file of its own, the same. */
static void check_line(const struct suppression *pattern)
{
    must_hold(pattern->line >= 1 && pattern->text && is_trimmed(pattern->text));
    must_hold(pattern->count >= 1 && pattern->count <= SUPPRESS_WORDS);
    must_hold(parse(&again, pattern->text, strlen(pattern->text)));
    must_hold(again.count == 1 && again.at[0].count == pattern->count);
    for (int i = 0; i < pattern->count; i++) {
        must_hold(again.at[0].words[i].key == pattern->words[i].key);
        must_hold(strcmp(again.at[0].words[i].pattern, pattern->words[i].pattern) == 0);
    }
    must_hold(suppress_is_symbolic(&again.at[0]) == suppress_is_symbolic(pattern));
}

/* fnmatch(3) knows more than * and ?, and takes for ever over many stars. */
static bool is_plain(const char *pattern)
{
    enum { LENGTH = 64, STARS = 4 };
    int stars = 0;
    for (const char *at = pattern; *at; at++) {
        stars += *at == '*';
        if (*at == '[' || *at < ' ')
            return false;
    }
    return stars <= STARS && strlen(pattern) <= LENGTH;
}

static bool expect_match(const struct suppression *pattern, const char *name)
{
    for (int i = 0; i < pattern->count; i++) {
        const struct suppress_word *word = &pattern->words[i];
        if (word->key != KEY_FUNCTION || fnmatch(word->pattern, name, FNM_NOESCAPE) != 0)
            return false;
    }
    return true;
}

static bool is_comparable(const struct suppression *pattern)
{
    for (int i = 0; i < pattern->count; i++)
        if (pattern->words[i].key != KEY_FUNCTION || !is_plain(pattern->words[i].pattern))
            return false;
    return true;
}

/* Our own matcher and libc's agree on functions; the other keys must not crash. */
static void check_matches(const char *name)
{
    const struct frame frames[] = {{.module = name, .build_id = "00", .offset = 1},
                                   {.module = "/lib/libc.so.6", .function = name, .file = name},
                                   {.offset = 2}};
    const struct trace opened = {.frames = frames, .count = 3};
    const struct leak leak = {.class = CLASS_EOF_UNREAD,
                              .peer = {.family = AF_INET6, .ip = {1}, .scope = 2, .port = 3}};
    const struct suppression *found = suppress_find(&list, &leak, &opened);
    must_hold(!found || (found >= list.at && found < list.at + list.count));
    for (int i = 0; i < list.count && strlen(name) < 256; i++) {
        again.count = 1;
        again.at[0] = list.at[i];
        if (is_comparable(&list.at[i]) && is_plain(name))
            must_hold(!suppress_find(&again, &leak, &opened) == !expect_match(&list.at[i], name));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > SUPPRESS_FILE_SIZE)
        return 0;
    char *text = calloc(1, size + 1);
    must_hold(text);
    memcpy(text, data, size);
    if (parse(&list, text, size)) {
        must_hold(list.count >= 0 && list.count <= SUPPRESS_PATTERNS);
        for (int i = 0; i < list.count; i++)
            check_line(&list.at[i]);
        check_matches(last_line(text));
    } else {
        check_reason();
    }
    free(text);
    return 0;
}

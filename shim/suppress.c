#include "suppress.h"

#include <fcntl.h>
#include <string.h>

#include "names.h"
#include "raw.h"
#include "text.h"

static const char *const keys[] = {
    [KEY_MODULE] = "module", [KEY_FUNCTION] = "function", [KEY_FILE] = "file",
    [KEY_PEER] = "peer",     [KEY_CLASS] = "class",       NULL,
};

/* fnmatch(3) asks for a locale, of which the watcher has none. */
static bool matches(const char *pattern, const char *text)
{
    const char *star = NULL;
    const char *resume = NULL;
    while (*text) {
        if (*pattern == '*') {
            star = pattern++;
            resume = text;
        } else if (*pattern == *text || *pattern == '?') {
            pattern++;
            text++;
        } else if (star) {
            pattern = star + 1;
            text = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

static bool matches_path(const char *pattern, const char *path)
{
    if (!path)
        return false;
    const char *slash = strrchr(path, '/');
    return matches(pattern, path) || (slash && matches(pattern, slash + 1));
}

static bool matches_frame(const struct suppress_word *word, const struct frame *frame)
{
    switch (word->key) {
    case KEY_MODULE:
        return matches_path(word->pattern, frame->module);
    case KEY_FUNCTION:
        return frame->function && matches(word->pattern, frame->function);
    case KEY_FILE:
        return matches_path(word->pattern, frame->file);
    case KEY_PEER:
    case KEY_CLASS:
        break;
    }
    return false;
}

static bool matches_leak(const struct suppress_word *word, const struct leak *leak,
                         const struct trace *opened)
{
    char peer[80];
    struct text text = text_in(peer, sizeof(peer));
    if (word->key == KEY_CLASS)
        return matches(word->pattern, names_class[leak->class]);
    if (word->key == KEY_PEER) {
        text_add_endpoint(&text, &leak->peer);
        return matches(word->pattern, peer);
    }
    for (int i = 0; i < opened->count; i++)
        if (matches_frame(word, &opened->frames[i]))
            return true;
    return false;
}

struct suppression *suppress_find(struct suppressions *list, const struct leak *leak,
                                  const struct trace *opened)
{
    for (int i = 0; i < list->count; i++) {
        struct suppression *pattern = &list->at[i];
        int matched = 0;
        while (matched < pattern->count && matches_leak(&pattern->words[matched], leak, opened))
            matched++;
        if (matched == pattern->count)
            return pattern;
    }
    return NULL;
}

static bool could_match(const struct suppress_word *word, const struct leak *leak,
                        const struct trace *opened)
{
    return word->key == KEY_FUNCTION || word->key == KEY_FILE || matches_leak(word, leak, opened);
}

bool suppress_could(const struct suppressions *list, const struct leak *leak,
                    const struct trace *opened)
{
    for (int i = 0; i < list->count; i++) {
        const struct suppression *pattern = &list->at[i];
        int matched = 0;
        while (matched < pattern->count && could_match(&pattern->words[matched], leak, opened))
            matched++;
        if (matched == pattern->count)
            return true;
    }
    return false;
}

bool suppress_is_symbolic(const struct suppression *pattern)
{
    for (int i = 0; i < pattern->count; i++)
        if (pattern->words[i].key == KEY_FUNCTION || pattern->words[i].key == KEY_FILE)
            return true;
    return false;
}

/* Where a mistake is said, with the file and the line in front. */
struct complaint {
    struct text text;
    const char *path;
    int line;
};

static bool complain(struct complaint *complaint, const char *what, const char *word)
{
    text_add(&complaint->text, complaint->path);
    if (complaint->line > 0) {
        text_add(&complaint->text, ":");
        text_add_uint(&complaint->text, (uint64_t)complaint->line);
    }
    text_add(&complaint->text, ": ");
    text_add(&complaint->text, what);
    for (size_t i = 0; word && word[i] && i < 40; i++)
        text_add_bytes(&complaint->text, (unsigned char)word[i] < ' ' ? "?" : &word[i], 1);
    text_add(&complaint->text, word ? "'" : "");
    return false;
}

static bool is_class(const char *pattern)
{
    for (int i = 1; names_class[i]; i++)
        if (matches(pattern, names_class[i]))
            return true;
    return false;
}

static bool read_word(struct suppression *pattern, char *at, struct complaint *complaint)
{
    char *colon = strchr(at, ':');
    if (!colon)
        return complain(
            complaint, "expected module:, function:, file:, peer: or class: and a pattern, found '",
            at);
    *colon = '\0';
    const int key = names_find(keys, at);
    if (key < 0)
        return complain(complaint, "expected module:, function:, file:, peer: or class:, found '",
                        at);
    if (!colon[1])
        return complain(complaint, "there is no pattern after '", at);
    if (key == KEY_CLASS && !is_class(colon + 1))
        return complain(complaint,
                        "expected a class (eof-ignored, eof-unread, data-unread or reset-ignored), "
                        "found '",
                        colon + 1);
    if (pattern->count == SUPPRESS_WORDS)
        return complain(complaint, "more than 8 words in a line, from '", colon + 1);
    pattern->words[pattern->count++] =
        (struct suppress_word){.key = (enum suppress_key)key, .pattern = colon + 1};
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/*
 * Cuts a line, which ends with '\0', into its words; of text, the same line as it was read, only
 * what is from the first to the last of them is kept.
 */
static bool read_line(struct suppressions *list, char *text, char *at, struct complaint *complaint)
{
    struct suppression pattern = {.line = complaint->line};
    const char *const line = at;
    size_t end = 0;
    while (*at) {
        while (is_blank(*at))
            at++;
        if (!*at || *at == '#')
            break;
        char *word = at;
        while (*at && !is_blank(*at))
            at++;
        if (!pattern.text)
            pattern.text = &text[word - line];
        end = (size_t)(at - line);
        if (*at)
            *at++ = '\0';
        if (!read_word(&pattern, word, complaint))
            return false;
    }
    if (pattern.count == 0)
        return true;
    if (list->count == SUPPRESS_PATTERNS)
        return complain(complaint, "more than 256 patterns", NULL);
    text[end] = '\0';
    list->at[list->count++] = pattern;
    return true;
}

bool suppress_parse(struct suppressions *list, size_t size, const char *path, char *why,
                    size_t why_size)
{
    struct complaint complaint = {.text = text_in(why, why_size), .path = path};
    list->count = 0;
    if (size >= sizeof(list->text))
        return complain(&complaint, "longer than 65535 bytes", NULL);
    list->text[size] = '\0';
    if (strlen(list->text) != size)
        return complain(&complaint, "not a text: there is a zero byte in it", NULL);
    memcpy(list->words, list->text, size + 1);
    for (size_t at = 0; at < size;) {
        size_t end = at;
        while (end < size && list->text[end] != '\n')
            end++;
        list->text[end] = list->words[end] = '\0';
        complaint.line++;
        if (!read_line(list, &list->text[at], &list->words[at], &complaint))
            return false;
        at = end + 1;
    }
    return true;
}

bool suppress_read(struct suppressions *list, const char *path, char *why, size_t why_size)
{
    struct complaint complaint = {.text = text_in(why, why_size), .path = path};
    const long fd =
        raw4(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
    if (fd < 0)
        return complain(&complaint, "cannot be opened: expected a file of patterns", NULL);
    size_t size = 0;
    long n = 0;
    while (size < sizeof(list->text) && (n = raw3(SYS_read, fd, (long)(list->text + size),
                                                  (long)(sizeof(list->text) - size))) > 0)
        size += (size_t)n;
    raw1(SYS_close, fd);
    if (n < 0)
        return complain(&complaint, "cannot be read: expected a file of patterns", NULL);
    return suppress_parse(list, size, path, why, why_size);
}

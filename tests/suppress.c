/*
 * The file of patterns: what a line means, what of it is shown, and the line that every mistake
 * gets.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "suppress.h"

static struct suppressions list;
static char why[256];

static bool parse(const char *text)
{
    memcpy(list.text, text, strlen(text));
    memset(why, 0, sizeof(why));
    return suppress_parse(&list, strlen(text), "patterns", why, sizeof(why));
}

static const struct frame frames[] = {
    {.module = "/usr/lib/libpool.so.3", .build_id = "0f", .offset = 16},
    {.module = "/srv/app", .function = "legacy_dial", .file = "/src/dial.c", .line = 7},
    {.offset = 4096},
};
static const struct trace opened = {.frames = frames, .count = 3};
static const struct leak leak = {
    .class = CLASS_EOF_UNREAD,
    .peer = {.family = AF_INET, .ip = {10, 0, 0, 7}, .port = 80},
};

Test(suppress, matches_when_every_word_of_a_line_does)
{
    static const struct {
        const char *text;
        bool matches;
    } rows[] = {
        {"module:libpool.so*", true},
        {"module:/usr/lib/libpool.so.3", true},
        {"module:/usr/lib/libpool", false},
        {"module:*/lib/*.so.?", true},
        {"function:legacy_dial", true},
        {"function:legacy", false},
        {"function:*", true},
        {"file:dial.c", true},
        {"file:/src/dial.?", true},
        {"file:src/dial.c", false},
        {"peer:10.0.0.7:80", true},
        {"peer:10.0.0.7:*", true},
        {"peer:10.0.0.7", false},
        {"class:eof-*", true},
        {"class:data-unread", false},
        {"module:app function:legacy_dial class:eof-unread peer:*:80", true},
        {"module:app function:legacy_dial class:eof-ignored peer:*:80", false},
        {"# module:*", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cr_assert(parse(rows[i].text), "%s: %s", rows[i].text, why);
        cr_expect_eq(suppress_find(&list, &leak, &opened) != NULL, rows[i].matches, "%s",
                     rows[i].text);
    }
}

Test(suppress, finds_the_first_line_that_matches)
{
    cr_assert(parse("# all of the pool\n\nclass:data-unread\nmodule:app\nclass:*\n"), "%s", why);
    cr_expect_eq(list.count, 3);
    cr_expect_eq(suppress_find(&list, &leak, &opened)->line, 4);
}

Test(suppress, keeps_of_a_line_what_is_no_comment)
{
    cr_assert(parse("\t module:a#b  class:*\t# since 2019 \r\npeer:?*  \nfile:*#\r"), "%s", why);
    cr_assert_eq(list.count, 3);
    cr_expect_str_eq(list.at[0].text, "module:a#b  class:*");
    cr_expect_str_eq(list.at[1].text, "peer:?*");
    cr_expect_str_eq(list.at[2].text, "file:*#");
    cr_expect_str_eq(list.at[0].words[0].pattern, "a#b");
    cr_expect(suppress_is_symbolic(&list.at[2]));
    cr_expect_not(suppress_is_symbolic(&list.at[0]));
}

Test(suppress, says_in_which_line_a_mistake_is_and_what_would_be_right)
{
    static const struct {
        const char *text;
        const char *why;
    } rows[] = {
        {"class:*\nlibpool", "patterns:2: expected module:, function:, file:, peer: or class: and "
                             "a pattern, found 'libpool'"},
        {"line:3", "patterns:1: expected module:, function:, file:, peer: or class:, found 'line'"},
        {"module:", "patterns:1: there is no pattern after 'module'"},
        {"class:open", "patterns:1: expected a class (eof-ignored, eof-unread, data-unread or "
                       "reset-ignored), found 'open'"},
        {"\a", "patterns:1: expected module:, function:, file:, peer: or class: and a pattern, "
               "found '?'"},
        {"class:* class:* class:* class:* class:* class:* class:* class:* class:e*",
         "patterns:1: more than 8 words in a line, from 'e*'"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cr_expect_not(parse(rows[i].text), "%s", rows[i].text);
        cr_expect_str_eq(why, rows[i].why, "%s: %s", rows[i].text, why);
    }
}

Test(suppress, refuses_what_is_too_much)
{
    static char text[SUPPRESS_FILE_SIZE + 1];
    static const char line[] = "class:*\n";
    for (size_t i = 0; i <= SUPPRESS_PATTERNS; i++)
        memcpy(&text[i * strlen(line)], line, sizeof(line));
    cr_expect_not(parse(text));
    cr_expect_str_eq(why, "patterns:257: more than 256 patterns");
    memset(text, '#', SUPPRESS_FILE_SIZE);
    cr_expect_not(parse(text));
    cr_expect_str_eq(why, "patterns: longer than 65535 bytes");
    memcpy(list.text, "class:*\0", 8);
    cr_expect_not(suppress_parse(&list, 8, "patterns", why, sizeof(why)));
}

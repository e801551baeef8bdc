/*
 * The members of an object, found in its text.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "../cli/members.h"

static const char *const names[] = {"type", "pid", "leak"};
enum { TYPE, PID, LEAK, COUNT };

static bool read_line(const char *line, struct member *found)
{
    return members_read(line, strlen(line), names, COUNT, found);
}

Test(members, are_found_in_any_order_and_whatever_is_between_them)
{
    static const struct {
        const char *line;
        const char *type;
        const char *pid;
        const char *leak;
    } rows[] = {
        {"{}", NULL, NULL, NULL},
        {"\t{ }\r\n", NULL, NULL, NULL},
        {"{\"type\":\"leak\",\"pid\":7}", "leak", "7", NULL},
        {"{\"pid\":7,\"type\":\"leak\"}", "leak", "7", NULL},
        {" { \"pid\" :\t7 , \"type\" : \"leak\" } ", "leak", "7", NULL},
        {"{\"x\":{\"pid\":1,\"y\":[[],{},[{}]]},\"pid\":2}", NULL, "2", NULL},
        {"{\"x\":\"}\\\"pid\\\":1\",\"pid\":2}", NULL, "2", NULL},
        {"{\"leak\":{\"pid\":1}}", NULL, NULL, "{\"pid\":1}"},
        {"{\"leak\":[1,[2,3],\"]\"],\"pid\":null}", NULL, "null", "[1,[2,3],\"]\"]"},
        {"{\"\\u0070id\":true,\"pi\":0,\"pidd\":0}", NULL, "true", NULL},
        {"{\"pid\":-0.5e+10,\"type\":\"\"}", "", "-0.5e+10", NULL},
        {"{\"x\":1,\"x\":2,\"type\":\"\303\244\342\202\254\360\237\230\200\"}",
         "\303\244\342\202\254\360\237\230\200", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *const expected[COUNT] = {rows[i].type, rows[i].pid, rows[i].leak};
        struct member found[COUNT];
        cr_expect(read_line(rows[i].line, found), "%s", rows[i].line);
        for (int j = 0; j < COUNT; j++) {
            const bool same = !found[j].at || !expected[j]
                                  ? !found[j].at && !expected[j]
                                  : found[j].len == strlen(expected[j]) &&
                                        memcmp(found[j].at, expected[j], found[j].len) == 0;
            cr_expect(same, "%s of %s: %.*s", names[j], rows[i].line, (int)found[j].len,
                      found[j].at ? found[j].at : "");
        }
    }
}

Test(members, are_of_no_text_that_is_not_one_object)
{
    static const char *const lines[] = {
        "",
        " ",
        "[]",
        "7",
        "\"{}\"",
        "{",
        "}",
        "{}}",
        "{} {}",
        "{,}",
        "{\"a\":1,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":{\"b\":}}",
        "{\"a\":[1,]}",
        "{\"a\":[1}",
        "{\"a\":{\"b\":1]}",
        "{\"a\":[}]}",
        "{\"a\" 1}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":01}",
        "{\"a\":+1}",
        "{\"a\":-}",
        "{\"a\":.5}",
        "{\"a\":1.}",
        "{\"a\":1e}",
        "{\"a\":tru}",
        "{\"a\":truee}",
        "{\"a\":nul}",
        "{\"a\":\"}",
        "{\"a\":\"\\\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12g4\"}",
        "{\"a\":\"\t\"}",
        "{\"a\":\"\377\"}",
        "{\"a\":\"\300\200\"}",
        "{\"a\":\"\355\240\200\"}",
        "{\"a\":\"\303\"}",
        "{\"\377\":1}",
        "{\"pid\":1,\"pid\":1}",
        "{\"pid\":1,\"\\u0070id\":1}",
        "{\"a\":1} x",
        "{\"a\":1 \"b\":2}",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct member found[COUNT];
        cr_expect_not(read_line(lines[i], found), "%s", lines[i]);
    }
}

/* A line that is cut anywhere is none. */
Test(members, are_of_no_text_that_was_cut)
{
    static const char line[] =
        "{\"type\":\"le\\u00e4\303\244k\",\"leak\":{\"a\":[1,{\"b\":null}]},\"pid\":7}";
    for (size_t len = 0; len < sizeof(line) - 1; len++) {
        char cut[sizeof(line)];
        struct member found[COUNT];
        snprintf(cut, sizeof(cut), "%.*s", (int)len, line);
        cr_expect_not(read_line(cut, found), "%s", cut);
    }
}

Test(members, can_be_nested_in_64_levels)
{
    static char line[1024];
    for (size_t depth = 60; depth < 70; depth++) {
        struct member found[COUNT];
        snprintf(line, sizeof(line), "{\"leak\":");
        memset(line + strlen(line), '[', depth + 1);
        line[8 + depth] = '\0';
        memset(line + 8 + depth, ']', depth);
        snprintf(line + 8 + 2 * depth, 8, "}");
        cr_expect_eq(read_line(line, found), depth <= 64, "%zu levels", depth);
    }
}

Test(members, have_texts)
{
    static const struct {
        const char *string;
        const char *text;
    } rows[] = {
        {"plain", "plain"},
        {"", ""},
        {"\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t"},
        {"\\u0041\\u00e4\\u20aC", "A\303\244\342\202\254"},
        {"\\uD83d\\ude00!", "\360\237\230\200!"},
        {"\\u0000", NULL},
        {"\\ud83d", NULL},
        {"\\ud83dx\\ude00", NULL},
        {"\\ude00", NULL},
        {"\\ud83d\\u0041", NULL},
        {"fifteen letters", "fifteen letters"},
        {"sixteen letters!", NULL},
        {"fifteen letter\\n", "fifteen letter\n"},
        {"sixteen letters\\n", NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char line[256];
        char text[16];
        struct member found[COUNT];
        snprintf(line, sizeof(line), "{\"type\":\"%s\"}", rows[i].string);
        cr_assert(read_line(line, found), "%s", line);
        const long len = member_text(&found[TYPE], text, sizeof(text));
        if (!rows[i].text) {
            cr_expect_eq(len, -1, "%s: %ld", line, len);
            continue;
        }
        cr_expect_eq(len, (long)strlen(rows[i].text), "%s: %ld", line, len);
        cr_expect_str_eq(text, rows[i].text, "%s", line);
    }
}

Test(members, have_numbers)
{
    static const struct {
        const char *number;
        long count; /* -1: none */
        double real;
    } rows[] = {
        {"0", 0, 0},          {"7", 7, 7},
        {"1000", 1000, 1000}, {"1001", -1, 1001},
        {"-1", -1, -1},       {"1.5", -1, 1.5},
        {"1e2", -1, 100},     {"9999999999999999999", -1, 1e19},
        {"-0", -1, 0},        {"0.125", -1, .125},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char line[256];
        uint64_t count = 0;
        double real = -2;
        struct member found[COUNT];
        snprintf(line, sizeof(line), "{\"pid\":%s}", rows[i].number);
        cr_assert(read_line(line, found) && member_kind(&found[PID]) == '\0', "%s", line);
        const bool counted = member_count(&found[PID], 1000, &count);
        cr_expect_eq(counted ? (long)count : -1, rows[i].count, "%s", line);
        cr_expect(member_real(&found[PID], &real) && real == rows[i].real, "%s: %f", line, real);
    }
}

/*
 * closewait report --format=html: what is in the page. How it looks and works in a browser is
 * tested by tests/long/page.py.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "finding.h"
#include "json_log.h"

TestSuite(page, .init = json_log_begin, .fini = json_log_end);

/*
 * Reads the page as a browser would: its elements, its text, and its data by the name "data". Ends
 * with what an expression of Python says of them.
 */
#define READER                                                                                     \
    "import base64, hashlib, html.parser, json, re, sys\n"                                         \
    "text = open(sys.argv[1], encoding=\"utf-8\").read()\n"                                        \
    "class Reader(html.parser.HTMLParser):\n"                                                      \
    "    tags, words, raw, inside = [], [], {}, \"\"\n"                                            \
    "    def handle_starttag(self, tag, attributes):\n"                                            \
    "        self.tags.append((tag, dict(attributes)))\n"                                          \
    "        self.inside = dict(attributes).get(\"id\", tag) if tag in (\"script\", \"style\") "   \
    "else \"\"\n"                                                                                  \
    "    def handle_endtag(self, tag):\n"                                                          \
    "        self.inside = \"\"\n"                                                                 \
    "    def handle_data(self, data):\n"                                                           \
    "        if self.inside: self.raw[self.inside] = self.raw.get(self.inside, \"\") + data\n"     \
    "        else: self.words.append(data)\n"                                                      \
    "page = Reader()\n"                                                                            \
    "page.feed(text)\n"                                                                            \
    "words = \" \".join(\" \".join(page.words).split())\n"                                         \
    "data = json.loads(page.raw[\"data\"])\n"                                                      \
    "def hash_of(name): return \"sha256-\" + "                                                     \
    "base64.b64encode(hashlib.sha256(page.raw[name].encode()).digest()).decode()\n"                \
    "policy = [a[\"content\"] for t, a in page.tags if \"Policy\" in a.get(\"http-equiv\", "       \
    "\"\")][0]\n"                                                                                  \
    "print(eval(sys.argv[2]))\n"

static char said[65536];

static const char *page_says(const char *expression)
{
    const char *page = in_log_folder("page.html");
    must("%s report --format=html %s >%s", built("closewait"), in_log_folder("log"), page);
    cr_assert_eq(
        shell(said, sizeof(said), "python3 -c '%s' %s '%s' 2>&1", READER, page, expression), 0,
        "%s: %s", expression, said);
    said[strcspn(said, "\n")] = '\0';
    return said;
}

#define FRAME_OF(symbol, file, line)                                                               \
    "{\"module\":\"/opt/app\",\"build_id\":\"\",\"offset\":1,\"symbol\":\"" symbol                 \
    "\",\"file\":\"" file "\",\"line\":" #line "}"
#define OPENED(symbol)                                                                             \
    ",\"open_stack\":[" FRAME_OF(symbol, "net.c", 31) "," FRAME_OF(                                \
        "main", "app.c", 5) "," FRAME_OF("_start", "", 0) "]"

Test(page, tells_what_leaked)
{
    json_log("log",
             BEGIN("leak", 00, 1) FACTS(a1) OPENED("dial") COUNTS(1, 0) LEAK(30, 1, a1, 4, 1)
                 REAP(31, 1, a1, gone, 1, 0) LATE(32, 1, a1, false, 2, 0) LEAK(33, 2, b2, 7, 0)
                     SUMMARY(40, 2, 7) QUEUE(41, 3, "0.0.0.0:80", 5, 3, 12.5) "}\n");
    static const struct {
        const char *expression;
        const char *said;
    } rows[] = {
        {"re.findall(r\"sockets leaked ([0-9,]+) held now ([0-9,]+)\", words)", "[('11', '1')]"},
        {"[(s[\"name\"], s[\"leaks\"], s[\"held\"], s[\"reaped\"], s[\"late\"]) for s in "
         "data[\"sites\"]]",
         "[('dial  net.c:31', 4, 1, 1, 2), ('no stack: client', 7, 0, 0, 0)]"},
        {"[data[\"frames\"][at] for at in data[\"sites\"][0][\"stack\"]]",
         "['dial  net.c:31', 'main  app.c:5']"},
        {"max(data[\"sites\"][0][\"levels\"]), data[\"sites\"][0][\"levels\"][-1]", "(4, 1)"},
        {"max(data[\"sites\"][1][\"levels\"]), data[\"sites\"][1][\"levels\"][-1]", "(7, 0)"},
        {"[data[\"types\"][row[1]] for row in data[\"records\"]]",
         "['leak', 'leak', 'reap', 'late-close', 'leak', 'accept-queue']"},
        {"data[\"records\"][2][4:]",
         "[1, 3, '127.0.0.1:4000', '10.0.0.7:5432', 2, 0, 60000, 0, 0]"},
        {"data[\"whys\"][0], data[\"outcomes\"][0]", "('grace', 'gone')"},
        {"\"silence: its peer had closed\" in words, \"the connection is gone\" in words",
         "(True, True)"},
        {"\"0.0.0.0:80\" in words, \"10.0.0.7\" in words", "(True, True)"},
        {"\"From 2026-01-12 07:59\" in words or \"From 2026-01-12 08:00:00 to\" in words", "True"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect_str_eq(page_says(rows[i].expression), rows[i].said, "%s: %s", rows[i].expression,
                         said);
}

/* The earliest of all, whatever it tells. */
Test(page, says_from_when_its_records_are)
{
    static const struct {
        const char *log;
        const char *said;
    } rows[] = {
        {LEAK(10, 1, a1, 1, 0) LEAK(20, 1, a1, 2, 1), "2026-01-12 08:10:00"},
        {QUEUE(05, 3, "0.0.0.0:80", 5, 3, 12.5) "}\n" LEAK(10, 1, a1, 1, 0), "2026-01-12 08:05:00"},
        {QUEUE(05, 3, "0.0.0.0:80", 5, 3, 12.5) "}\n" SUMMARY(20, 3, 0), "2026-01-12 08:05:00"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_log("log", rows[i].log);
        cr_expect_str_eq(page_says("re.findall(r\"From ([0-9: -]{19})\", words)[0]"), rows[i].said,
                         "%zu: %s", i, said);
    }
}

/* As docs/schema.json has them. */
Test(page, knows_every_outcome)
{
    json_log("log",
             REAP(30, 1, a1, gone, 1, 0) REAP(31, 1, a1, closing, 2, 1) REAP(32, 1, a1, held, 3, 2)
                 REAP(33, 1, a1, unknown, 4, 3) REAP(34, 1, a1, failed, 5, 4));
    cr_expect_str_eq(page_says("[data[\"outcomes\"][row[12]] for row in data[\"records\"]]"),
                     "['gone', 'closing', 'held', 'unknown', 'failed']", "%s", said);
}

/* The script goes down a stack frame by frame, and has a stack of its own. */
Test(page, draws_no_more_frames_than_the_shim_keeps)
{
    enum { FRAMES = 100 };
    char *log = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&log, &len);
    fputs(BEGIN("leak", 00, 1) FACTS(a1) ",\"open_stack\":[", to);
    for (int i = 0; i < FRAMES; i++)
        fprintf(to,
                "%s{\"module\":\"/opt/app\",\"build_id\":\"\",\"offset\":%d,\"symbol\":\"f%d\"}",
                i > 0 ? "," : "", i, i);
    fputs("]" COUNTS(1, 0), to);
    fclose(to);
    json_log("log", log);
    free(log);
    cr_expect_str_eq(page_says("len(data[\"sites\"][0][\"stack\"]), len(data[\"frames\"])"),
                     "(64, 64)", "%s", said);
}

Test(page, of_nothing_says_so)
{
    json_log("log", "");
    cr_expect_str_eq(page_says("\"Nothing leaked.\" in words, data[\"sites\"], data[\"records\"]"),
                     "(True, [], [])", "%s", said);
    json_log("log", SUMMARY(31, 8, 0));
    cr_expect_str_eq(page_says("\"Nothing leaked.\" in words"), "True", "%s", said);
}

Test(page, needs_nothing_but_itself)
{
    json_log("log", LEAK(00, 1, a1, 1, 0));
    static const struct {
        const char *expression;
        const char *said;
    } rows[] = {
        {"[a for t, a in page.tags if a.get(\"src\") or t in (\"iframe\", \"object\", \"base\")]",
         "[]"},
        {"[a[\"href\"] for t, a in page.tags if not a.get(\"href\", \"#\").startswith(\"#\")]",
         "['data:,']"},
        {"re.findall(r\"url\\(|@import|https?:\", page.raw[\"style\"])", "[]"},
        {"[a for t, a in page.tags for name in a if name.startswith(\"on\") or name == \"style\"]",
         "[]"},
        {"policy.startswith(\"default-src \\x27none\\x27; script-src \\x27\" + hash_of(\"script\") "
         "+ "
         "\"\\x27; style-src \\x27\" + hash_of(\"style\") + \"\\x27\")",
         "True"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect_str_eq(page_says(rows[i].expression), rows[i].said, "%s: %s", rows[i].expression,
                         said);
}

/* Names that would be elements, ends of elements, other lines, or the other direction. */
Test(page, shows_hostile_names_as_text)
{
#define TAG    "</script><script>alert(1)</script>"
#define BEFORE "{\"type\":\"leak\",\"time\":\"2026-01-12T08:00:00Z\",\"pid\":7,\"comm\":"
    static const struct {
        const char *name;
        const char *shown; /* as a string of Python */
    } rows[] = {
        {TAG, "\"" TAG "\""},
        {"<!--<script>", "\"<!--<script>\""},
        {"<!--<script x", "\"<!--<script x\""},
        {"<img src=x onerror=alert(1)>", "\"<img src=x onerror=alert(1)>\""},
        {"\\\"\\u0027&amp;\\\\", "chr(34) + chr(39) + \"&amp;\" + chr(92)"},
        {"a\\u2028b\\u2029c\\u202ed\\u2066e", "\"a?b?c?d?e\""},
        {"\\u001b[2J\\u009b\\n\\u007f", "\"?[2J???\""},
        {"\303\244\\ud83d\\ude00", "chr(0xe4) + chr(0x1f600)"},
        {"{{data}}", "\"{{data}}\""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char lines[4096];
        char expression[1024];
        snprintf(lines, sizeof(lines),
                 BEFORE "\"%s\",\"peer\":\"%s:1\",\"local\":\"%s\",\"class\":\"%s\",\"how\":\"%s\","
                        "\"site\":\"a1\",\"count\":1,\"open_stack\":[{\"symbol\":\"%s\",\"file\":"
                        "\"/%s\"}]}\n",
                 rows[i].name, rows[i].name, rows[i].name, rows[i].name, rows[i].name, rows[i].name,
                 rows[i].name);
        json_log("log", lines);
        snprintf(expression, sizeof(expression),
                 "data[\"names\"] == [%s] and data[\"records\"][0][6] == %s and %s in "
                 "data[\"sites\"][0][\"name\"] and %s in \"\".join(page.words) and "
                 "len([t for t, a in page.tags if t in (\"script\", \"img\")]) == 2 and "
                 "not set(\"<>&\") & set(page.raw[\"data\"])",
                 rows[i].shown, rows[i].shown, rows[i].shown, rows[i].shown);
        cr_expect_str_eq(page_says(expression), "True", "%s: %s", rows[i].name, said);
    }
}

Test(page, shows_so_many_call_sites_and_says_how_many_there_are)
{
    json_log("log", LEAK(00, 1, a1, 1, 0) LEAK(00, 1, b2, 2, 0) LEAK(00, 1, c3, 3, 0));
    must("%s report --format=html -n 1 %s >%s", built("closewait"), in_log_folder("log"),
         in_log_folder("few.html"));
    must("grep -q '2 more call sites' %s", in_log_folder("few.html"));
    must("test $(grep -c '<tr id=.site-' %s) -eq 1", in_log_folder("few.html"));
}

/*
 * The manuals: without a mistake of mdoc(7), as wide as a terminal, and with every option, column,
 * key and class that there is.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "support.h"

static const char *const pages[] = {"docs/closewait.1", "docs/libclosewait.so.8"};
enum { PAGES = sizeof(pages) / sizeof(pages[0]) };

static char said[262144];
static char text[262144];

static const char *page(int number)
{
    cr_assert_eq(shell(text, sizeof(text), "mandoc -T ascii %s 2>&1 | col -bx", pages[number]), 0);
    return text;
}

Test(manual, has_no_mistake)
{
    /* Whether the others are installed here is nothing of theirs. */
    for (int i = 0; i < PAGES; i++) {
        shell(said, sizeof(said),
              "mandoc -T lint -W style %s 2>/dev/null | grep -v 'referenced manual not found'",
              pages[i]);
        cr_expect_str_empty(said);
    }
}

Test(manual, fits_on_a_terminal)
{
    enum { COLUMNS = 80 };
    for (int i = 0; i < PAGES; i++)
        for (const char *line = page(i); *line; line += strcspn(line, "\n") + 1)
            cr_expect_lt(strcspn(line, "\n"), COLUMNS, "%.*s", COLUMNS, line);
}

/* Each line of a command's output must be in the page. */
static void must_have_each(int number, const char *command)
{
    cr_assert_eq(shell(said, sizeof(said), "%s", command), 0, "%s: %s", command, said);
    cr_assert_geq(times(said, "\n"), 4, "%s: %s", command, said);
    page(number);
    for (char *word = strtok(said, "\n"); word; word = strtok(NULL, "\n"))
        cr_expect_not_null(strstr(text, word), "%s has no %s", pages[number], word);
}

Test(manual, of_the_command_has_every_verb_option_and_column)
{
    char command[512];
    char verbs[256];
    shell(verbs, sizeof(verbs), "%s --help | sed -n 's/^  \\([a-z][a-z]*\\) .*/\\1/p'",
          built("closewait"));
    cr_assert_geq(times(verbs, "\n"), 2, "%s", verbs);
    for (char *verb = verbs; *verb; verb += strlen(verb) + 1) {
        verb[strcspn(verb, "\n")] = '\0';
        snprintf(command, sizeof(command),
                 "%s %s --help | grep -o -e '--[a-z][a-z-]*' -e '^  -[a-zA-Z]' | sort -u | "
                 "sed 's/^  //'",
                 built("closewait"), verb);
        must_have_each(0, command);
    }
    snprintf(command, sizeof(command), "%s ps --help | sed -n 's/^  \\([A-Z_][A-Z_]*\\) .*/\\1/p'",
             built("closewait"));
    must_have_each(0, command);
}

Test(manual, of_the_shim_has_every_option_class_and_type)
{
    char command[1024];
    snprintf(command, sizeof(command),
             "CLOSEWAIT_OPTIONS=x LD_PRELOAD=%s %s nothing 2>&1 >/dev/null | "
             "sed 's/.*: expected //; s/ or /, /' | tr -s ', ' '\n'",
             built("libclosewait.so"), built("tests/leaker"));
    must_have_each(1, command);
    must_have_each(1, "printf '%s\n' eof-ignored eof-unread data-unread reset-ignored leak reap "
                      "rescue bind-conflict late-close descriptor-limit summary");
}

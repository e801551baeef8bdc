/*
 * One version everywhere: shim/version.h owns it.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "support.h"
#include "version.h"

static char said[65536];

/* A shell command that must work and say just this. */
#define must_say(expected, ...)                                                                    \
    do {                                                                                           \
        cr_expect_eq(shell(said, sizeof(said), __VA_ARGS__), 0, "%s", said);                       \
        cr_expect_str_eq(said, expected, "%s", said);                                              \
    } while (0)

Test(version, is_told_by_the_command)
{
    must_say("closewait " CLOSEWAIT_VERSION "\n", "%s --version", built("closewait"));
}

Test(version, is_told_by_the_shim_in_its_summary)
{
    in_port_t port;
    const int listener = peer_listen(AF_INET, &port);
    char *made = step("connect4", port);
    struct program program;
    program_start(&program, "format=json,grace=100ms", ARGS(built("tests/leaker"), made, "wait"));
    peer_hang_up(meet(listener, &program, made));
    program_must_report(&program, "\"type\":\"leak\"");
    cr_expect_eq(program_end(&program), 0);
    cr_expect_not_null(strstr(program.reported, ",\"version\":\"" CLOSEWAIT_VERSION "\","), "%s",
                       program.reported);
}

Test(version, is_that_of_the_makefile_and_of_the_newest_changes)
{
    must_say(CLOSEWAIT_VERSION "\n", "env -u MAKEFLAGS -u MAKELEVEL make -s version");
    must_say("## " CLOSEWAIT_VERSION "\n", "grep -m 1 '^## ' CHANGELOG.md | cut -d ' ' -f 1,2");
}

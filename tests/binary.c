/*
 * What the shim asks of its host, read from the file itself: which names it defines, which it
 * needs, and that a program of another libc can have it.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

/* Every name of the list of calls, sorted by sort(1) as nm's are. */
static void listed(char *names, size_t size)
{
    names[0] = '\0';
#define CALL(returns, name, parameters, kernel)                                                    \
    strncat(names, #name "\n", size - strlen(names) - 1);
#define ALIAS(name, of) strncat(names, #name "\n", size - strlen(names) - 1);
#include "calls.h"
#undef CALL
}

Test(binary, exports_the_listed_calls_and_nothing_else)
{
    char exported[8192];
    char expected[8192];
    char names[4096];
    listed(names, sizeof(names));
    cr_assert_eq(shell(exported, sizeof(exported),
                       "nm -D --defined-only %s | awk '{ print $3 }' | sort",
                       built("libclosewait.so")),
                 0);
    cr_assert_eq(shell(expected, sizeof(expected), "printf '%s' | sort", names), 0);
    cr_expect_str_eq(exported, expected);
}

Test(binary, needs_no_library)
{
    char said[4096];
    cr_assert_eq(shell(said, sizeof(said), "readelf -dW %s", built("libclosewait.so")), 0);
    cr_expect_not_null(strstr(said, "libclosewait.so"));
    cr_expect_null(strstr(said, "NEEDED"));
}

Test(binary, needs_no_name_that_only_glibc_has)
{
    char said[4096];
    cr_assert_eq(shell(said, sizeof(said),
                       "musl=$(ls /usr/lib/*/libc.so /usr/lib/musl/lib/libc.so 2>/dev/null | "
                       "grep musl | head -n 1); test -n \"$musl\" || { echo no musl; exit 1; }; "
                       "nm -D --defined-only \"$musl\" | awk '{ print $3 }' | sort >%s; "
                       "nm -D --undefined-only %s | awk '$1 == \"U\" { print $2 }' | sort | "
                       "comm -23 - %s",
                       built("tests/musl-names"), built("libclosewait.so"),
                       built("tests/musl-names")),
                 0, "%s", said);
    cr_expect_str_empty(said);
}

Test(binary, serves_a_musl_program)
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    struct program program;
    program_start(&program, "grace=200ms,action=close",
                  ARGS(built("tests/leaker-musl"), step("connect4", port), "wait", "probe"));
    program_must_say(&program, "did connect4");
    close(accept(listener, NULL, NULL));
    program_must_report(&program, ": leak: fd 3 ");
    program_must_report(&program, "the connection is gone\n");
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 0);
    cr_expect_not_null(strstr(program.said, "recv 0, send Broken pipe"), "%s", program.said);
    cr_expect_not_null(strstr(program.reported, ": summary: 1 socket leaked, 1 reaped\n"));
}

/* The shim cannot be there, and the environment that asks for it does no harm. */
Test(binary, leaves_static_programs_untouched)
{
    static const char *const names[] = {"tests/leaker-static", "tests/leaker-musl-static"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        in_port_t port = 0;
        const int listener = peer_listen(AF_INET, &port);
        struct program program;
        program_start(&program, "grace=1ms,action=close",
                      ARGS(built(names[i]), step("connect4", port), "drain", "send"));
        close(accept(listener, NULL, NULL));
        cr_expect_eq(program_end(&program), 0);
        cr_expect_not_null(strstr(program.said, "did drain\nsend 1\n"), "%s", program.said);
        cr_expect_str_empty(program.reported);
        close(listener);
    }
}

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

static const char *const listed[] = {
#define CALL(returns, name, parameters, kernel) #name,
#define ALIAS(name, of)                         #name,
#include "calls.h"
#undef CALL
    NULL};

static const struct {
    const char *name;
    const char *version;
} versions[] = {
#define CALL(returns, name, parameters, kernel)
#define GLIBC(name, version) {#name, version},
#include "calls.h"
#undef CALL
};

static const char *version_of(const char *name)
{
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++)
        if (strcmp(versions[i].name, name) == 0)
            return versions[i].version;
    return NULL;
}

/* Every name of the list of calls as nm writes it. */
static void write_listed(char *names, size_t size)
{
    names[0] = '\0';
    for (size_t i = 0; listed[i]; i++) {
        const char *version = version_of(listed[i]);
        char name[80];
        snprintf(name, sizeof(name), "%s%s%s\n", listed[i], version ? "@" : "",
                 version ? version : "");
        strncat(names, name, size - strlen(names) - 1);
    }
}

Test(binary, exports_the_listed_calls_and_nothing_else)
{
    char exported[8192];
    char expected[8192];
    char names[4096];
    write_listed(names, sizeof(names));
    /* A is no name: the linker writes one for each version. */
    cr_assert_eq(shell(exported, sizeof(exported),
                       "nm -D --defined-only %s | awk '$2 != \"A\" { print $3 }' | sort",
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

/* A program may ask whether its libc has a call, and do without. */
Test(binary, gives_no_program_a_name_that_its_libc_lacks)
{
    static const char *const programs[] = {"tests/names", "tests/names-musl"};
    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
        char alone[4096];
        char preloaded[4096];
        cr_assert_eq(shell(alone, sizeof(alone), "%s", built(programs[i])), 0);
        cr_assert_eq(shell(preloaded, sizeof(preloaded), "LD_PRELOAD=%s %s",
                           built("libclosewait.so"), built(programs[i])),
                     0);
        cr_expect_str_eq(alone, preloaded);
        cr_expect_eq(strstr(alone, "\nclosefrom") != NULL, i == 0, "%s", alone);
    }
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
    cr_expect_not_null(
        strstr(program.reported,
               ": summary: 1 socket leaked at 1 call site (0 growing), 1 reaped, 0 suppressed"));
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

/*
 * The child processes of a program that closewait run watches from outside.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

static char answers[256];

#define must_have(where, text)                                                                     \
    cr_expect_not_null(strstr(where, text), "no '%s' in:\n%s", text, where)

/* A static program under run, whose steps are those, and whose next connection loses its peer. */
static void start(struct program *program, char *action, char *const steps[])
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    char *all[16] = {
        built("closewait"),          "run", action, "--grace=300ms", "--error-exitcode=99", "--",
        built("tests/leaker-static")};
    int count = 7;
    for (int i = 0; steps[i]; i++)
        all[count++] = strcmp(steps[i], "connect") == 0 ? step("connect4", port) : steps[i];
    program_start(program, NULL, all);
    const int peer = accept(listener, NULL, NULL);
    cr_assert_geq(peer, 0);
    close(peer);
    close(listener);
}

/* The same by a shell, which has the shim, and a line of its own that starts "$@". */
static void start_by_shell(struct program *program, char *line, char *const steps[])
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    char *all[16] = {built("closewait"),
                     "run",
                     "--action=close",
                     "--grace=300ms",
                     "--error-exitcode=99",
                     "--",
                     "sh",
                     "-c",
                     line,
                     "sh"};
    int count = 10;
    for (int i = 0; steps[i]; i++)
        all[count++] = strcmp(steps[i], "connect") == 0 ? step("connect4", port) : steps[i];
    program_start(program, NULL, all);
    const int peer = accept(listener, NULL, NULL);
    cr_assert_geq(peer, 0);
    close(peer);
    close(listener);
}

/* The id that a record of that kind begins with. */
static pid_t pid_of(const struct program *program, const char *kind)
{
    const char *at = strstr(program->reported, kind);
    cr_assert_not_null(at, "no '%s' in:\n%s", kind, program->reported);
    while (*at != '[')
        at--;
    return (pid_t)strtol(at + 1, NULL, 10);
}

Test(outside_kin, a_leak_in_a_child_is_told_and_closed_with_the_childs_own_id)
{
    struct program program;
    start(&program, "--action=close", ARGS("fork", "connect", "wait", "probe"));
    program_must_report(&program, ": closed, and the connection is gone\n");
    const pid_t child = pid_of(&program, ": leak: ");
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 99, "%s", program.reported);
    must_have(program.said, "recv 0, send Broken pipe");
    cr_expect_neq(child, pid_of(&program, ": summary: 0 sockets"));
    cr_expect_eq(child, pid_of(&program, ": summary: 1 socket leaked"));
    cr_expect_eq(times(program.reported, ": leak: "), 1, "%s", program.reported);
}

Test(outside_kin, a_grandchild_is_watched_too)
{
    struct program program;
    start(&program, "--action=close", ARGS("fork", "fork", "connect", "wait"));
    program_must_report(&program, ": closed, and the connection is gone\n");
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 99, "%s", program.reported);
    cr_expect_eq(times(program.reported, ": leak: "), 1, "%s", program.reported);
}

Test(outside_kin, a_child_that_becomes_another_static_program_is_watched_on)
{
    struct program program;
    char become[256];
    snprintf(become, sizeof(become), "become=%s", built("tests/leaker-musl-static"));
    start(&program, "--action=close", ARGS("fork", become, "connect", "wait"));
    program_must_report(&program, ": closed, and the connection is gone\n");
    must_have(program.reported, "closewait: leaker-musl-sta[");
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 99, "%s", program.reported);
}

Test(outside_kin, a_child_that_has_the_shim_tells_its_leaks_itself)
{
    struct program program;
    char become[256];
    snprintf(become, sizeof(become), "become=%s", built("tests/leaker"));
    start(&program, "--action=log", ARGS("fork", become, "connect", "wait"));
    program_must_report(&program, "opened by connect ");
    const uint64_t begin = now_ms();
    while (now_ms() - begin < 500) /* several looks */
        usleep(10000);
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 99, "%s", program.reported);
    cr_expect_eq(times(program.reported, ": leak: "), 1, "%s", program.reported);
}

Test(outside_kin, a_static_program_that_a_served_one_becomes_or_starts_is_watched)
{
    static char *const lines[] = {"exec \"$@\"", "\"$@\"; exit $?",
                                  "exec 3<&0; \"$@\" <&3 & wait $!"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct program program;
        start_by_shell(&program, lines[i],
                       ARGS(built("tests/leaker-static"), "connect", "wait", "probe"));
        program_must_report(&program, ": closed, and the connection is gone\n");
        program_go_on(&program);
        cr_expect_eq(program_end(&program), 99, "%s: %s", lines[i], program.reported);
        must_have(program.said, "recv 0, send Broken pipe");
        must_have(program.reported, "closewait run: the shim does not serve ");
        must_have(program.reported, ": it is statically linked; it is watched from outside\n");
        cr_expect_eq(times(program.reported, "closewait run: "), 1, "%s", program.reported);
        cr_expect_eq(times(program.reported, ": leak: "), 1, "%s", program.reported);
        must_have(program.reported, ": summary: 1 socket leaked");
    }
}

Test(outside_kin, a_dynamic_program_without_the_preload_is_watched)
{
    struct program program;
    start_by_shell(&program, "unset LD_PRELOAD; exec \"$@\"",
                   ARGS(built("tests/leaker"), "connect", "wait", "probe"));
    program_must_report(&program, ": closed, and the connection is gone\n");
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 99, "%s", program.reported);
    must_have(program.said, "recv 0, send Broken pipe");
    must_have(program.reported,
              ": the dynamic linker did not take it; it is watched from outside\n");
    cr_expect_eq(times(program.reported, ": leak: "), 1, "%s", program.reported);
}

Test(outside_kin, nothing_is_said_of_programs_that_the_shim_serves)
{
    struct program program;
    start_by_shell(&program, "\"$@\"; exit $?",
                   ARGS(built("tests/leaker"), "connect", "wait", "nothing"));
    program_must_report(&program, ": reap: fd ");
    cr_expect_eq(shell(answers, sizeof(answers), "sleep 3"), 0); /* longer than the patience */
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 99, "%s", program.reported);
    cr_expect_eq(times(program.reported, "closewait run: "), 0, "%s", program.reported);
    cr_expect_eq(times(program.reported, ": leak: "), 1, "%s", program.reported);
}

/*
 * closewait run: the program's status, its signals, and whether the shim is really there.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../cli/preload.h"
#include "support.h"

Test(run, exits_with_the_programs_own_status)
{
    static const struct {
        const char *command;
        int status;
        const char *said;
    } rows[] = {
        {"run true", 0, ""},
        {"run -- sh -c 'exit 7'", 7, ""},
        {"run sh -c 'kill -TERM $$'", 128 + SIGTERM, ""},
        {"run sh -c 'kill -KILL $$'", 128 + SIGKILL, ""},
        {"run sh -c 'echo $1' x --grace=1s", 0, "--grace=1s\n"},
        {"run --action=close --grace=5s sh -c 'echo ${CLOSEWAIT_OPTIONS%,output=*}'", 0,
         "action=close,grace=5s,format=json\n"},
        {"run no-such-program", 127, "closewait run: no-such-program: No such file or directory\n"},
        {"run /etc/passwd", 126, "closewait run: /etc/passwd: Permission denied\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char said[4096];
        const int status =
            shell(said, sizeof(said), "%s %s 2>&1", built("closewait"), rows[i].command);
        cr_expect_eq(status, rows[i].status, "%s: %d %s", rows[i].command, status, said);
        cr_expect_str_eq(said, rows[i].said, "%s: %s", rows[i].command, said);
    }
}

Test(run, answers_bad_usage_with_one_clear_line_and_status_2)
{
    static const struct {
        const char *command;
        const char *said;
    } rows[] = {
        {"run", "closewait run: no program: expected closewait run [OPTION...] [--] PROGRAM "
                "[ARG...]\n"},
        {"run --bogus true", "closewait run: unrecognized option '--bogus'\n"},
        {"run --grace", "closewait run: option '--grace' requires an argument\n"},
        {"run --grace=10 true", "closewait run: grace is '10': expected a duration from 1ms to "
                                "24h, such as 500ms, 10s or 5m\n"},
        {"run --action=stop true", "closewait run: action is 'stop': expected log, close-dead or "
                                   "close\n"},
        {"run --output=a,b true", "closewait run: --output='a,b' has a comma, which separates "
                                  "options: choose a value without one\n"},
        {"walk", "closewait: unknown verb 'walk': expected run, ps, reap, watch or report "
                 "(closewait --help)\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char said[4096];
        const int status =
            shell(said, sizeof(said), "%s %s 2>&1", built("closewait"), rows[i].command);
        cr_expect_eq(status, 2, "%s: %d", rows[i].command, status);
        cr_expect_str_eq(said, rows[i].said, "%s: %s", rows[i].command, said);
    }
}

Test(run, says_when_the_shim_cannot_be_there_and_runs_the_program_all_the_same)
{
    char said[4096];
    cr_expect_eq(shell(said, sizeof(said), "%s run %s wait </dev/null 2>&1", built("closewait"),
                       built("tests/leaker-static")),
                 0, "%s", said);
    cr_expect_not_null(strstr(said, "the shim does not serve "), "%s", said);
    cr_expect_not_null(strstr(said, ": it is statically linked; it is not watched: it has ended\n"),
                       "%s", said);
}

Test(run, knows_a_go_program_by_its_file)
{
    cr_expect_not(preload_is_go(built("tests/leaker")));
    cr_expect_not(preload_is_go("/no/such/program"));
    if (access(built("tests/go-server"), X_OK) == 0)
        cr_expect(preload_is_go(built("tests/go-server")));
}

Test(run, knows_by_the_file_what_the_dynamic_linker_will_do)
{
    char said[256];
    char *other_class = built("tests/leaker-class32");
    shell(said, sizeof(said),
          "cp %s %s && printf '\\001' | dd of=%s bs=1 seek=4 conv=notrunc 2>/dev/null",
          built("tests/leaker"), other_class, other_class);
    const struct {
        const char *path;
        const char *refusal;
    } rows[] = {
        {built("tests/leaker"), NULL},
        {built("tests/leaker-musl"), NULL},
        {built("tests/leaker-static"), "it is statically linked"},
        {other_class, "it is a 32-bit program and the shim is 64-bit"},
        {"/no/such/program", NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *refusal = preload_refusal(rows[i].path);
        cr_expect(refusal == rows[i].refusal ||
                      (refusal && rows[i].refusal && strcmp(refusal, rows[i].refusal) == 0),
                  "%s: %s", rows[i].path, refusal ? refusal : "none");
    }
}

Test(run, says_when_a_set_user_id_program_ignores_the_shim)
{
    if (geteuid() != 0)
        cr_skip_test("needs root to become another user");
    char said[4096];
    cr_expect_eq(shell(said, sizeof(said),
                       "d=$(mktemp -d) && chmod 755 $d && cp %s $d/leaker && "
                       "cp %s %s $d && chown daemon $d/leaker && chmod 4755 $d/leaker && "
                       "$d/closewait run $d/leaker wait </dev/null 2>&1; rm -r $d",
                       built("tests/leaker"), built("closewait"), built("libclosewait.so")),
                 0, "%s", said);
    cr_expect_not_null(strstr(said, "it is set-user-ID, set-group-ID or has file capabilities"),
                       "%s", said);
}

Test(run, looks_at_the_interpreter_of_a_script)
{
    char said[4096];
    cr_expect_eq(shell(said, sizeof(said),
                       "s=%s; printf '#!%s wait\\n' >$s; chmod +x $s; %s run $s </dev/null 2>&1",
                       built("tests/static-script"), built("tests/leaker-static"),
                       built("closewait")),
                 0, "%s", said);
    cr_expect_not_null(strstr(said, "it is statically linked"), "%s", said);
}

Test(run, passes_a_signal_on_and_its_programs_answer_back)
{
    struct program program;
    static char script[] = "trap 'echo heard; exit 3' USR1; echo ready; "
                           "for i in $(seq 1000); do sleep 0.01; done";
    program_start(&program, NULL, ARGS(built("closewait"), "run", "sh", "-c", script));
    program_must_say(&program, "ready");
    kill(program.pid, SIGUSR1);
    program_must_say(&program, "heard");
    cr_expect_eq(program_end(&program), 3);
}

/* As a shell with job control has it: the program's whole group is stopped, and woken. */
Test(run, stops_and_goes_on_with_its_program)
{
    char script[1024];
    snprintf(script, sizeof(script),
             "set -m; %s run sh -c 'kill -TSTP $$; echo on; exit 6' & p=$!; "
             "for i in $(seq 500); do "
             "[ \"$(ps -o stat= -p $p | cut -c 1)\" = T ] && echo stopped && break; sleep 0.01; "
             "done; kill -CONT -- -$p; wait $p; echo status $?",
             built("closewait"));
    struct program program;
    program_start(&program, NULL, ARGS("bash", "-c", script));
    program_must_say(&program, "stopped\n");
    program_must_say(&program, "on\n");
    program_must_say(&program, "status 6\n");
    cr_expect_eq(program_end(&program), 0);
}

static bool is_stopped(const void *pid)
{
    return process_state(*(const pid_t *)pid) == 'T';
}

static bool is_awake(const void *pid)
{
    return !is_stopped(pid);
}

static pid_t pid_after(struct program *program, const char *label)
{
    program_must_say(program, label);
    return (pid_t)strtol(strstr(program->said, label) + strlen(label), NULL, 10);
}

/*
 * The program alone is woken, at once or when the command has stopped with it: that wakes, too. As
 * a shell with job control has it: in a group that nobody of the session could wake, none stops.
 */
Test(run, goes_on_when_its_program_alone_was_woken)
{
    enum { ROUNDS = 10 };
    char script[1024];
    struct program program;
    snprintf(script, sizeof(script),
             "set -m; %s run sh -c 'echo program $$; for i in $(seq %d); do read x; "
             "kill -TSTP $$; echo on $i; done; read x; exit 6' & "
             "echo command $!; wait -f $!; echo status $?",
             built("closewait"), ROUNDS);
    program_start(&program, NULL, ARGS("bash", "-c", script));
    const pid_t command = pid_after(&program, "command ");
    const pid_t leaf = pid_after(&program, "program ");
    for (int i = 1; i <= ROUNDS; i++) {
        char on[16];
        snprintf(on, sizeof(on), "on %d\n", i);
        program_go_on(&program);
        cr_assert(eventually(is_stopped, &leaf));
        if (i % 2 == 0)
            cr_assert(eventually(is_stopped, &command));
        cr_assert_eq(kill(leaf, SIGCONT), 0);
        program_must_say(&program, on);
        cr_assert(eventually(is_awake, &command), "round %d", i);
    }
    program_go_on(&program);
    program_must_say(&program, "status 6\n");
    cr_expect_eq(program_end(&program), 0);
}

Test(run, keeps_another_preload_in_place)
{
    char said[4096];
    cr_expect_eq(shell(said, sizeof(said), "LD_PRELOAD=%s %s run sh -c 'echo $LD_PRELOAD'",
                       built("libclosewait.so"), built("closewait")),
                 0);
    cr_expect_eq(times(said, "libclosewait.so"), 2, "%s", said);
    cr_expect_not_null(strchr(said, ':'));
}

Test(run, is_not_confused_by_an_ignored_sigchld)
{
    char said[256];
    cr_expect_eq(shell(said, sizeof(said), "sh -c \"trap '' CHLD; exec %s run sh -c 'exit 5'\"",
                       built("closewait")),
                 5);
}

Test(run, goes_on_when_its_program_alone_was_stopped_and_woken)
{
    struct program program;
    static char script[] = "(for i in $(seq 500); do "
                           "case $(ps -o stat= -p $$) in T*) break;; esac; sleep 0.01; done; "
                           "kill -CONT $$) & kill -STOP $$; echo on; exit 4";
    program_start(&program, NULL, ARGS(built("closewait"), "run", "sh", "-c", script));
    program_must_say(&program, "on");
    cr_expect_eq(program_end(&program), 4);
}

/* Rust's standard library calls libc, and its names are Rust's. */
Test(run, closes_what_a_rust_program_has_forgotten_and_names_the_line)
{
    struct program program;
    in_port_t port = 0;
    char number[16];
    if (access(built("tests/rust-client"), X_OK) != 0)
        cr_skip_test("no Rust");
    const int listener = peer_listen(AF_INET, &port);
    snprintf(number, sizeof(number), "%d", port);
    program_start(&program, NULL,
                  ARGS(built("closewait"), "run", "--action=close", "--grace=100ms",
                       built("tests/rust-client"), number));
    program_must_say(&program, "connected");
    close(accept(listener, NULL, NULL));
    program_must_report(&program, ": closed, and the connection is gone\n");
    cr_expect_eq(program_end(&program), 0, "%s", program.reported);
    cr_expect_not_null(strstr(program.reported, " opened by connect "), "%s", program.reported);
    cr_expect_not_null(strstr(program.reported, " client::dial  client.rs:8\n"), "%s",
                       program.reported);
    cr_expect_null(strstr(program.reported, "closewait run: "), "%s", program.reported);
}

/*
 * The stack of a report against the truth, from programs of every make.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

static in_port_t port;
static int listener;
static char folder[] = "/tmp/closewait-traces.XXXXXX";

static void start(void)
{
    listener = peer_listen(AF_INET, &port);
    cr_assert_not_null(mkdtemp(folder));
}

static void stop(void)
{
    char said[256];
    shell(said, sizeof(said), "rm -r %s", folder);
}

TestSuite(traces, .init = start, .fini = stop);

/* The functions of the stack that opened the leak of a program, innermost first, down to main. */
static void functions_of(char *const argv[], char *said, size_t size)
{
    char records[128];
    char output[160];
    char *all[16] = {built("closewait"), "run", "--grace=50ms", "--format=json", output};
    struct program program;
    snprintf(records, sizeof(records), "%s/records", folder);
    snprintf(output, sizeof(output), "--output=%s", records);
    for (int i = 0; argv[i]; i++)
        all[i + 5] = argv[i];
    program_start(&program, NULL, all);
    program_must_say(&program, "connected\n");
    close(accept(listener, NULL, NULL));
    shell(said, size,
          "timeout 10 sh -c 'until grep -qs leak %s; do sleep 0.02; done'; python3 - %s <<'END'\n"
          "import json, sys\n"
          "stack = json.loads(open(sys.argv[1]).readline())['open_stack']\n"
          "names = [frame['symbol'] or '?' for frame in stack]\n"
          "print(*names[:names.index('main') + 1 if 'main' in names else None], sep=' < ')\n"
          "END\n",
          records, records);
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 0, "%s", program.reported);
    unlink(records);
}

Test(traces, of_c_with_and_without_frame_pointers)
{
    static const char *const makes[] = {"tests/caller-O0", "tests/caller-O2", "tests/caller-omit",
                                        "tests/caller-frame"};
    for (size_t i = 0; i < sizeof(makes) / sizeof(makes[0]); i++) {
        char said[4096];
        functions_of(ARGS(built(makes[i]), step("connect4", port) + strlen("connect4=")), said,
                     sizeof(said));
        cr_expect_str_eq(said, "dial < middle < within < outer < main\n", "%s: %s", makes[i], said);
    }
}

Test(traces, of_cxx_through_a_template_while_an_exception_is_handled)
{
    char said[4096];
    functions_of(ARGS(built("tests/thrower"), step("connect4", port) + strlen("connect4=")), said,
                 sizeof(said));
    cr_expect_str_eq(said,
                     "dial < pool::connections<long>::open(long) < pool::retry(long) < main\n");
}

/* It is gone from memory when the leak is told. */
Test(traces, through_a_plugin_that_was_closed_again)
{
    char said[4096];
    functions_of(ARGS(built("tests/caller-O2"), step("connect4", port) + strlen("connect4="),
                      built("tests/plugin.so")),
                 said, sizeof(said));
    cr_expect_str_eq(said, "dial < through < plug < plug < main\n");
}

Test(traces, of_a_stripped_program_with_its_debug_file_apart)
{
    char said[4096];
    char program[128];
    snprintf(program, sizeof(program), "%s/stripped", folder);
    cr_assert_eq(shell(said, sizeof(said),
                       "cp %s %s && cd %s && objcopy --only-keep-debug stripped "
                       "stripped.debug && strip --strip-all stripped && objcopy "
                       "--add-gnu-debuglink=stripped.debug stripped",
                       built("tests/caller-O2"), program, folder),
                 0, "%s", said);
    functions_of(ARGS(program, step("connect4", port) + strlen("connect4=")), said, sizeof(said));
    cr_expect_str_eq(said, "dial < middle < within < outer < main\n");
    shell(said, sizeof(said), "rm %s/stripped.debug", folder);
    functions_of(ARGS(program, step("connect4", port) + strlen("connect4=")), said, sizeof(said));
    cr_expect_eq(strncmp(said, "? < ? < ? < ", 12), 0, "%s", said);
}

/* Native frames: what the interpreter does for its program is one function for many. */
Test(traces, of_python)
{
    char said[4096];
    char code[256];
    snprintf(code, sizeof(code),
             "import socket\ns = socket.create_connection(('127.0.0.1', %d))\n"
             "print('connected', flush=True)\ninput()",
             port);
    functions_of(ARGS("python3", "-c", code), said, sizeof(said));
    cr_expect_geq(times(said, " < "), 5, "%s", said);
    cr_expect_not_null(strstr(said, "_PyEval_EvalFrameDefault"), "%s", said);
}

/*
 * The story's own pair.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

static struct program server;
static char server_port[16];
static char own_port[16];

static void start_server(void)
{
    snprintf(server_port, sizeof(server_port), "%d", free_port());
    snprintf(own_port, sizeof(own_port), "%d", free_port());
    program_start(&server, NULL, ARGS(built("demo/server"), server_port));
    program_must_say(&server, "listening");
}

static void stop_server(void)
{
    kill(server.pid, SIGTERM);
    program_end(&server);
}

TestSuite(demo, .init = start_server, .fini = stop_server);

static int run_client(struct program *client, const char *options)
{
    program_start(client, options, ARGS(built("demo/client"), server_port, own_port, "1"));
    return program_end(client);
}

Test(demo, fails_alone_and_fails_the_same_with_action_log)
{
    struct program alone;
    struct program logged;
    cr_expect_eq(run_client(&alone, NULL), 1);
    cr_expect_str_eq(alone.said, "take 1: connected\n");
    cr_expect_str_eq(alone.reported, "bind: Address already in use\n");
    cr_expect_eq(run_client(&logged, "action=log"), 1);
    cr_expect_str_eq(logged.said, alone.said);
    cr_expect_not_null(strstr(logged.reported, alone.reported));
    cr_expect_not_null(strstr(logged.reported, "this program still holds the port\n    fd 3  "));
}

Test(demo, connects_at_both_takes_twenty_times_out_of_twenty)
{
    enum { RUNS = 20 };
    static struct program clients[RUNS];
    char port[16];
    for (int i = 0; i < RUNS; i++) {
        snprintf(port, sizeof(port), "%d", free_port());
        program_start(&clients[i], "action=close",
                      ARGS(built("demo/client"), server_port, port, "1"));
    }
    for (int i = 0; i < RUNS; i++) {
        cr_expect_eq(program_end(&clients[i]), 0, "run %d: %s", i, clients[i].reported);
        cr_expect_str_eq(clients[i].said, "take 1: connected\ntake 2: connected\n");
    }
}

/* On ports of its own, since somebody may be looking at the demo at the same time. */
Test(demo, shows_all_its_acts, .timeout = 60)
{
    char said[16384];
    const int status =
        shell(said, sizeof(said), "SERVER_PORT=%d CLIENT_PORT=%d BUILD=%s demo/demo.sh 2>&1",
              free_port(), free_port(), built(""));
    cr_expect_eq(status, 0, "%s", said);
    cr_expect_not_null(strstr(said, "every step showed what it must"), "%s", said);
}

Test(demo, says_when_a_port_is_taken)
{
    char said[4096];
    const int status =
        shell(said, sizeof(said), "SERVER_PORT=%s CLIENT_PORT=%d BUILD=%s demo/demo.sh 2>&1",
              server_port, free_port(), built(""));
    cr_expect_eq(status, 1, "%s", said);
    cr_expect_not_null(strstr(said, "is taken by somebody else"), "%s", said);
}

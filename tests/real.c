/*
 * Programs that nobody here wrote, from Debian's packages, unmodified: leaks are told once with
 * the right class, innocents never.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

static char folder[] = "/tmp/closewait-test-XXXXXX";

static void make_folder(void)
{
    cr_assert_not_null(mkdtemp(folder));
}

static void remove_folder(void)
{
    char said[256];
    shell(said, sizeof(said), "rm -rf %s", folder);
}

TestSuite(real, .init = make_folder, .fini = remove_folder);

/* A path in the test's folder; static storage, 16 at a time. */
static char *in_folder(const char *name)
{
    static char paths[16][128];
    static unsigned next;
    char *path = paths[next++ % 16];
    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file);
    fputs(text, file);
    cr_assert_eq(fclose(file), 0);
}

static bool answers(const void *argument)
{
    const struct sockaddr_in *addr = argument;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int ret = connect(fd, (const struct sockaddr *)addr, sizeof(*addr));
    close(fd);
    return ret == 0;
}

static struct sockaddr_in loopback(in_port_t port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return addr;
}

static void await_server(in_port_t port)
{
    const struct sockaddr_in addr = loopback(port);
    cr_assert(eventually(answers, &addr), "nobody listens on port %d", port);
}

static int stop(struct program *program)
{
    kill(program->pid, SIGTERM);
    return program_end(program);
}

static bool reported(const void *path)
{
    char said[8192];
    return shell(said, sizeof(said), "grep -qs ': leak: ' %s", (const char *)path) == 0;
}

/* redis-cli asks at a prompt only on a terminal, and never looks at its socket meanwhile. */
Test(real, redis_cli_at_its_prompt_past_the_servers_timeout)
{
    const in_port_t port = free_port();
    char number[16];
    snprintf(number, sizeof(number), "%d", port);
    struct program server;
    program_start(&server, NULL,
                  ARGS("redis-server", "--port", number, "--timeout", "1", "--save", "", "--dir",
                       folder, "--bind", "127.0.0.1"));
    await_server(port);

    char options[256];
    snprintf(options, sizeof(options), "grace=500ms,output=%s", in_folder("report"));
    int terminal = -1;
    const pid_t pid = forkpty(&terminal, NULL, NULL, NULL);
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        setenv("LD_PRELOAD", built("libclosewait.so"), 1);
        setenv("CLOSEWAIT_OPTIONS", options, 1);
        execlp("redis-cli", "redis-cli", "-p", number, (char *)NULL);
        _exit(127);
    }
    const bool told = eventually(reported, in_folder("report"));
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
    close(terminal);
    stop(&server);
    char said[8192];
    shell(said, sizeof(said), "cat %s", in_folder("report"));
    cr_expect(told);
    cr_expect_eq(times(said, ": leak: "), 1, "%s", said);
    cr_expect_not_null(strstr(said, "class eof-unread"), "%s", said);
    cr_expect_not_null(strstr(said, "redis-cli["), "%s", said);
}

Test(real, bash_with_a_socket_on_descriptor_three)
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    char script[256];
    snprintf(script, sizeof(script), "exec 3<>/dev/tcp/127.0.0.1/%d; echo open; read x", port);
    struct program program;
    program_start(&program, "grace=300ms", ARGS("bash", "-c", script));
    program_must_say(&program, "open");
    close(accept(listener, NULL, NULL));
    program_must_report(&program, ": leak: fd 3  127.0.0.1:");
    program_must_report(&program, "class eof-unread");
    program_end(&program);
    cr_expect_eq(times(program.reported, ": leak: "), 1, "%s", program.reported);
}

/* A SOCKS 5 proxy that grants CONNECT and then does nothing more. Returns its connection. */
static int grant(int listener)
{
    char request[64];
    const int fd = accept(listener, NULL, NULL);
    cr_assert_geq(fd, 0);
    cr_assert_gt(read(fd, request, sizeof(request)), 0);
    cr_assert_eq(write(fd, "\5\0", 2), 2);
    cr_assert_gt(read(fd, request, sizeof(request)), 0);
    cr_assert_eq(write(fd, "\5\0\0\1\0\0\0\0\0\0", 10), 10);
    return fd;
}

/* Its issues 99 and 160: the end of stream is read, and the socket kept. */
Test(real, redsocks_with_an_upstream_that_sleeps)
{
    in_port_t upstream = 0;
    const int listener = peer_listen(AF_INET, &upstream);
    const in_port_t port = free_port();
    char config[512];
    snprintf(config, sizeof(config),
             "base { log = stderr; daemon = off; redirector = generic; }\n"
             "redsocks { local_ip = 127.0.0.1; local_port = %d; ip = 127.0.0.1; port = %d;\n"
             "           type = socks5; }\n",
             port, upstream);
    write_file(in_folder("redsocks.conf"), config);
    struct program program;
    program_start(&program, "grace=500ms",
                  ARGS("/usr/sbin/redsocks", "-c", in_folder("redsocks.conf")));
    program_must_report(&program, "redsocks started");

    const struct sockaddr_in addr = loopback(port);
    const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(client, (const struct sockaddr *)&addr, sizeof(addr)), 0);
    cr_assert_eq(write(client, "hello", 5), 5);
    const int proxied = grant(listener);
    char greeting[16];
    cr_assert_eq(read(proxied, greeting, sizeof(greeting)), 5);
    close(client);
    program_must_report(&program, ": leak: ");
    program_must_report(&program, "class eof-ignored");
    program_must_report(&program, "    end of stream read at:  #0 redsocks+0x");
    stop(&program);
    cr_expect_eq(times(program.reported, ": leak: "), 1, "%s", program.reported);
}

/* The client half-closes; the server's answer comes 3 s later, over a socket in CLOSE_WAIT. */
Test(real, nc_and_a_server_that_answers_three_seconds_later)
{
    const in_port_t port = free_port();
    write_file(in_folder("server.py"),
               "import socket, sys, time\n"
               "listener = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
               "print('listening', flush=True)\n"
               "client, _ = listener.accept()\n"
               "while question := client.recv(100): print(question.decode(), end='')\n"
               "time.sleep(3)\n"
               "client.sendall(b'late answer\\n')\n"
               "client.close()\n");
    char number[16];
    snprintf(number, sizeof(number), "%d", port);
    struct program server;
    program_start(&server, "action=close", ARGS("python3", in_folder("server.py"), number));
    program_must_say(&server, "listening");
    struct program client;
    program_start(&client, "action=close,grace=1s", ARGS("nc", "-N", "127.0.0.1", number));
    program_go_on(&client);
    cr_expect_eq(program_end(&client), 0);
    cr_expect_eq(program_end(&server), 0);
    cr_expect_str_eq(client.said, "late answer\n");
    cr_expect_str_eq(server.said, "listening\n\n");
    cr_expect_str_empty(client.reported);
    cr_expect_str_empty(server.reported);
}

static void start_nginx(struct program *nginx, const char *options, in_port_t port)
{
    char config[1024];
    snprintf(config, sizeof(config),
             "worker_processes 2; daemon off; pid %s/pid; error_log stderr warn;\n"
             "events { worker_connections 512; }\n"
             "http { access_log off; keepalive_requests 100000; client_body_temp_path %s/b;\n"
             "  proxy_temp_path %s/p; fastcgi_temp_path %s/f; uwsgi_temp_path %s/u;\n"
             "  scgi_temp_path %s/s;\n"
             "  server { listen 127.0.0.1:%d; location / { return 200 'hello\\n'; } } }\n",
             folder, folder, folder, folder, folder, folder, port);
    write_file(in_folder("nginx.conf"), config);
    program_start(
        nginx, options,
        ARGS("/usr/sbin/nginx", "-c", in_folder("nginx.conf"), "-e", "stderr", "-p", folder));
    await_server(port);
}

Test(real, nginx_that_serves_ten_thousand_requests, .timeout = 60)
{
    const in_port_t port = free_port();
    struct program nginx;
    start_nginx(&nginx, "action=close,grace=1s", port);
    char said[8192];
    for (int keep_alive = 0; keep_alive <= 1; keep_alive++) {
        const int status = shell(said, sizeof(said), "ab -q -n 5000 -c 20 %s http://127.0.0.1:%d/",
                                 keep_alive ? "-k" : "", port);
        cr_expect_eq(status, 0, "%s", said);
        cr_expect_not_null(strstr(said, "Complete requests:      5000\n"), "%s", said);
        cr_expect_not_null(strstr(said, "Failed requests:        0\n"), "%s", said);
    }
    stop(&nginx);
    cr_expect_eq(times(nginx.reported, "closewait"), 0, "%s", nginx.reported);
}

Test(real, curl_and_wget)
{
    const in_port_t port = free_port();
    struct program nginx;
    start_nginx(&nginx, NULL, port);
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/", port);
    char *const commands[][8] = {
        {"curl", "-sS", url, url, url, NULL},
        {"curl", "-sS", "--rate", "2/s", url, url, NULL},
        {"wget", "-q", "-O", "-", url, url, NULL},
    };
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        struct program program;
        program_start(&program, "action=close,grace=10ms", commands[i]);
        cr_expect_eq(program_end(&program), 0);
        cr_expect_geq(times(program.said, "hello\n"), 2, "%s", program.said);
        cr_expect_str_empty(program.reported);
    }
    stop(&nginx);
}

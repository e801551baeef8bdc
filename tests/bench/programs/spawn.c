/*
 * How long a program takes from its start to its end:
 *
 *     spawn RUNS ENVIRONMENT... -- COMMAND [ARGUMENT...]
 *
 * starts the command once for each environment (a file of NAME=VALUE lines, and nothing else of
 * ours goes along), in turns, RUNS times, and tells a line of nanoseconds for each turn.
 */
#define _GNU_SOURCE
#include <bsd/stdlib.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

enum { MOST_RUNS = 100000, MOST_ENVIRONMENTS = 32, MOST_NAMES = 16 };

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static char **environment_of(const char *path)
{
    char **names = calloc(MOST_NAMES + 1, sizeof(*names));
    FILE *file = fopen(path, "re");
    size_t size = 0;
    if (!names || !file)
        fail(path);
    for (int i = 0; i < MOST_NAMES && getline(&names[i], &size, file) > 0; i++, size = 0)
        names[i][strcspn(names[i], "\n")] = '\0';
    fclose(file);
    return names;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t run(char **command, char **environment, const posix_spawn_file_actions_t *actions)
{
    pid_t pid;
    int status;
    const uint64_t start_ns = now_ns();
    if (posix_spawnp(&pid, command[0], actions, NULL, command, environment) != 0)
        fail(command[0]);
    if (waitpid(pid, &status, 0) != pid || status != 0) {
        fprintf(stderr, "spawn: %s ended with %#x\n", command[0], (unsigned int)status);
        exit(1);
    }
    return now_ns() - start_ns;
}

int main(int argc, char **argv)
{
    char **environments[MOST_ENVIRONMENTS];
    int count = 0;
    int at = 2;
    for (; at < argc && strcmp(argv[at], "--") != 0 && count < MOST_ENVIRONMENTS; at++)
        environments[count++] = environment_of(argv[at]);
    if (at + 1 >= argc || count == 0) {
        fputs("usage: spawn RUNS ENVIRONMENT... -- COMMAND [ARGUMENT...]\n", stderr);
        return 2;
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
    posix_spawn_file_actions_adddup2(&actions, 0, 1);
    const int runs = (int)strtonum(argv[1], 1, MOST_RUNS, NULL);
    for (int i = 0; i < runs; i++)
        for (int j = 0; j < count; j++)
            printf("%llu%c", (unsigned long long)run(argv + at + 1, environments[j], &actions),
                   j + 1 < count ? ' ' : '\n');
    return 0;
}

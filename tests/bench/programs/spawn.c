/*
 * How long a program takes from its start to its end:
 *
 *     spawn RUNS WAY... -- COMMAND [ARGUMENT...]
 *
 * starts the command once in each way, in turns, RUNS times, and tells a line of nanoseconds for
 * each turn. A way is a file: NAME=VALUE, a line each, of its environment; "--"; and a word a line
 * of what stands before the command.
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

enum { MOST_RUNS = 100000, MOST_WAYS = 32, MOST_WORDS = 32 };

struct way {
    char *environment[MOST_WORDS + 1];
    char *words[MOST_WORDS + 1];
};

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static char *next_line(FILE *file)
{
    char *line = NULL;
    size_t size = 0;
    if (getline(&line, &size, file) < 0)
        return NULL;
    line[strcspn(line, "\n")] = '\0';
    return line;
}

static void read_way(const char *path, char **command, struct way *way)
{
    FILE *file = fopen(path, "re");
    if (!file)
        fail(path);
    int count = 0;
    char *line;
    while ((line = next_line(file)) && strcmp(line, "--") != 0 && count < MOST_WORDS)
        way->environment[count++] = line;
    for (count = 0; (line = next_line(file)) && count < MOST_WORDS;)
        way->words[count++] = line;
    while (*command && count < MOST_WORDS)
        way->words[count++] = *command++;
    fclose(file);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t run(struct way *way, const posix_spawn_file_actions_t *actions)
{
    pid_t pid;
    int status;
    const uint64_t start_ns = now_ns();
    if (posix_spawnp(&pid, way->words[0], actions, NULL, way->words, way->environment) != 0)
        fail(way->words[0]);
    if (waitpid(pid, &status, 0) != pid || status != 0) {
        fprintf(stderr, "spawn: %s ended with %#x\n", way->words[0], (unsigned int)status);
        exit(1);
    }
    return now_ns() - start_ns;
}

int main(int argc, char **argv)
{
    static struct way ways[MOST_WAYS];
    int command = 2;
    while (command < argc && strcmp(argv[command], "--") != 0)
        command++;
    const int count = command++ - 2;
    if (command >= argc || count < 1 || count > MOST_WAYS) {
        fputs("usage: spawn RUNS WAY... -- COMMAND [ARGUMENT...]\n", stderr);
        return 2;
    }
    for (int i = 0; i < count; i++)
        read_way(argv[2 + i], argv + command, &ways[i]);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
    posix_spawn_file_actions_adddup2(&actions, 0, 1);
    const int runs = (int)strtonum(argv[1], 1, MOST_RUNS, NULL);
    for (int i = 0; i < runs; i++)
        for (int j = 0; j < count; j++)
            printf("%llu%c", (unsigned long long)run(&ways[j], &actions),
                   j + 1 < count ? ' ' : '\n');
    return 0;
}

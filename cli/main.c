/*
 * closewait VERB [ARGUMENT...]
 */
#include <stdio.h>
#include <string.h>

#include "descriptors.h"
#include "verbs.h"
#include "version.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *what;
} verbs[] = {
    {"run", verb_run,
     "run a program with the shim: closewait run [OPTION...] [--] PROGRAM [ARG...]"},
    {"ps", verb_ps, "list the CLOSE_WAIT sockets of the machine, and whose they are"},
    {"reap", verb_reap, "close what a running process has leaked, from outside"},
    {"watch", verb_watch, "watch running processes from outside"},
    {"report", verb_report, "group JSON lines of many processes by call site"},
};

enum { VERBS = sizeof(verbs) / sizeof(verbs[0]) };

static void print_help(FILE *to)
{
    fputs("usage: closewait VERB [ARGUMENT...]\n\n"
          "Finds sockets whose peer has closed and that the program never closes.\n\n",
          to);
    for (int i = 0; i < VERBS; i++)
        fprintf(to, "  %-6s %s\n", verbs[i].name, verbs[i].what);
    fputs("\nclosewait VERB --help says more, closewait --version which version this is.\n", to);
}

int main(int argc, char **argv)
{
    descriptors_take_standard();
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("closewait " CLOSEWAIT_VERSION);
        return 0;
    }
    for (int i = 0; i < VERBS; i++)
        if (strcmp(argv[1], verbs[i].name) == 0)
            return verbs[i].run(argc - 1, argv + 1);
    fprintf(stderr,
            "closewait: unknown verb '%s': expected run, ps, reap, watch or report (closewait "
            "--help)\n",
            argv[1]);
    return EXIT_USAGE;
}

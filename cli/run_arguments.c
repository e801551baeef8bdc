#define _GNU_SOURCE
#include "run_arguments.h"

#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static void print_help(FILE *to)
{
    fputs("usage: closewait run [OPTION...] [--] PROGRAM [ARG...]\n\n"
          "Runs PROGRAM with the shim, and exits with its status.\n\n"
          "  --action=log|close-dead|close  what to do with a leaked socket (log)\n"
          "  --grace=DURATION               how long it may sit before it is leaked\n"
          "                                 (10s; 60s with --action=close)\n"
          "  --output=stderr|journal|PATH   where reports go; %p is the process id (stderr)\n"
          "  --format=text|json             what they are written in (text)\n"
          "  --error-exitcode=N             exit with N, 1 to 255, when anything leaked\n"
          "  --suppress=PATH                patterns of leaks not to report\n"
          "  --stack=FRAMES                 how much of each stack to keep, 0 to 64 (16)\n"
          "  --last                         also where a socket was last read or written\n"
          "  --reuseaddr                    let TIME_WAIT keep no port from being bound again\n"
          "  --scan=auto|on|off             look for sockets that no call of libc's opened (auto)\n"
          "  --stacks                       what threads do when a leak is seen from outside\n"
          "  --signal=NAME                  on this signal to the program, report what is held\n"
          "  --debuginfo-path=PATH[:PATH]   where to search debug files\n"
          "  -h, --help                     this text\n",
          to);
}

static bool read_status(struct run_arguments *asked, const char *text)
{
    const char *mistake = NULL;
    asked->leak_status = (int)strtonum(text, 1, 255, &mistake);
    if (mistake)
        fprintf(stderr,
                "closewait run: --error-exitcode is '%s': expected a number from 1 to 255\n", text);
    return !mistake;
}

int run_arguments_read(struct run_arguments *asked, int argc, char **argv)
{
    static const struct option known[] = {
        {"action", required_argument, NULL, 'a'},
        {"grace", required_argument, NULL, 'g'},
        {"output", required_argument, NULL, 'o'},
        {"format", required_argument, NULL, 'f'},
        {"suppress", required_argument, NULL, 's'},
        {"stack", required_argument, NULL, 'k'},
        {"last", no_argument, NULL, 'l'},
        {"reuseaddr", no_argument, NULL, 'r'},
        {"scan", required_argument, NULL, 'c'},
        {"signal", required_argument, NULL, 'n'},
        {"stacks", no_argument, NULL, 't'},
        {"error-exitcode", required_argument, NULL, 'e'},
        {"debuginfo-path", required_argument, NULL, 'd'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    static char name[] = "closewait run"; /* as getopt_long(3) says it in its messages */
    argv[0] = name;
    int index = 0;
    const char *inherited = getenv("CLOSEWAIT_OPTIONS");
    if (inherited)
        strlcpy(asked->words, inherited, sizeof(asked->words));
    for (int c; (c = getopt_long(argc, argv, "+h", known, &index)) != -1;) {
        if (c == 'h') {
            print_help(stdout);
            return 0;
        }
        if (c == 'd')
            asked->debuginfo_path = optarg;
        else if (c == 't')
            asked->stacks = true;
        else if (c == 'e' ? !read_status(asked, optarg)
                          : c == '?' || !option_words_add(asked->words, "run", known[index].name,
                                                          optarg ? optarg : "on"))
            return -1;
    }
    char why[512];
    if (!options_read(asked->words, &asked->options, why, sizeof(why))) {
        fprintf(stderr, "closewait run: %s\n", why);
        return -1;
    }
    if (optind == argc) {
        fputs("closewait run: no program: expected closewait run [OPTION...] [--] PROGRAM "
              "[ARG...]\n",
              stderr);
        return -1;
    }
    return optind;
}

/*
 * closewait run: the program, under the shim, as if it had been started alone.
 */
#define _GNU_SOURCE
#include <bsd/string.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "options.h"
#include "preload.h"
#include "verbs.h"

enum { HELLO_PATIENCE_MS = 5000, REFUSED_PATIENCE_MS = 300, OPTIONS_SIZE = 8192 };

struct run {
    char shim[PATH_MAX];
    char options[OPTIONS_SIZE]; /* what the program finds in CLOSEWAIT_OPTIONS */
    const char *refusal;        /* why the shim cannot be loaded, as far as the file shows */
    int hello[2];               /* the shim writes its pid here; see say_hello in shim/init.c */
    int failure[2];             /* the errno of an exec that failed */
    sigset_t mask;              /* ours before, and the program's */
    struct sigaction child;     /* what SIGCHLD did before, and does in the program */
    int signals;                /* the signalfd of what we pass on */
    pid_t pid;
    bool greeted;
    bool warned;
};

static void print_help(FILE *to)
{
    fputs("usage: closewait run [OPTION...] [--] PROGRAM [ARG...]\n\n"
          "Runs PROGRAM with the shim, and exits with its status.\n\n"
          "  --action=log|close-dead|close  what to do with a leaked socket (log)\n"
          "  --grace=DURATION               how long it may sit before it is leaked\n"
          "                                 (10s; 60s with --action=close)\n"
          "  --output=stderr|PATH           where reports go; %p is the process id (stderr)\n"
          "  -h, --help                     this text\n",
          to);
}

static int complain(const char *what)
{
    fprintf(stderr, "closewait run: %s\n", what);
    return EXIT_TROUBLE;
}

/* The environment's own options come first, so that those of the command line win. */
static bool add_option(struct run *run, const char *key, const char *value)
{
    if (strchr(value, ',')) {
        fprintf(stderr,
                "closewait run: --%s='%s' has a comma, which separates options: choose a "
                "value without one\n",
                key, value);
        return false;
    }
    if (run->options[0])
        strlcat(run->options, ",", sizeof(run->options));
    strlcat(run->options, key, sizeof(run->options));
    strlcat(run->options, "=", sizeof(run->options));
    if (strlcat(run->options, value, sizeof(run->options)) < sizeof(run->options))
        return true;
    fprintf(stderr, "closewait run: the options are longer than %d bytes\n", OPTIONS_SIZE - 1);
    return false;
}

/* Returns the index of PROGRAM, 0 after --help, -1 after a mistake that was told. */
static int read_arguments(struct run *run, int argc, char **argv)
{
    static const struct option known[] = {
        {"action", required_argument, NULL, 'a'},
        {"grace", required_argument, NULL, 'g'},
        {"output", required_argument, NULL, 'o'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    static char name[] = "closewait run"; /* as getopt_long(3) says it in its messages */
    argv[0] = name;
    int index = 0;
    for (int c; (c = getopt_long(argc, argv, "+h", known, &index)) != -1;) {
        if (c == 'h') {
            print_help(stdout);
            return 0;
        }
        if (c == '?' || !add_option(run, known[index].name, optarg))
            return -1;
    }
    struct options checked;
    char why[512];
    if (!options_read(run->options, &checked, why, sizeof(why))) {
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

static void preload(const struct run *run)
{
    char *value = NULL;
    const char *others = getenv("LD_PRELOAD");
    if (asprintf(&value, "%s%s%s", run->shim, others ? ":" : "", others ? others : "") < 0)
        return;
    setenv("LD_PRELOAD", value, 1);
    free(value);
    struct stat pipe = {0};
    fstat(run->hello[1], &pipe);
    char hello[96];
    snprintf(hello, sizeof(hello), "/proc/%d/fd/%d %lu", (int)getppid(), run->hello[1],
             (unsigned long)pipe.st_ino);
    setenv("CLOSEWAIT_HELLO", hello, 1);
    if (run->options[0])
        setenv("CLOSEWAIT_OPTIONS", run->options, 1);
}

static _Noreturn void become(const struct run *run, char **argv)
{
    preload(run);
    sigaction(SIGCHLD, &run->child, NULL);
    sigprocmask(SIG_SETMASK, &run->mask, NULL);
    execvp(argv[0], argv);
    const int why = errno;
    const ssize_t told = write(run->failure[1], &why, sizeof(why));
    _exit(told == sizeof(why) ? EXIT_NOT_FOUND : EXIT_TROUBLE);
}

/* Every signal is passed on, but those that a fault of our own raises and those of job control. */
static bool catch_signals(struct run *run)
{
    static const int ours[] = {SIGSEGV, SIGBUS, SIGFPE,  SIGILL,  SIGTRAP,
                               SIGABRT, SIGSYS, SIGTTIN, SIGTTOU, SIGPIPE};
    sigset_t passed;
    sigfillset(&passed);
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        sigdelset(&passed, ours[i]);
    sigprocmask(SIG_BLOCK, &passed, &run->mask);
    /* Ignored, which is inherited, it would never come, and no status with it (wait(2)). */
    sigaction(SIGCHLD, &(struct sigaction){.sa_handler = SIG_DFL}, &run->child);
    run->signals = signalfd(-1, &passed, SFD_CLOEXEC);
    return run->signals >= 0;
}

/* 0 when the program runs, else the exit status. */
static int launch(struct run *run, char **argv)
{
    if (pipe2(run->hello, O_CLOEXEC) != 0 || pipe2(run->failure, O_CLOEXEC) != 0 ||
        !catch_signals(run))
        return complain(strerror(errno));
    run->pid = fork();
    if (run->pid < 0)
        return complain(strerror(errno));
    if (run->pid == 0)
        become(run, argv);
    close(run->failure[1]);
    int why = 0;
    if (read(run->failure[0], &why, sizeof(why)) != sizeof(why))
        return 0;
    waitpid(run->pid, NULL, 0);
    fprintf(stderr, "closewait run: %s: %s\n", argv[0], strerror(why));
    return why == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}

static void hear_hello(struct run *run)
{
    int pid = 0;
    while (read(run->hello[0], &pid, sizeof(pid)) == sizeof(pid))
        run->greeted |= pid == run->pid;
}

static void warn_unwatched(struct run *run, const char *program)
{
    hear_hello(run);
    if (run->greeted || run->warned)
        return;
    run->warned = true;
    fprintf(stderr, "closewait run: the shim was not loaded into %s: %s; it is not watched\n",
            program, run->refusal ? run->refusal : "the dynamic linker did not take it");
}

/*
 * A signal from the terminal (SI_KERNEL) went to the whole foreground group, the program in it,
 * but for the hang-up that only the leader of the session gets; one that somebody sent went to us.
 */
static bool went_to_us_alone(const struct signalfd_siginfo *info)
{
    return info->ssi_code <= 0 || (info->ssi_signo == SIGHUP && getsid(0) == getpid());
}

static void pass_signals_on(const struct run *run)
{
    struct signalfd_siginfo info;
    if (read(run->signals, &info, sizeof(info)) == sizeof(info) && info.ssi_signo != SIGCHLD &&
        went_to_us_alone(&info))
        kill(run->pid, (int)info.ssi_signo);
}

/*
 * True when the program has ended. When job control stopped it, we stop with it, as the shell
 * expects, which wakes both; who stops it alone (SIGSTOP) wakes it alone.
 */
static bool ended(const struct run *run, int *status)
{
    const pid_t pid = waitpid(run->pid, status, WNOHANG | WUNTRACED);
    if (pid == run->pid && WIFSTOPPED(*status) && WSTOPSIG(*status) != SIGSTOP)
        kill(getpid(), SIGSTOP);
    return pid == run->pid && (WIFEXITED(*status) || WIFSIGNALED(*status));
}

static int attend(struct run *run, const char *program)
{
    struct pollfd polled = {.fd = run->signals, .events = POLLIN};
    int status = 0;
    while (!ended(run, &status)) {
        hear_hello(run);
        const int patience_ms = run->refusal ? REFUSED_PATIENCE_MS : HELLO_PATIENCE_MS;
        const int ready = poll(&polled, 1, run->greeted || run->warned ? -1 : patience_ms);
        if (ready > 0)
            pass_signals_on(run);
        else if (ready == 0)
            warn_unwatched(run, program);
    }
    warn_unwatched(run, program);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int verb_run(int argc, char **argv)
{
    struct run run = {0};
    const char *inherited = getenv("CLOSEWAIT_OPTIONS");
    if (inherited)
        strlcpy(run.options, inherited, sizeof(run.options));
    const int at = read_arguments(&run, argc, argv);
    if (at <= 0)
        return at == 0 ? 0 : EXIT_USAGE;

    char why[2 * PATH_MAX];
    if (!preload_find(run.shim, sizeof(run.shim), why, sizeof(why)))
        return complain(why);
    char path[PATH_MAX];
    if (preload_which(argv[at], path, sizeof(path)))
        run.refusal = preload_refusal(path);
    const int status = launch(&run, argv + at);
    if (status)
        return status;
    fcntl(run.hello[0], F_SETFL, O_NONBLOCK);
    return attend(&run, argv[at]);
}

/*
 * closewait run: the program, under the shim, as if it had been started alone; what the shims of
 * all its processes report comes over a file of ours, and is told here.
 */
#define _GNU_SOURCE
#include <bsd/stdlib.h>
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

#include "inbox.h"
#include "options.h"
#include "outside.h"
#include "preload.h"
#include "processes.h"
#include "retell.h"
#include "verbs.h"

enum {
    HELLO_PATIENCE_MS = 5000,
    REFUSED_PATIENCE_MS = 300,
    LOOK_MS = 200,
    LAST_READS = 4096,
    OPTIONS_SIZE = 8192
};

struct run {
    char shim[PATH_MAX];
    char options[OPTIONS_SIZE]; /* what the program finds in CLOSEWAIT_OPTIONS */
    const char *program;        /* its name, as it was given */
    const char *refusal;        /* why the shim cannot be loaded, as far as the file shows */
    int hello[2];               /* the shim writes its pid here; see say_hello in shim/init.c */
    int failure[2];             /* the errno of an exec that failed */
    sigset_t mask;              /* ours before, and the program's */
    struct sigaction child;     /* what SIGCHLD did before, and does in the program */
    int signals;                /* the signalfd of what we pass on */
    pid_t pid;
    pid_t lookout; /* who woke us when the program was woken alone; 0: nobody yet */
    bool greeted;
    bool blind; /* the shim that greeted sees nothing */
    bool warned;
    struct outside outside;
    struct rules rules; /* for it */
    struct inbox inbox;
    struct retell retell;
    struct options asked; /* what the options say, the command's among them */
    int leak_status;      /* when anything leaked; 0: the program's own */
    bool stacks;
    const char *debuginfo_path;
};

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

static bool read_status(struct run *run, const char *text)
{
    const char *mistake = NULL;
    run->leak_status = (int)strtonum(text, 1, 255, &mistake);
    if (mistake)
        fprintf(stderr,
                "closewait run: --error-exitcode is '%s': expected a number from 1 to 255\n", text);
    return !mistake;
}

/* Returns the index of PROGRAM, 0 after --help, -1 after a mistake that was told. */
static int read_arguments(struct run *run, int argc, char **argv)
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
    for (int c; (c = getopt_long(argc, argv, "+h", known, &index)) != -1;) {
        if (c == 'h') {
            print_help(stdout);
            return 0;
        }
        if (c == 'd')
            run->debuginfo_path = optarg;
        else if (c == 't')
            run->stacks = true;
        else if (c == 'e' ? !read_status(run, optarg)
                          : c == '?' || !add_option(run, known[index].name, optarg ? optarg : "on"))
            return -1;
    }
    char why[512];
    if (!options_read(run->options, &run->asked, why, sizeof(why))) {
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
    char *options = NULL;
    if (asprintf(&options, "%s%sformat=json,output=%s", run->options, run->options[0] ? "," : "",
                 run->inbox.path) < 0)
        return;
    setenv("CLOSEWAIT_OPTIONS", options, 1);
    free(options);
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

/*
 * The program greets each time that it becomes another one. One in Go calls no hook: the shim looks
 * for its sockets instead, unless that was forbidden.
 */
static void greet(struct run *run)
{
    char path[32];
    snprintf(path, sizeof(path), "/proc/%d/exe", (int)run->pid);
    const bool is_go = preload_is_go(path);
    run->greeted = true;
    run->blind = is_go && run->asked.scan == SCAN_OFF;
    if (is_go && !run->blind)
        fprintf(stderr,
                "closewait run: the shim looks for the sockets of %s: it is a Go program, which "
                "makes its system calls itself\n",
                run->program);
}

static void hear_hello(struct run *run)
{
    int pid = 0;
    while (read(run->hello[0], &pid, sizeof(pid)) == sizeof(pid)) {
        if (pid == run->pid)
            greet(run);
        retell_note_pid(&run->retell, pid);
    }
}

static bool is_served(const struct run *run)
{
    return run->greeted && !run->blind;
}

/* Not before the shim had time to greet. pid is 0 when the program has ended. */
static void watch_from_outside(struct run *run, pid_t pid)
{
    hear_hello(run);
    if (is_served(run) || run->warned)
        return;
    run->warned = true;
    outside_begin(&run->outside, pid, run->program,
                  run->blind     ? "it is a Go program, which makes its system calls itself, and "
                                   "scan is off"
                  : run->refusal ? run->refusal
                                 : "the dynamic linker did not take it",
                  &run->rules);
}

/* A program that the shim was not loaded into may become another one, with it. */
static void look_from_outside(struct run *run)
{
    if (is_served(run))
        outside_drop(&run->outside);
    outside_look(&run->outside, run->shim, &run->rules);
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
    if (read(run->signals, &info, sizeof(info)) != sizeof(info) || info.ssi_signo == SIGCHLD)
        return;
    const bool is_our_own = info.ssi_code == SI_USER && (pid_t)info.ssi_pid == run->lookout;
    if (went_to_us_alone(&info) && !is_our_own)
        kill(run->pid, (int)info.ssi_signo);
}

/*
 * Somebody may wake the program alone, and we could not see it: a child of ours looks for it, and
 * wakes us. Again and again, for a SIGCONT that comes before we have stopped wakes nobody; until
 * we have ended it, or have ended.
 */
static _Noreturn void look_out(pid_t program, pid_t stopped)
{
    while (getppid() == stopped) {
        if (process_state(program) != 'T')
            kill(stopped, SIGCONT);
        poll(NULL, 0, LOOK_MS);
    }
    _exit(0);
}

static void stop_with(struct run *run)
{
    const pid_t self = getpid();
    run->lookout = fork();
    if (run->lookout == 0)
        look_out(run->pid, self);
    kill(self, SIGSTOP);
    if (run->lookout > 0) {
        kill(run->lookout, SIGKILL);
        waitpid(run->lookout, NULL, 0);
    }
}

/*
 * True when the program has ended. When job control stopped it, we stop with it, as the shell
 * expects, which wakes both; who stops it alone (SIGSTOP) wakes it alone.
 */
static bool ended(struct run *run, int *status)
{
    const pid_t pid = waitpid(run->pid, status, WNOHANG | WUNTRACED);
    if (pid == run->pid && WIFSTOPPED(*status) && WSTOPSIG(*status) != SIGSTOP)
        stop_with(run);
    return pid == run->pid && (WIFEXITED(*status) || WIFSIGNALED(*status));
}

/* Where there is no inotify, somebody has to look. */
static int patience(const struct run *run)
{
    const int hello_ms = run->refusal ? REFUSED_PATIENCE_MS : HELLO_PATIENCE_MS;
    if (run->outside.on)
        return (int)watched_pace_ms(&run->asked);
    if (run->inbox.news < 0)
        return LOOK_MS;
    if (is_served(run) || run->warned)
        return -1;
    return run->blind ? 0 : hello_ms;
}

static int attend(struct run *run)
{
    struct pollfd polled[] = {{.fd = run->signals, .events = POLLIN},
                              {.fd = run->inbox.news, .events = POLLIN},
                              {.fd = run->hello[0], .events = POLLIN}};
    int status = 0;
    bool more = false;
    while (!ended(run, &status)) {
        hear_hello(run);
        const int ready = poll(polled, 3, more ? 0 : patience(run));
        if (polled[0].revents)
            pass_signals_on(run);
        else if (ready == 0 && !more)
            watch_from_outside(run, run->pid);
        more = inbox_read(&run->inbox, retell_line, &run->retell);
        look_from_outside(run);
    }
    watch_from_outside(run, 0);
    outside_end(&run->outside, &run->rules);
    for (int i = 0; i < LAST_READS && inbox_read(&run->inbox, retell_line, &run->retell); i++) {
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Those that have the file in their environment, or else those that have used it. */
static int processes_alive(const struct run *run)
{
    const int alive = processes_with(run->inbox.path);
    const char *pid;
    json_t *unused;
    int known = 0;
    json_object_foreach(run->retell.pids, pid, unused)
    {
        const pid_t number = (pid_t)strtol(pid, NULL, 10);
        known += number != run->pid && kill(number, 0) == 0;
    }
    return alive > known ? alive : known;
}

/* Processes of the program that go on still write to the file: it stays, and is said. */
static void leave(struct run *run)
{
    const int alive = processes_alive(run);
    if (alive == 0) {
        inbox_remove(&run->inbox);
        return;
    }
    fprintf(stderr,
            "closewait run: %d process%s of it go%s on; what they report is in %s: read it with "
            "closewait report\n",
            alive, alive == 1 ? "" : "es", alive == 1 ? "es" : "", run->inbox.path);
    inbox_close(&run->inbox);
}

/* What can fail before anything is started. 0, or the exit status. */
static int prepare(struct run *run)
{
    char why[512];
    if (!retell_begin(&run->retell, &run->asked) ||
        !rules_begin(&run->rules, &run->asked, why, sizeof(why)))
        return EXIT_USAGE;
    run->rules.stacks = run->stacks;
    run->rules.debuginfo_path = run->debuginfo_path;
    if (run->debuginfo_path && !retell_search(&run->retell, run->debuginfo_path))
        return complain("no memory");
    if (inbox_open(&run->inbox))
        return 0;
    fprintf(stderr,
            "closewait run: no file for the reports: %s: %s; set TMPDIR to a folder that can be "
            "written\n",
            run->inbox.folder, strerror(errno));
    return EXIT_TROUBLE;
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
    run.program = argv[at];
    if (preload_which(run.program, path, sizeof(path)))
        run.refusal = preload_refusal(path);
    int status = prepare(&run);
    if (status)
        return status;
    status = launch(&run, argv + at);
    if (status) {
        inbox_remove(&run.inbox);
        return status;
    }
    signal(SIGPIPE, SIG_IGN); /* of the reports' reader, who may go */
    fcntl(run.hello[0], F_SETFL, O_NONBLOCK);
    status = attend(&run);
    leave(&run);
    if ((run.retell.leaked || run.outside.leaked) && run.leak_status)
        status = run.leak_status;
    retell_end(&run.retell);
    rules_end(&run.rules);
    return status;
}

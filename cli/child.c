#define _GNU_SOURCE
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "processes.h"
#include "verbs.h"

enum { LOOK_MS = 200 };

static int complain(const char *what)
{
    fprintf(stderr, "closewait run: %s\n", what);
    return EXIT_TROUBLE;
}

static _Noreturn void become(const struct child *child, char **argv, const struct preload *preload)
{
    preload_dress(preload);
    sigaction(SIGCHLD, &child->action, NULL);
    sigprocmask(SIG_SETMASK, &child->mask, NULL);
    execvp(argv[0], argv);
    const int why = errno;
    const ssize_t told = write(child->failure[1], &why, sizeof(why));
    _exit(told == sizeof(why) ? EXIT_NOT_FOUND : EXIT_TROUBLE);
}

/* Every signal is passed on, but those that a fault of our own raises and those of job control. */
static bool catch_signals(struct child *child)
{
    static const int ours[] = {SIGSEGV, SIGBUS, SIGFPE,  SIGILL,  SIGTRAP,
                               SIGABRT, SIGSYS, SIGTTIN, SIGTTOU, SIGPIPE};
    sigset_t passed;
    sigfillset(&passed);
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        sigdelset(&passed, ours[i]);
    sigprocmask(SIG_BLOCK, &passed, &child->mask);
    /* Ignored, which is inherited, it would never come, and no status with it (wait(2)). */
    sigaction(SIGCHLD, &(struct sigaction){.sa_handler = SIG_DFL}, &child->action);
    child->signals = signalfd(-1, &passed, SFD_CLOEXEC);
    return child->signals >= 0;
}

int child_start(struct child *child, char **argv, const struct preload *preload)
{
    if (pipe2(child->failure, O_CLOEXEC) != 0 || !catch_signals(child))
        return complain(strerror(errno));
    child->pid = fork();
    if (child->pid < 0)
        return complain(strerror(errno));
    if (child->pid == 0)
        become(child, argv, preload);
    close(child->failure[1]);
    int why = 0;
    if (read(child->failure[0], &why, sizeof(why)) != sizeof(why))
        return 0;
    waitpid(child->pid, NULL, 0);
    fprintf(stderr, "closewait run: %s: %s\n", argv[0], strerror(why));
    return why == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}

/*
 * A signal from the terminal (SI_KERNEL) went to the whole foreground group, the program in it,
 * but for the hang-up that only the leader of the session gets; one that somebody sent went to us.
 */
static bool went_to_us_alone(const struct signalfd_siginfo *info)
{
    return info->ssi_code <= 0 || (info->ssi_signo == SIGHUP && getsid(0) == getpid());
}

void child_pass_signal_on(const struct child *child)
{
    struct signalfd_siginfo info;
    if (read(child->signals, &info, sizeof(info)) != sizeof(info) || info.ssi_signo == SIGCHLD)
        return;
    const bool is_our_own = info.ssi_code == SI_USER && (pid_t)info.ssi_pid == child->lookout;
    if (went_to_us_alone(&info) && !is_our_own)
        kill(child->pid, (int)info.ssi_signo);
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

static void stop_with(struct child *child)
{
    const pid_t self = getpid();
    child->lookout = fork();
    if (child->lookout == 0)
        look_out(child->pid, self);
    kill(self, SIGSTOP);
    if (child->lookout > 0) {
        kill(child->lookout, SIGKILL);
        waitpid(child->lookout, NULL, 0);
    }
}

bool child_has_ended(struct child *child, int *status)
{
    const pid_t pid = waitpid(child->pid, status, WNOHANG | WUNTRACED);
    if (pid == child->pid && WIFSTOPPED(*status) && WSTOPSIG(*status) != SIGSTOP)
        stop_with(child);
    return pid == child->pid && (WIFEXITED(*status) || WIFSIGNALED(*status));
}

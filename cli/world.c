#define _GNU_SOURCE
#include "world.h"

#include <bsd/stdlib.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/kcmp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "array.h"
#include "clock.h"
#include "hand.h"

/*
 * A thread that waits for the kernel (D state) or for a vfork child does not stop. The others
 * stand still for STOP_MS then, go on for as long, and are tried again. One that only waits for a
 * processor does, sooner or later: BUSY_MS.
 */
enum { TRIES = 5, STOP_MS = 60, BUSY_MS = 1000, EAGER_TURNS = 20, LOOK_US = 30 };

/* See setpriority(2). */
enum { HIGHEST_PRIORITY = -20 };

/* A thread that is traced by us. */
struct tracee {
    pid_t tid;
    bool asked;   /* to stop */
    bool stopped; /* in a PTRACE_EVENT_STOP */
    bool listed;  /* the process has such a thread */
};

enum outcome {
    OUTCOME_STILL,
    OUTCOME_RESTLESS, /* not every thread has stopped: another time, maybe */
    OUTCOME_HANDLESS, /* none of them can be our hand: the same */
    OUTCOME_NEVER,    /* why says it */
};

struct world {
    const struct target *target;
    world_visitor *visit;
    void *argument;
    char *why;
    size_t why_size;
    struct tracee *tracees;
    size_t count;
    size_t found;         /* the index of the tracee that was found last */
    uint64_t instruction; /* see hand_instruction */
    pid_t restless;       /* a thread that did not stop */
    bool refused;         /* a thread could not be seized, and nothing shows why */
    uint64_t since_us;
    uint64_t stood_us;
    struct hand hand;
    enum outcome outcome;
};

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* They are listed in one order: the next one mostly is the one after that. */
static struct tracee *find(struct world *world, pid_t tid)
{
    size_t at = world->found + 1;
    if (at >= world->count || world->tracees[at].tid != tid)
        for (at = 0; at < world->count && world->tracees[at].tid != tid; at++) {
        }
    if (at == world->count)
        return NULL;
    world->found = at;
    return &world->tracees[at];
}

static void add(struct world *world, pid_t tid)
{
    world->tracees = array_grow(world->tracees, world->count, sizeof(*world->tracees));
    world->tracees[world->count++] = (struct tracee){.tid = tid};
}

/*
 * EPERM is also said of a thread that is ours already, the child of one of ours (TRACECLONE), of
 * one that has ended, and of one of the kernel's.
 */
static bool may_be_left(struct world *world, pid_t tid)
{
    const pid_t pid = world->target->pid;
    const long tracer = target_status(pid, tid, "TracerPid");
    const char state = target_state(pid, tid);
    if (tracer == gettid()) {
        add(world, tid);
        return true;
    }
    if (tracer > 0) {
        target_explain_tracer(world->target, (pid_t)tracer, world->why, world->why_size);
        return false;
    }
    if (tracer < 0 || state == 0 || state == 'Z' || state == 'X' || process_is_worker(tid))
        return true;
    world->refused = true; /* of a process that executes another program, for a moment */
    return true;
}

static bool seize(struct world *world, pid_t tid)
{
    const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE;
    if (ptrace(PTRACE_SEIZE, tid, NULL, (void *)options) == 0) {
        add(world, tid);
        return true;
    }
    return errno == ESRCH || may_be_left(world, tid);
}

/*
 * Every thread that is not ours yet; more says that there may be others. Notes which of ours the
 * process has. False when that is not possible; why says it.
 */
static bool seize_all(struct world *world, bool *more)
{
    char path[32];
    bool good = true;
    const size_t before = world->count;
    world->refused = false;
    for (size_t i = 0; i < world->count; i++)
        world->tracees[i].listed = false;
    snprintf(path, sizeof(path), "/proc/%d/task", (int)world->target->pid);
    DIR *folder = opendir(path);
    for (const struct dirent *entry; folder && good && (entry = readdir(folder));) {
        const pid_t tid = (pid_t)strtonum(entry->d_name, 1, INT_MAX, NULL);
        struct tracee *tracee = find(world, tid);
        if (tracee)
            tracee->listed = true;
        else if (tid > 0)
            good = seize(world, tid);
    }
    if (folder)
        closedir(folder);
    *more = world->count > before || world->refused;
    return good;
}

static void ask_all(struct world *world)
{
    if (world->since_us == 0)
        world->since_us = now_us();
    for (size_t i = 0; i < world->count; i++) {
        struct tracee *tracee = &world->tracees[i];
        if (!tracee->asked)
            tracee->asked = ptrace(PTRACE_INTERRUPT, tracee->tid, NULL, NULL) == 0;
    }
}

/*
 * Looks what a thread has come to. A signal that it was about to be given, it is given: it stops
 * again before it runs anything. Only stops are asked for of the first thread: the end of the
 * process is somebody else's to hear. False when it is gone.
 */
static bool hear(const struct world *world, struct tracee *tracee)
{
    siginfo_t info = {0};
    const int ends = tracee->tid == world->target->pid ? 0 : WEXITED;
    if (waitid(P_PID, (id_t)tracee->tid, &info, WSTOPPED | WNOHANG | __WALL | ends) != 0)
        return false;
    if (info.si_pid == 0)
        return true;
    if (info.si_code == CLD_EXITED || info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED)
        return false;
    if (info.si_status >> 8 == PTRACE_EVENT_STOP) {
        tracee->stopped = true;
        return true;
    }
    const intptr_t signal = info.si_status >> 8 ? 0 : info.si_status & 0x7f;
    ptrace(PTRACE_INTERRUPT, tracee->tid, NULL, NULL);
    ptrace(PTRACE_CONT, tracee->tid, NULL, (void *)signal);
    return true;
}

/*
 * Whether all have stopped. Forgets those that have ended. The first that has not stopped is waited
 * for: the others are asked when it has.
 */
static bool hear_all(struct world *world)
{
    size_t kept = 0;
    bool all = true;
    for (size_t i = 0; i < world->count; i++) {
        struct tracee tracee = world->tracees[i];
        if (all && !tracee.stopped && !hear(world, &tracee))
            continue;
        if (all && !tracee.stopped) {
            world->restless = tracee.tid;
            all = false;
        }
        world->tracees[kept++] = tracee;
    }
    world->count = kept;
    return all;
}

/*
 * How well a thread can be our hand: the less, the better. What waits in a call that the kernel
 * makes again is best: nothing of its own is under way.
 */
enum { RANK_WAITS, RANK_RUNS, RANK_TIMED, RANK_NONE };

static int rank_of(const struct world *world, pid_t tid, const struct registers *registers,
                   bool timed)
{
    const pid_t first = world->target->tid;
    if (tid != first && syscall(SYS_kcmp, first, tid, KCMP_FILES, 0, 0) != 0)
        return RANK_NONE;
    if (timed)
        return RANK_TIMED;
    if (registers_interrupted(registers) >= 0)
        return RANK_WAITS;
    return hand_would_break(tid, registers) ? RANK_NONE : RANK_RUNS;
}

/*
 * Reads the registers of each, which is also the proof that it is stopped (a thread that executes
 * another program takes the id of the first), and sees to the calls that would end with EINTR.
 */
static enum outcome inspect(struct world *world)
{
    struct registers best = {0};
    pid_t hand = 0;
    int least = RANK_NONE;
    for (size_t i = 0; i < world->count; i++) {
        struct tracee *tracee = &world->tracees[i];
        struct registers registers;
        const enum registers_found found = registers_read(tracee->tid, &registers);
        if (found == REGISTERS_FOREIGN) {
            snprintf(world->why, world->why_size,
                     "process %d is a program for another word size than closewait: not supported",
                     (int)world->target->pid);
            return OUTCOME_NEVER;
        }
        if (found == REGISTERS_NONE) {
            tracee->asked = tracee->stopped = false;
            world->restless = tracee->tid;
            return OUTCOME_RESTLESS;
        }
        const bool timed = registers_say_eintr(&registers);
        if (timed) {
            registers_restart(&registers);
            registers_write(tracee->tid, &registers);
        }
        const int rank =
            least == RANK_WAITS ? RANK_NONE : rank_of(world, tracee->tid, &registers, timed);
        if (rank < least) {
            least = rank;
            hand = tracee->tid;
            best = registers;
        }
    }
    if (hand == 0)
        return OUTCOME_HANDLESS;
    return hand_take(&world->hand, world->target->pid, hand, &best, world->instruction, world->why,
                     world->why_size)
               ? OUTCOME_STILL
               : OUTCOME_NEVER;
}

static enum outcome give_up(const struct world *world)
{
    if (!world->refused)
        return OUTCOME_RESTLESS;
    target_explain_refusal(world->target, world->why, world->why_size);
    return OUTCOME_NEVER;
}

/*
 * An id can have become another's between our reading and seizing it. That thread goes on, and the
 * process has it not; and as long as that lives, which a pidfd tells, its own id is its own.
 */
static bool is_all_its_own(struct world *world)
{
    size_t kept = 0;
    for (size_t i = 0; i < world->count; i++) {
        const struct tracee tracee = world->tracees[i];
        if (tracee.listed)
            world->tracees[kept++] = tracee;
        else
            ptrace(PTRACE_DETACH, tracee.tid, NULL, NULL);
    }
    world->count = kept;
    return target_lives(world->target);
}

static enum outcome has_ended(const struct world *world)
{
    snprintf(world->why, world->why_size, "process %d has ended", (int)world->target->pid);
    return OUTCOME_NEVER;
}

static enum outcome settle(struct world *world)
{
    return is_all_its_own(world) ? inspect(world) : has_ended(world);
}

static bool is_patient(const struct world *world, uint64_t waited_ms)
{
    if (waited_ms <= STOP_MS)
        return true;
    return waited_ms <= BUSY_MS && !world->refused &&
           target_state(world->target->pid, world->restless) != 'D';
}

/* Whether all that are traced have stopped; false when patience was not enough for that. */
static bool await_all(struct world *world, uint64_t begin)
{
    for (int turn = 0; !hear_all(world); turn++) {
        if (!is_patient(world, clock_ms() - begin))
            return false;
        if (turn < EAGER_TURNS)
            sched_yield();
        else
            clock_sleep_us(LOOK_US);
    }
    return true;
}

/*
 * All have stopped when they had before a look that found no other: a thread that was already in
 * clone(2) when it was seized makes one that is not ours.
 */
static enum outcome stop(struct world *world)
{
    const uint64_t begin = clock_ms();
    bool still = false;
    if (!target_lives(world->target)) /* its id can be another's since we looked */
        return has_ended(world);
    for (;;) {
        bool more = false;
        if (!seize_all(world, &more))
            return OUTCOME_NEVER;
        if (still && !more) {
            const enum outcome outcome = settle(world);
            if (outcome != OUTCOME_RESTLESS)
                return outcome;
        }
        if (!is_patient(world, clock_ms() - begin))
            return give_up(world);
        ask_all(world);
        still = await_all(world, begin);
    }
}

static void release(const struct world *world)
{
    for (size_t i = 0; i < world->count; i++)
        if (world->tracees[i].stopped)
            ptrace(PTRACE_DETACH, world->tracees[i].tid, NULL, NULL);
}

/* The thread that traces. What it has not let go of by itself, it does by ending. */
static void *try_once(void *argument)
{
    struct world *world = argument;
    /* Of this thread, where we may: as long as it is not served, a whole process stands still. */
    setpriority(PRIO_PROCESS, (id_t)gettid(), HIGHEST_PRIORITY);
    world->instruction = hand_instruction(world->target->pid, world->target->tid);
    world->outcome = stop(world);
    if (world->outcome == OUTCOME_STILL) {
        world->visit(world, world->argument);
        hand_release(&world->hand);
    }
    release(world);
    world->stood_us = world_stopped_us(world);
    return NULL;
}

static void try_on_own_thread(struct world *world)
{
    pthread_t tracer;
    const int error = pthread_create(&tracer, NULL, try_once, world);
    if (error) {
        snprintf(world->why, world->why_size, "cannot start a thread: %s", strerror(error));
        world->outcome = OUTCOME_NEVER;
        return;
    }
    pthread_join(tracer, NULL);
}

static void explain(const struct world *world)
{
    const pid_t pid = world->target->pid;
    if (world->outcome == OUTCOME_HANDLESS) {
        snprintf(world->why, world->why_size,
                 "no thread of process %d can make a call for us now: try again later", (int)pid);
        return;
    }
    const char state = target_state(pid, world->restless);
    snprintf(world->why, world->why_size,
             "thread %d of process %d does not stop%s: try again later", (int)world->restless,
             (int)pid, state == 'D' ? ", it waits for the kernel or for a vfork child" : "");
}

bool world_visit(const struct target *target, world_visitor *visit, void *argument,
                 uint64_t *stood_us, char *why, size_t why_size)
{
    sigset_t all;
    sigset_t before;
    struct world world;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    for (int i = 0; i < TRIES; i++) {
        world = (struct world){.target = target,
                               .visit = visit,
                               .argument = argument,
                               .why = why,
                               .why_size = why_size};
        try_on_own_thread(&world);
        free(world.tracees);
        if (world.outcome == OUTCOME_STILL || world.outcome == OUTCOME_NEVER)
            break;
        explain(&world);
        clock_sleep_ms(STOP_MS);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    *stood_us = world.stood_us;
    return world.outcome == OUTCOME_STILL;
}

long world_call(struct world *world, long number, long a, long b, long c)
{
    const long arguments[] = {a, b, c};
    return hand_call(&world->hand, number, arguments);
}

pid_t world_thread(const struct world *world, size_t index)
{
    return index < world->count ? world->tracees[index].tid : 0;
}

uint64_t world_stopped_us(const struct world *world)
{
    return now_us() - world->since_us;
}

/*
 * Stacks against the truth: what was on them is known to the test, which put it there.
 */
#define _GNU_SOURCE
#include <alloca.h>
#include <criterion/criterion.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "stack.h"
#include "support.h"

#define APART __attribute__((noinline, aligned(256)))

static void start(void)
{
    stack_init(16);
}

TestSuite(stack, .init = start);

static APART site_t hook(void);

static _Atomic bool forked;

static void *hammer(void *unused)
{
    while (!forked) {
        stack_forget(); /* so that each is a walk, in a room */
        hook();
    }
    return unused;
}

/* Each generation is forked while threads of its parent are in the middle of a walk. */
Test(stack, are_known_in_the_child_of_a_program_whose_threads_were_at_it)
{
    enum { GENERATIONS = 60, THREADS = 4 };
    for (int i = 0; i < GENERATIONS; i++) {
        pthread_t threads[THREADS];
        int status = 0;
        for (int j = 0; j < THREADS; j++)
            cr_assert_eq(pthread_create(&threads[j], NULL, hammer, NULL), 0);
        usleep(200);
        const pid_t pid = fork();
        if (pid == 0) {
            stack_adopt();
            continue;
        }
        forked = true; /* here, not in the child: its threads are gone */
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        if (i == 0)
            cr_expect_eq(status, 0);
        else
            _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
        return;
    }
    for (int i = 0; i < 100; i++)
        if (hook() == 0)
            _exit(1);
    _exit(0);
}

/* Stands for a hook. */
static APART site_t hook(void)
{
    const site_t site = stack_site(CALLER_HERE);
    __asm__ volatile("" ::: "memory");
    return site;
}

static site_t seen;

/* Every function has work to do after its call, so that none is a jump. */
static APART void inner(int depth);

static APART void outer(int depth)
{
    inner(depth - 1);
    __asm__ volatile("" ::: "memory");
}

static APART void inner(int depth)
{
    if (depth > 0)
        outer(depth);
    else
        seen = hook();
    __asm__ volatile("" ::: "memory");
}

/* Whether the place is an instruction of function, which is less than 256 bytes long. */
static bool is_in(const struct place *place, const void *function)
{
    const struct module *module = modules_of(place->module);
    const uintptr_t at = place->address + (module ? module->bias : 0);
    return at > (uintptr_t)function && at - (uintptr_t)function < 256;
}

/* As hook, from a frame that is so much larger. */
static APART void further_down(size_t by)
{
    volatile char *room = alloca(by);
    room[0] = 0;
    seen = hook();
    __asm__ volatile("" ::: "memory");
}

static int depth_of(site_t site, const void *function)
{
    struct place places[DEPOT_FRAMES];
    const int count = depot_get(site, places);
    for (int i = 0; i < count; i++)
        if (is_in(&places[i], function))
            return i;
    return -1;
}

static void must_be_inner_outer_inner(site_t site)
{
    struct place places[DEPOT_FRAMES] = {0};
    cr_assert_geq(depot_get(site, places), 3);
    cr_expect(is_in(&places[0], (void *)inner));
    cr_expect(is_in(&places[1], (void *)outer));
    cr_expect(is_in(&places[2], (void *)inner));
}

/* To unwind it has to ask which pages there are; one that is known is compared in place. */
static _Atomic int unwindings;

static void count_unwinding(int number, siginfo_t *info, void *context)
{
    ucontext_t *interrupted = context;
    (void)number;
    (void)info;
    unwindings++;
#if defined(__x86_64__)
    interrupted->uc_mcontext.gregs[REG_RAX] = 1; /* there is such a page */
#elif defined(__aarch64__)
    interrupted->uc_mcontext.regs[0] = 1;
#else
    (void)interrupted;
#endif
}

/* From here on, in every thread. */
static void count_unwindings(void)
{
    struct sock_filter calls[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog filter = {sizeof(calls) / sizeof(calls[0]), calls};
    const struct sigaction counts = {.sa_sigaction = count_unwinding, .sa_flags = SA_SIGINFO};
    cr_assert_eq(sigaction(SIGSYS, &counts, NULL), 0);
    cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    cr_assert_eq(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter),
                 0);
}

/* Of 3,000 pairs some meet in one place, wherever the stack lies. */
Test(stack, knows_two_that_meet_and_are_taken_in_turn)
{
    enum { PAIRS = 3000, SETTLE = 8, TURNS = 12 };
    count_unwindings();
    for (size_t pair = 1; pair <= PAIRS; pair++) {
        int settled = 0;
        for (size_t i = 0; i < TURNS; i++) {
            further_down(16 + i % 2 * pair * 16);
            settled = i < SETTLE ? unwindings : settled;
        }
        cr_assert_eq(unwindings, settled, "%zu", pair);
    }
    cr_expect_geq(unwindings, PAIRS);
    cr_expect_geq(depth_of(seen, further_down), 0);
}

enum { TAKERS = 4, ROUNDS = 100 };

static void *take_often(void *unused)
{
    for (int i = 0; i < ROUNDS; i++)
        further_down(16);
    return unused;
}

/* Their stacks lie whole pages apart, and a few bits of each address are the same. */
Test(stack, knows_those_of_several_threads)
{
    pthread_t threads[TAKERS];
    count_unwindings();
    for (int i = 0; i < TAKERS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, take_often, NULL), 0);
    for (int i = 0; i < TAKERS; i++)
        pthread_join(threads[i], NULL);
    cr_expect_geq(unwindings, 1);
    cr_expect_leq(unwindings, TAKERS * ROUNDS / 4, "%d", unwindings);
}

Test(stack, names_the_callers_from_the_innermost_on)
{
    inner(1);
    must_be_inner_outer_inner(seen);
    struct place places[DEPOT_FRAMES];
    depot_get(seen, places);
    const struct module *module = modules_of(places[0].module);
    cr_assert_not_null(module);
    cr_expect_not_null(strstr(module->path, "closewait-tests"), "%s", module->path);
    cr_expect_eq(module->id_size, 20);
}

Test(stack, is_the_same_site_each_time_and_another_from_elsewhere)
{
    site_t first = 0;
    for (int i = 0; i < 1000; i++) {
        inner(1);
        first = first ? first : seen;
        cr_assert_eq(seen, first);
    }
    inner(2);
    cr_expect_neq(seen, first);
    cr_expect_neq(depot_hash(seen), depot_hash(first));
}

/* The same innermost frame at the same place, reached by two ways. */
static APART void this_way(void)
{
    inner(0);
    __asm__ volatile("" ::: "memory");
}

static APART void that_way(void)
{
    inner(0);
    __asm__ volatile("" ::: "memory");
}

Test(stack, never_takes_one_way_for_another)
{
    for (int i = 0; i < 100; i++) {
        this_way();
        cr_assert_geq(depth_of(seen, (void *)this_way), 0);
        cr_assert_eq(depth_of(seen, (void *)that_way), -1);
        that_way();
        cr_assert_geq(depth_of(seen, (void *)that_way), 0);
        cr_assert_eq(depth_of(seen, (void *)this_way), -1);
    }
}

static APART void on_signal(int number)
{
    inner(number - SIGUSR1);
    __asm__ volatile("" ::: "memory");
}

static APART void interrupted(void)
{
    raise(SIGUSR1);
    __asm__ volatile("" ::: "memory");
}

Test(stack, goes_through_a_signal_handler)
{
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = on_signal}, NULL);
    for (int i = 0; i < 3; i++) {
        interrupted();
        cr_expect_geq(depth_of(seen, (void *)on_signal), 1);
        cr_expect_geq(depth_of(seen, (void *)interrupted), 3);
    }
}

static volatile bool in_leaf;
static volatile bool awaited;

static void alarm_soon(void)
{
    setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {.tv_usec = 1000}}, NULL);
}

static APART void on_alarm(int number)
{
    inner(number - SIGALRM);
    awaited = in_leaf;
    if (!in_leaf)
        alarm_soon();
}

/* It calls nothing: some processors have its return address in a register. */
static APART void leaf(void)
{
    in_leaf = true;
    while (!awaited) {
    }
    in_leaf = false;
}

static APART void caller_of_leaf(void)
{
    leaf();
    __asm__ volatile("" ::: "memory");
}

Test(stack, goes_through_a_signal_handler_that_interrupted_a_leaf)
{
    sigaction(SIGALRM, &(struct sigaction){.sa_handler = on_alarm}, NULL);
    for (int i = 0; i < 3; i++) {
        awaited = false;
        alarm_soon();
        caller_of_leaf();
        /* inner, on_alarm, the trampoline, leaf: none is left out. */
        cr_expect_eq(depth_of(seen, (void *)caller_of_leaf), 4);
    }
}

Test(stack, goes_from_an_alternate_stack_to_the_interrupted_one)
{
    static char memory[65536];
    const stack_t alternate = {.ss_sp = memory, .ss_size = sizeof(memory)};
    cr_assert_eq(sigaltstack(&alternate, NULL), 0);
    const struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
    sigaction(SIGUSR1, &action, NULL);
    for (int i = 0; i < 3; i++) {
        interrupted();
        cr_expect_geq(depth_of(seen, (void *)interrupted), 3);
    }
}

static void *in_thread(void *site)
{
    inner(1);
    must_be_inner_outer_inner(seen);
    *(site_t *)site = seen;
    return NULL;
}

Test(stack, is_the_same_site_in_every_thread)
{
    site_t sites[8] = {0};
    for (int i = 0; i < 8; i++) {
        pthread_t thread;
        cr_assert_eq(pthread_create(&thread, NULL, in_thread, &sites[i]), 0);
        pthread_join(thread, NULL);
        cr_expect_eq(sites[i], sites[0]);
        cr_expect_geq(depth_of(sites[i], (void *)in_thread), 3);
    }
}

static ucontext_t home;

static void in_coroutine(void)
{
    inner(1);
}

/* Apart from its caller's loop: getcontext returns twice, and what a register held may be lost. */
static void run_coroutine_on(char *stack, size_t size)
{
    ucontext_t other;
    getcontext(&other);
    other.uc_stack.ss_sp = stack;
    other.uc_stack.ss_size = size;
    other.uc_link = &home;
    makecontext(&other, in_coroutine, 0);
    swapcontext(&home, &other);
}

/* Each time another stack at the same address, the later ones smaller: what lay above is gone. */
Test(stack, of_a_coroutine_is_read_afresh)
{
    static const size_t sizes[] = {262144, 262144, 65536, 16384};
    char *const at = mmap(NULL, sizes[0], PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        cr_assert_eq(mmap(at, sizes[i], PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
                     at);
        run_coroutine_on(at, sizes[i]);
        must_be_inner_outer_inner(seen);
        cr_expect_eq(munmap(at, sizes[0]), 0);
    }
}

/* The first and the last word that there are, and none, for code that keeps anything there. */
Test(stack, of_a_frame_pointer_that_is_none_is_short)
{
    static const uintptr_t words[] = {0, 1, 8, (uintptr_t)-8, (uintptr_t)-4, (uintptr_t)-16};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct place places[DEPOT_FRAMES];
        const struct caller caller = {.pc = (uintptr_t)&seen, .sp = 0, .fp = words[i]};
        cr_expect_leq(depot_get(stack_site(&caller), places), 1);
    }
}

/* What is there is not what the rules say: garbage in every register. */
Test(stack, of_garbage_is_short_and_no_crash)
{
    unsigned random = 1;
    for (int i = 0; i < 20000; i++) {
        uintptr_t words[3];
        for (int j = 0; j < 3; j++)
            words[j] = (uintptr_t)rand_r(&random) << (rand_r(&random) % 33);
        struct caller caller = {.pc = words[0], .sp = words[1], .fp = words[2]};
        if (i % 4 == 1)
            caller.pc = (uintptr_t)inner + words[0] % 64;
        if (i % 4 == 2)
            caller.sp = (uintptr_t)&caller + (words[1] & 0xff8);
        if (i % 4 == 3)
            caller.pc = (uintptr_t)malloc + words[0] % 4096;
        stack_site(&caller);
    }
    inner(1);
}

Test(stack, keeps_as_many_frames_as_asked)
{
    static const int frames[] = {1, 2, 16, 64};
    struct place places[DEPOT_FRAMES];
    for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
        stack_init(frames[i]);
        stack_forget();
        inner(100);
        cr_expect_eq(depot_get(seen, places), frames[i]);
    }
    stack_init(0);
    inner(1);
    cr_expect_eq(seen, 0);
    cr_expect_eq(depot_get(0, places), 0);
}

Test(stack, without_room_is_refused_and_counted)
{
    static struct depot_room room;
    site_t last = 1;
    for (uintptr_t pc = 16; last; pc += 16)
        last = depot_put(&pc, 1, &room);
    cr_expect_eq(depot_refused(), 1);
    const uintptr_t first = 16;
    cr_expect_neq(depot_put(&first, 1, &room), 0, "what is there stays");
}

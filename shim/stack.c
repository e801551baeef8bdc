#define _GNU_SOURCE
#include "stack.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/auxv.h>
#include <sys/uio.h>

#include "cfi.h"
#include "modules.h"
#include "raw.h"

enum { PAGE = 4096, WORD = sizeof(uintptr_t), REPLAYS = 128 };

static int frames_wanted;

/* Above every frame of the first thread: the kernel puts what main gets there (execve(2)). */
static uintptr_t first_stack_end;
static uintptr_t first_thread;

/*
 * What is known to be readable around a stack pointer. Of a thread's own stack it stays so while
 * the thread runs on it; of any other (a coroutine's, an alternate signal stack) only for now.
 */
struct span {
    uintptr_t low;
    uintptr_t high;
};

/*
 * The watcher, which has no TLS, never comes here. A signal handler may come between the two
 * stores of a change: low is first, and high alone makes it valid.
 */
static _Thread_local struct {
    _Atomic uintptr_t low;
    _Atomic uintptr_t high;
} own __attribute__((tls_model("initial-exec")));

/* A stack that was unwound, and where each of its return addresses lay. */
struct replay {
    _Atomic uint32_t turn; /* odd while it is written */
    _Atomic uint32_t epoch;
    _Atomic uintptr_t pc;
    _Atomic uintptr_t sp;
    _Atomic uintptr_t fp;
    _Atomic int count;
    _Atomic site_t site;
    struct {
        _Atomic uintptr_t at;
        _Atomic uintptr_t word;
    } frames[DEPOT_FRAMES];
};

static struct replay replays[REPLAYS];
static _Atomic uint32_t epoch;

void stack_forget(void)
{
    atomic_fetch_add_explicit(&epoch, 1, memory_order_release);
}

static uintptr_t thread_pointer(void)
{
    uintptr_t tp = 0;
#if defined(__x86_64__)
    __asm__("movq %%fs:0, %0" : "=r"(tp));
#elif defined(__i386__)
    __asm__("movl %%gs:0, %0" : "=r"(tp));
#elif defined(__aarch64__)
    __asm__("mrs %0, tpidr_el0" : "=r"(tp));
#endif
    return tp;
}

void stack_init(int frames)
{
    frames_wanted = frames;
    first_stack_end = (uintptr_t)getauxval(AT_RANDOM);
    first_thread = thread_pointer();
    modules_init();
}

/* Whether there is memory, without a fault when there is none. False where we may not ask. */
static bool is_readable(uintptr_t at)
{
    char byte;
    const struct iovec here = {.iov_base = &byte, .iov_len = 1};
    const struct iovec there = {.iov_base = (void *)at, .iov_len = 1};
    return raw6(SYS_process_vm_readv, raw0(SYS_getpid), (long)&here, 1, (long)&there, 1, 0) == 1;
}

/*
 * Where the thread's own stack ends, if sp is on it. The first thread's: at what main gets, and
 * below it the kernel maps nothing else (mmap_base leaves 128 MiB). Any other's: at the thread's
 * descriptor, which both libcs put at the top of its stack. 0 when sp cannot be on it.
 */
static uintptr_t own_end(uintptr_t sp)
{
    const uintptr_t first_reach = (uintptr_t)128 << 20;
    const uintptr_t other_reach = (uintptr_t)1 << 20;
    const uintptr_t tp = thread_pointer();
    if (sp < first_stack_end && first_stack_end - sp < first_reach)
        return first_stack_end;
    if (tp == first_thread || sp >= tp || tp - sp >= other_reach)
        return 0;
    return tp & ~(uintptr_t)(WORD - 1);
}

static bool all_readable(uintptr_t from, uintptr_t to)
{
    for (uintptr_t at = from; at < to; at += PAGE)
        if (!is_readable(at))
            return false;
    return true;
}

/* A guard page lies below a thread's stack: what is readable all the way up is the same stack. */
static bool is_on_own_stack(uintptr_t sp)
{
    const uintptr_t low = atomic_load_explicit(&own.low, memory_order_relaxed);
    const uintptr_t high = atomic_load_explicit(&own.high, memory_order_relaxed);
    const uintptr_t page = sp & ~(uintptr_t)(PAGE - 1);
    if (sp >= low && sp < high)
        return true;
    const uintptr_t end = own_end(sp);
    if (end == 0 || (end != first_stack_end && !all_readable(page, end == high ? low : end)))
        return false;
    atomic_store_explicit(&own.low, page, memory_order_relaxed);
    atomic_signal_fence(memory_order_release);
    atomic_store_explicit(&own.high, end, memory_order_relaxed);
    return true;
}

/* What a walk may read: span, and beyond it a page at a time. */
static __attribute__((no_sanitize("address", "thread"))) bool
read_word(const void *memory, uintptr_t at, uintptr_t *word)
{
    struct span *span = (struct span *)memory;
    if (at % WORD != 0)
        return false;
    if (at < span->low || at + WORD > span->high) {
        if (!is_readable(at))
            return false;
        span->low = at & ~(uintptr_t)(PAGE - 1);
        span->high = span->low + PAGE;
    }
    *word = *(const uintptr_t *)at;
    return true;
}

/* Code without rules, as a just-in-time compiler makes it, most often keeps a chain of frames. */
static bool step_by_chain(struct cursor *cursor, const struct span *span)
{
    struct cursor next = {.at = cursor->fp + WORD, .sp = cursor->fp + 2 * (uintptr_t)WORD};
    if (cursor->fp < cursor->sp || !read_word(span, cursor->fp, &next.fp) ||
        !read_word(span, next.at, &next.pc) || next.pc < PAGE || next.fp <= cursor->fp)
        return false;
    *cursor = next;
    return true;
}

static bool step(struct cursor *cursor, const struct span *span)
{
    struct rules_of rules;
    if (modules_rules(cursor->pc - !cursor->exact, &rules) && rules.header) {
        const enum cfi_step stepped = cfi_step(cursor, rules.header, read_word, span);
        if (stepped != CFI_UNKNOWN)
            return stepped == CFI_STEPPED;
    }
    return step_by_chain(cursor, span);
}

/* A walk: where return addresses lay, and the calls that they are of. */
struct walk {
    int count;
    uintptr_t at[DEPOT_FRAMES];
    uintptr_t word[DEPOT_FRAMES];
    uintptr_t call[DEPOT_FRAMES];
};

static void unwind(struct caller caller, struct span span, struct walk *walk)
{
    struct cursor cursor = {.pc = caller.pc, .sp = caller.sp, .fp = caller.fp};
    walk->count = 0;
    do {
        walk->at[walk->count] = cursor.at;
        walk->word[walk->count] = cursor.pc;
        walk->call[walk->count++] = cursor.pc - !cursor.exact;
    } while (walk->count < frames_wanted && step(&cursor, &span));
}

static uint32_t load(_Atomic uint32_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static uintptr_t load_word(_Atomic uintptr_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static struct replay *replay_of(struct caller caller)
{
    const uintptr_t hash = (caller.pc ^ (caller.sp >> 4) * 31) * (uintptr_t)0x9e3779b97f4a7c15ULL;
    return &replays[(hash >> (8 * WORD - 16)) % REPLAYS];
}

/* All of it is on the thread's own stack: what lies there can be read. */
static __attribute__((no_sanitize("address", "thread"))) bool
is_same(struct replay *replay, struct caller caller, uintptr_t high)
{
    const int count = atomic_load_explicit(&replay->count, memory_order_relaxed);
    if (load_word(&replay->pc) != caller.pc || load_word(&replay->sp) != caller.sp ||
        load_word(&replay->fp) != caller.fp || load(&replay->epoch) != load(&epoch))
        return false;
    for (int i = 1; i < count; i++) {
        const uintptr_t at = load_word(&replay->frames[i].at);
        if (at < caller.sp || at + WORD > high ||
            *(const uintptr_t *)at != load_word(&replay->frames[i].word))
            return false;
    }
    return count > 0;
}

/* 0 when it is not there. turn is read first and last: in between nobody wrote. */
static site_t replayed(struct replay *replay, struct caller caller, uintptr_t high)
{
    const uint32_t turn = atomic_load_explicit(&replay->turn, memory_order_acquire);
    if ((turn & 1) || !is_same(replay, caller, high))
        return 0;
    const site_t site = atomic_load_explicit(&replay->site, memory_order_relaxed);
    atomic_thread_fence(memory_order_acquire);
    return load(&replay->turn) == turn ? site : 0;
}

/* Whoever comes while it is written, a signal handler of this thread or another, does without. */
static void remember(struct replay *replay, struct caller caller, const struct walk *walk,
                     uint32_t since, site_t site)
{
    uint32_t turn = load(&replay->turn);
    if ((turn & 1) ||
        !atomic_compare_exchange_strong_explicit(&replay->turn, &turn, turn + 1,
                                                 memory_order_acquire, memory_order_relaxed))
        return;
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&replay->pc, caller.pc, memory_order_relaxed);
    atomic_store_explicit(&replay->sp, caller.sp, memory_order_relaxed);
    atomic_store_explicit(&replay->fp, caller.fp, memory_order_relaxed);
    atomic_store_explicit(&replay->epoch, since, memory_order_relaxed);
    atomic_store_explicit(&replay->count, walk->count, memory_order_relaxed);
    atomic_store_explicit(&replay->site, site, memory_order_relaxed);
    for (int i = 1; i < walk->count; i++) {
        atomic_store_explicit(&replay->frames[i].at, walk->at[i], memory_order_relaxed);
        atomic_store_explicit(&replay->frames[i].word, walk->word[i], memory_order_relaxed);
    }
    atomic_store_explicit(&replay->turn, turn + 2, memory_order_release);
}

static bool lies_within(const struct walk *walk, uintptr_t low, uintptr_t high)
{
    for (int i = 1; i < walk->count; i++)
        if (walk->at[i] < low || walk->at[i] + WORD > high)
            return false;
    return true;
}

site_t stack_site(struct caller caller)
{
    if (frames_wanted == 0)
        return 0;
    const uint32_t since = atomic_load_explicit(&epoch, memory_order_acquire);
    const bool at_home = is_on_own_stack(caller.sp);
    const struct span home = {.low = own.low, .high = own.high};
    struct replay *replay = replay_of(caller);
    site_t site = at_home ? replayed(replay, caller, home.high) : 0;
    if (site)
        return site;
    struct walk walk;
    unwind(caller, at_home ? home : (struct span){0}, &walk);
    site = depot_put(walk.call, walk.count);
    if (site && at_home && lies_within(&walk, caller.sp, home.high))
        remember(replay, caller, &walk, since, site);
    return site;
}

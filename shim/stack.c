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
#include "sigframe.h"

enum { PAGE = 4096, WORD = sizeof(uintptr_t), REPLAYS = 1024, STRIDE = 5 };

static int frames_wanted;

/* Above every frame of the first thread: the kernel puts what main gets there (execve(2)). */
static uintptr_t first_stack_end;
static uintptr_t first_thread;

/* A word of a stack, and how far above the innermost frame it lay. */
struct relic {
    _Atomic uintptr_t offset;
    _Atomic uintptr_t word;
};

/*
 * A stack that was unwound: the words that the walk went by, in its order, the last of them again
 * up to a whole number of strides. 16 frames have 15 words.
 */
struct replay {
    _Alignas(64) _Atomic uint32_t turn; /* odd while it is written */
    _Atomic uint32_t epoch;
    _Atomic uintptr_t pc;
    _Atomic uintptr_t sp;
    _Atomic uintptr_t fp;
    _Atomic uint32_t strides;
    _Atomic site_t site;
    _Atomic bool by_fp;
    struct relic relics[2 * DEPOT_FRAMES + STRIDE];
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
 * Where the thread's own stack ends, if sp may be on it. The first thread's: at what main gets. Any
 * other's: at the thread's descriptor, which both libcs put at the top of its stack. 0 when sp is
 * on another.
 */
static uintptr_t own_end(uintptr_t sp)
{
    const uintptr_t reach = (uintptr_t)64 << 20;
    const uintptr_t tp = thread_pointer();
    if (tp == first_thread)
        return sp < first_stack_end && first_stack_end - sp < reach ? first_stack_end : 0;
    return sp < tp && tp - sp < reach ? tp & ~(uintptr_t)(WORD - 1) : 0;
}

/* The page that a walk found readable last. */
struct page {
    uintptr_t low;
};

/* Nothing is read that was not asked for in this walk: what a word leads to may be anything. */
static __attribute__((no_sanitize("address", "thread"))) bool
read_word(const void *memory, uintptr_t at, uintptr_t *word)
{
    struct page *page = (struct page *)memory;
    const uintptr_t low = at & ~(uintptr_t)(PAGE - 1);
    if (at % WORD != 0 || low == 0 || (low != page->low && !is_readable(at)))
        return false;
    page->low = low;
    *word = *(const uintptr_t *)at;
    return true;
}

/* Code without rules, as a just-in-time compiler makes it, most often keeps a chain of frames. */
static bool step_by_chain(struct cursor *cursor, const struct page *page)
{
    struct cursor next = {.at = cursor->fp + WORD, .sp = cursor->fp + 2 * (uintptr_t)WORD};
    if (cursor->fp < cursor->sp || !read_word(page, cursor->fp, &next.fp) ||
        !read_word(page, next.at, &next.pc) || next.pc < PAGE || next.fp <= cursor->fp)
        return false;
    *cursor = next;
    return true;
}

/* A walk: where its words lay, and what they were. */
struct walk {
    int count;
    bool by_rules; /* every step: it comes to the same each time that the words are the same */
    uintptr_t at[DEPOT_FRAMES];
    uintptr_t word[DEPOT_FRAMES];
    uintptr_t fp_at[DEPOT_FRAMES]; /* 0 where no step went by it: code may keep anything there */
    uintptr_t fp[DEPOT_FRAMES];
    uintptr_t call[DEPOT_FRAMES];
    bool by_fp; /* a step went by the caller's */
};

static bool step(struct cursor *cursor, const struct page *page, struct walk *walk)
{
    const uint8_t *rules = modules_rules(cursor->pc - !cursor->exact);
    if (rules) {
        const enum cfi_step stepped = cfi_step(cursor, rules, read_word, page);
        if (stepped != CFI_UNKNOWN)
            return stepped == CFI_STEPPED;
    }
    walk->by_rules = false;
    return sigframe_step(cursor, read_word, page) || step_by_chain(cursor, page);
}

static void unwind(const struct caller *caller, struct walk *walk)
{
    struct cursor cursor = {.pc = caller->pc, .sp = caller->sp, .fp = caller->fp};
    const struct page page = {0};
    int fp_of = 0; /* the frame whose word fp is now */
    uintptr_t fp_at = 0;
    walk->count = 0;
    walk->by_rules = true;
    walk->by_fp = false;
    do {
        if (cursor.by_fp) {
            walk->by_fp |= fp_of == 0;
            walk->fp_at[fp_of] = fp_at;
        }
        if (cursor.fp_at) {
            fp_of = walk->count;
            fp_at = cursor.fp_at;
        }
        walk->at[walk->count] = cursor.at;
        walk->word[walk->count] = cursor.pc;
        walk->fp_at[walk->count] = 0;
        walk->fp[walk->count] = cursor.fp;
        walk->call[walk->count++] = cursor.pc - !cursor.exact;
    } while (walk->count < frames_wanted && step(&cursor, &page, walk));
}

/*
 * What a walk works in: a hook may be called on a coroutine's stack of a few KiB. Who finds none
 * free, in a signal handler or beside many threads, goes without a stack this time.
 */
enum { ROOMS = 16 };
static struct room {
    _Atomic bool taken;
    struct walk walk;
    struct depot_room depot;
} rooms[ROOMS];

static struct room *take_room(void)
{
    for (int i = 0; i < ROOMS; i++) {
        bool no = false;
        if (atomic_compare_exchange_strong_explicit(&rooms[i].taken, &no, true,
                                                    memory_order_acquire, memory_order_relaxed))
            return &rooms[i];
    }
    return NULL;
}

static void give_back(struct room *room)
{
    atomic_store_explicit(&room->taken, false, memory_order_release);
}

static uint32_t load(const _Atomic uint32_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static uintptr_t load_word(const _Atomic uintptr_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

/* Stacks of threads lie whole pages apart: no few bits of sp tell them from each other. */
static struct replay *replay_of(const struct caller *caller)
{
    const uintptr_t hash = (caller->pc ^ (caller->sp >> 4) * 31) * (uintptr_t)0x9e3779b97f4a7c15ULL;
    return &replays[(hash >> (8 * WORD - 16)) % REPLAYS];
}

/* Nobody has written since turn was read. */
static inline bool is_unwritten(const struct replay *replay, uint32_t turn)
{
    atomic_thread_fence(memory_order_acquire);
    return load(&replay->turn) == turn;
}

/*
 * Whether the words of a stride are there. What is to be read, and where, is taken out first, and
 * is what was written at one time: another thread may write a stack of its own here meanwhile, and
 * at its offsets there may be no memory above us.
 */
static inline __attribute__((always_inline, no_sanitize("address", "thread"))) bool
lie_there(const struct replay *replay, const struct relic *relics, uintptr_t sp, uint32_t turn)
{
    uintptr_t at[STRIDE];
    uintptr_t word[STRIDE];
#pragma GCC unroll 5
    for (int i = 0; i < STRIDE; i++) {
        at[i] = sp + load_word(&relics[i].offset);
        word[i] = load_word(&relics[i].word);
    }
    if (!is_unwritten(replay, turn))
        return false;
#pragma GCC unroll 5
    for (int i = 0; i < STRIDE; i++)
        if (*(const uintptr_t *)at[i] != word[i])
            return false;
    return true;
}

/*
 * The words are read from the innermost on, and each only when all before it are the same. A frame
 * with the same pc and sp, and the same fp where the rules go by it, has its caller's words at the
 * same places: so what is read is what the walk would read, on whatever stack this is.
 */
static inline __attribute__((always_inline, no_sanitize("address", "thread"))) bool
is_same(const struct replay *replay, const struct caller *caller, uint32_t turn)
{
    if (load_word(&replay->pc) != caller->pc || load_word(&replay->sp) != caller->sp ||
        (atomic_load_explicit(&replay->by_fp, memory_order_relaxed) &&
         load_word(&replay->fp) != caller->fp) ||
        load(&replay->epoch) != load(&epoch))
        return false;
    const struct relic *relic = replay->relics;
    const struct relic *const none = relic + (size_t)STRIDE * load(&replay->strides);
    for (; relic < none; relic += STRIDE)
        if (!lie_there(replay, relic, caller->sp, turn))
            return false;
    return true;
}

/* 0 when it is not there. */
static inline __attribute__((always_inline)) site_t replayed(const struct replay *replay,
                                                             const struct caller *caller)
{
    const uint32_t turn = atomic_load_explicit(&replay->turn, memory_order_acquire);
    if ((turn & 1) || !is_same(replay, caller, turn))
        return 0;
    const site_t site = atomic_load_explicit(&replay->site, memory_order_relaxed);
    return is_unwritten(replay, turn) ? site : 0;
}

static void put(struct relic *relic, uintptr_t offset, uintptr_t word)
{
    atomic_store_explicit(&relic->offset, offset, memory_order_relaxed);
    atomic_store_explicit(&relic->word, word, memory_order_relaxed);
}

/* Whoever comes while it is written, a signal handler of this thread or another, does without. */
static void remember(struct replay *replay, const struct caller *caller, const struct walk *walk,
                     uint32_t since, site_t site)
{
    uint32_t turn = load(&replay->turn);
    if ((turn & 1) ||
        !atomic_compare_exchange_strong_explicit(&replay->turn, &turn, turn + 1,
                                                 memory_order_acquire, memory_order_relaxed))
        return;
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&replay->pc, caller->pc, memory_order_relaxed);
    atomic_store_explicit(&replay->sp, caller->sp, memory_order_relaxed);
    atomic_store_explicit(&replay->fp, caller->fp, memory_order_relaxed);
    atomic_store_explicit(&replay->by_fp, walk->by_fp, memory_order_relaxed);
    atomic_store_explicit(&replay->epoch, since, memory_order_relaxed);
    atomic_store_explicit(&replay->site, site, memory_order_relaxed);
    uint32_t count = 0;
    for (int i = 1; i < walk->count; i++) {
        put(&replay->relics[count++], walk->at[i] - caller->sp, walk->word[i]);
        if (walk->fp_at[i])
            put(&replay->relics[count++], walk->fp_at[i] - caller->sp, walk->fp[i]);
    }
    for (; count % STRIDE != 0; count++)
        put(&replay->relics[count], load_word(&replay->relics[count - 1].offset),
            load_word(&replay->relics[count - 1].word));
    atomic_store_explicit(&replay->strides, count / STRIDE, memory_order_relaxed);
    atomic_store_explicit(&replay->turn, turn + 2, memory_order_release);
}

static bool lies_within(const struct walk *walk, uintptr_t low, uintptr_t high)
{
    for (int i = 1; i < walk->count; i++)
        if (walk->at[i] < low || walk->at[i] >= high ||
            (walk->fp_at[i] && (walk->fp_at[i] < low || walk->fp_at[i] >= high)))
            return false;
    return true;
}

/* Another stack may be a coroutine's, of a few KiB: there must be room for us below. */
static bool has_room(uintptr_t sp)
{
    enum { NEEDED = 3 * 1024 };
    return is_readable(sp - NEEDED);
}

void stack_adopt(void)
{
    for (int i = 0; i < ROOMS; i++)
        give_back(&rooms[i]);
    for (int i = 0; i < REPLAYS; i++) {
        const uint32_t turn = load(&replays[i].turn);
        if (!(turn & 1))
            continue;
        atomic_store_explicit(&replays[i].pc, 0, memory_order_relaxed);
        atomic_store_explicit(&replays[i].turn, turn + 1, memory_order_release);
    }
}

static bool is_free_for(const struct caller *caller, const struct replay *replay)
{
    const uintptr_t pc = load_word(&replay->pc);
    return pc == 0 || (pc == caller->pc && load_word(&replay->sp) == caller->sp) ||
           load(&replay->epoch) != load(&epoch);
}

/*
 * Where a stack is remembered: there are two places for it, or two stacks that meet and are taken
 * in turn would be unwound each time. Where both are taken the one gives way and then the other, so
 * that two that are in use end side by side.
 */
static struct replay *place_of(const struct caller *caller, struct replay *first,
                               struct replay *second)
{
    static _Atomic uint32_t taken;
    if (is_free_for(caller, first))
        return first;
    if (is_free_for(caller, second))
        return second;
    struct replay *const lower = first < second ? first : second;
    return lower + (atomic_fetch_add_explicit(&taken, 1, memory_order_relaxed) & 1);
}

/* Apart, so that who finds the stack in its first place pays for no more. */
static __attribute__((noinline)) site_t unwound(const struct caller *caller, struct replay *first)
{
    struct replay *second = replays + ((first - replays) ^ 1);
    const site_t known = replayed(second, caller);
    if (known)
        return known;
    const uint32_t since = atomic_load_explicit(&epoch, memory_order_acquire);
    const uintptr_t end = own_end(caller->sp);
    struct room *room = !end && !has_room(caller->sp) ? NULL : take_room();
    if (!room)
        return 0;
    modules_meet();
    unwind(caller, &room->walk);
    const site_t site = depot_put(room->walk.call, room->walk.count, &room->depot);
    if (site && end && room->walk.by_rules && lies_within(&room->walk, caller->sp, end))
        remember(place_of(caller, first, second), caller, &room->walk, since, site);
    give_back(room);
    return site;
}

site_t stack_site(const struct caller *caller)
{
    if (frames_wanted == 0)
        return 0;
    struct replay *replay = replay_of(caller);
    __asm__("" : "+r"(replay)); /* or gcc adds up the address anew for each field */
    const site_t site = replayed(replay, caller);
    return site ? site : unwound(caller, replay);
}

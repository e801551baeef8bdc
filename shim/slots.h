/*
 * The table: one slot a descriptor, and who may touch it when.
 *
 * A slot's word holds its state, which is moved by compare-and-swap only:
 *
 *     FREE     the number is nothing of ours
 *     MADE     a TCP socket without a connection, of which nothing is known yet: the watcher passes
 *              by, unless it listens
 *     LIVE     a connection, within the watcher's reach
 *     CLAIMED  a watcher or a rescuer is looking at it, for a few system calls that do not block;
 *              a listener, which only the watcher looks at, goes back to MADE
 *     BURIED   a tombstone of ours lies on the number; CLAIMED and FREE when it is given back
 *
 *          slot_publish       slot_connect          slot_claim
 *     FREE -----------> MADE -------------> LIVE <--------------> CLAIMED
 *       ^ \               |                / ^ |    slot_release     |
 *       |  \--------------|---------------/  | |                     v
 *       |   slot_publish  |  (accept, dup)     | |                  BURIED
 *       +-----------------+--------------------+-+---- slot_vacate ----+
 *
 * A tombstone never lands on a descriptor that is not the leaked socket, whatever the order of
 * close, dup2, accept and the watcher. It is put down only
 *   (1) in a slot that the one who does it has CLAIMED,
 *   (2) while, after the claim was made, no call is seen departing from that number, and
 *   (3) after the cookie of the number was compared, under that same claim, with that of the
 *       socket that was judged.
 * After (3) the number can come to mean something else only by a call that closes or replaces
 * it. The hook of every such call, in this order, counts itself as departing, ends slot_vacate,
 * makes the real call and counts itself out; and slot_vacate takes no slot out of CLAIMED: it
 * waits. The count and the word are seq_cst on both sides, so of a departing call and a claim the
 * later sees the earlier. Hence such a call is either
 *   - over before (2): then (3) sees another cookie, or none;
 *   - departing at (2): then there is no tombstone this time; or
 *   - later than (2): then its slot_vacate meets CLAIMED, and its real call comes after the
 *     release, when it closes the tombstone as the program meant to close the socket.
 * What is left are calls that no hook sees (an inline system call, io_uring): they have the span
 * from (3) to dup3 to do harm in, two system calls; that is the limit of a tool that lives in
 * libc's callers. And a call that never came back (its thread was cancelled in it, or left it by
 * longjmp) departs for ever: after ABANDONED_MS of nothing else it is written off.
 *
 * Nobody waits for himself or for ever: a claim is held with all signals blocked, so no handler
 * runs on the claiming thread, and what is done under it does not block; the waiter sleeps (a
 * real-time thread does not spin a claimer out) and holds nothing, so handlers may wait, too. A
 * forked child frees the claims of its parent's threads (slots_adopt); a vfork child never
 * enters (owner_here).
 *
 * Unless it says otherwise, a function here may be called by any thread and any signal handler,
 * and keeps errno.
 */
#ifndef CLOSEWAIT_SLOTS_H
#define CLOSEWAIT_SLOTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "depot.h"
#include "hidden.h"

enum slot_state { SLOT_FREE, SLOT_MADE, SLOT_LIVE, SLOT_CLAIMED, SLOT_BURIED };

enum how { HOW_CONNECT, HOW_ACCEPT, HOW_INHERITED, HOW_RECEIVED, HOW_FOUND };

/* Besides the state, in a slot's word. */
enum {
    SLOT_STATE = 7,
    SLOT_HOW_SHIFT = 3,
    SLOT_HOW = 7 << SLOT_HOW_SHIFT,
    SLOT_EOF_READ = 1 << 6, /* a read returned 0; eof_cs says when */
    SLOT_GONE = 1 << 7,     /* the watcher saw that the peer is gone; gone_cs says since when */
    SLOT_TOLD = 1 << 8,     /* its leak was reported */
    SLOT_COPIED = 1 << 9,   /* it was duplicated: other slots may hold the same socket */
    SLOT_AWAITED = 1 << 10, /* somebody sleeps on the word until the claim is released */
    SLOT_QUIET = 1 << 11,   /* nobody is told: a pattern suppresses it, or a parent buried it */
    SLOT_FIN = 1 << 12,     /* it was seen in CLOSE_WAIT */
    SLOT_WRITTEN = 1 << 13, /* a tombstone: the program has written to it, and knows */
    SLOT_LISTENS = 1 << 14, /* in MADE: a listening socket, whose accept queue is looked at */
    SLOT_OVER = 1 << 15,    /* it was seen in CLOSE; gone_cs says since when */
    SLOT_KEPT_SHIFT = 16,   /* the settings of its own that a probe replaced (probe.h); 0: none */
    SLOT_KEPT = 255 << SLOT_KEPT_SHIFT,
    SLOT_DIALED = 1 << 24, /* it was connected by a process that this one was forked from */
    SLOT_BOUND = 1 << 25,  /* with the option reuseaddr: to a port of the program's choice */
    SLOT_LENT = 1 << 26,   /* it has SO_REUSEADDR of us, and not of the program (reuse.h) */
    SLOT_WANTED = 1 << 27, /* told before grace was over, or reaped, since its port was wanted */
    /* What a copy has as well, and what is true whatever became of a call. */
    SLOT_LASTING = SLOT_DIALED | SLOT_BOUND | SLOT_LENT,
};

/*
 * The fields are atomic because a program that uses one descriptor from two threads makes our
 * hooks do so as well; their order is given by the word alone, so all of them are relaxed.
 * eof_cs and the sites are written by hooks; cookie, opened_cs, gone_cs, unread_bytes and due_cs by
 * who holds the claim, when the watcher first sees the slot: a hook does not ask for the time.
 * Times are clock_cs().
 *
 * Of a listener (SLOT_LISTENS) opened_at is where listen was called; gone_cs since when nobody has
 * accepted and the queue was never seen empty, where accept stores 0; opened_cs when the queue was
 * told last, 0 for never; and due_cs when to look again.
 *
 * Of a tombstone due_cs is when it was buried, and opened_cs the low half of the cookie that it has
 * itself (tombs.c); cookie is that of the socket that lay there.
 */
struct slot {
    _Atomic uint32_t word;
    _Atomic uint32_t opened_cs; /* 0 until the watcher saw it; 200 ms late at the most */
    _Atomic uint32_t cookie;    /* its low half; 0 until the first claim that needs it */
    _Atomic uint32_t eof_cs;
    _Atomic uint32_t gone_cs;
    _Atomic uint32_t due_cs;       /* when to look again, once SLOT_GONE */
    _Atomic uint16_t unread_bytes; /* at the last look, modulo 65521 */
    _Atomic site_t opened_at;
    _Atomic site_t eof_at;
    _Atomic site_t last_at;
};
_Static_assert(sizeof(struct slot) == 32, "design section 6: 32 bytes a slot");

static inline enum slot_state slot_state(uint32_t word)
{
    return (enum slot_state)(word & SLOT_STATE);
}

/* The same, as it is again when a claim is released and nothing was changed. */
static inline enum slot_state slot_unclaimed(uint32_t word)
{
    if (slot_state(word) != SLOT_CLAIMED)
        return slot_state(word);
    return word & SLOT_LISTENS ? SLOT_MADE : SLOT_LIVE;
}

static inline enum how slot_how(uint32_t word)
{
    return (enum how)((word & SLOT_HOW) >> SLOT_HOW_SHIFT);
}

/* What was told, or reaped, and is closed by the program after all: the report was too early. */
static inline bool slot_is_late(uint32_t word)
{
    return (word & (SLOT_BURIED | SLOT_TOLD)) && !(word & SLOT_QUIET);
}
_Static_assert(SLOT_BURIED == 4, "a bit that no other state has");

/* Whether it was connected, and not accepted, as far as is known. */
static inline bool slot_was_dialed(uint32_t word)
{
    return slot_how(word) == HOW_CONNECT || (word & SLOT_DIALED);
}

/*
 * Two levels: a descriptor is below nr_open, which is below 2^30 (fs/file.c, sysctl_nr_open_max).
 * A leaf is mapped when its first descriptor is tracked and stays; only the pages that are used
 * are ever resident. Of slots.c; here for the lookups, which every hook does.
 */
enum { LEAF_BITS = 14, LEAF_SLOTS = 1 << LEAF_BITS, LEAVES = 1 << (30 - LEAF_BITS) };
extern HIDDEN _Atomic(struct slot *) slots_leaves[LEAVES];

/* The slot of fd, NULL where there never was one. */
static inline struct slot *slot_of(int fd)
{
    const uint32_t number = (uint32_t)fd;
    if (number >> LEAF_BITS >= LEAVES)
        return NULL;
    struct slot *leaf =
        atomic_load_explicit(&slots_leaves[number >> LEAF_BITS], memory_order_acquire);
    return leaf ? &leaf[number & (LEAF_SLOTS - 1)] : NULL;
}

/* The word of a slot, SLOT_FREE of NULL. */
static inline uint32_t slot_word(struct slot *slot)
{
    return slot ? atomic_load_explicit(&slot->word, memory_order_acquire) : (uint32_t)SLOT_FREE;
}

/* The first descriptor >= fd whose slot is not FREE, -1 after the last. */
int slots_next(int fd);

/* From any state to FREE. Waits while the slot is claimed. Returns the word that it had. */
uint32_t slot_vacate_patiently(struct slot *slot);

/* The same without waiting: false when it is claimed, or changes meanwhile. */
static inline bool slot_vacate_at_once(struct slot *slot, uint32_t *had)
{
    *had = atomic_load(&slot->word);
    return slot_state(*had) == SLOT_FREE ||
           (slot_state(*had) != SLOT_CLAIMED &&
            atomic_compare_exchange_strong(&slot->word, had, SLOT_FREE));
}

static inline uint32_t slot_vacate(struct slot *slot)
{
    uint32_t had = SLOT_FREE;
    return !slot || slot_vacate_at_once(slot, &had) ? had : slot_vacate_patiently(slot);
}

/*
 * Calls under way, by number modulo CLASSES: a number that shares its class with a busy one waits
 * for a quiet moment. Since when a class was seen busy at every look: in clock_cs(), 0 for quiet.
 * Threads that close do not share a cache line. Of slots.c.
 */
enum { CLASSES = 64, RANGES = CLASSES };

struct class
{
    _Alignas(64) _Atomic uint32_t departing;
    _Atomic uint32_t busy_since_cs;
    _Atomic uint32_t busy_seen_cs;
};
extern HIDDEN struct class slots_classes[CLASSES + 1];

static inline struct class *slots_class(int fd)
{
    return &slots_classes[(unsigned)fd % CLASSES];
}

/* Not below 0: what was written off may come back. */
static inline void class_departed(struct class *class)
{
    uint32_t count = atomic_load(&class->departing);
    while (count > 0 && !atomic_compare_exchange_weak(&class->departing, &count, count - 1)) {
    }
}

static inline void class_depart(struct class *class)
{
    atomic_fetch_add(&class->departing, 1);
}

/*
 * Around the real call of a hook after which fd, or any number, may mean something else. depart
 * counts the call as under way and vacates the slot, which is that of fd; of ranges the caller
 * vacates each. Returns the word that the slot had.
 */
static inline uint32_t slot_depart(int fd, struct slot *slot)
{
    class_depart(slots_class(fd));
    return slot_vacate(slot);
}

static inline void slot_departed(int fd)
{
    class_departed(slots_class(fd));
}

void slots_depart(void);
void slots_departed(void);

/* Whether no such call is under way on fd. For who holds the claim of its slot. */
bool slot_is_steady(int fd);

/*
 * For a number that the kernel has just given out: whatever its slot says is of a close that
 * nobody saw. To MADE or LIVE. NULL when there is no memory: it goes untracked.
 */
struct slot *slot_publish(int fd, enum slot_state state, enum how how, site_t opened_at);

/* FREE to LIVE: a connection that no hook saw. The caller has all signals blocked. */
void slot_found(int fd);

/* MADE to LIVE: a connect that succeeded. False from elsewhere. */
bool slot_connect(struct slot *slot, site_t opened_at);

/*
 * Of a slot that is MADE: its socket listens, since now at the latest, and somebody must be
 * watching. Nothing is changed when that was known. False from elsewhere.
 */
bool slot_listen(struct slot *slot, site_t opened_at, uint32_t now_cs);

/* Sets flags, if the slot is not FREE; clears them. */
void slot_flag(struct slot *slot, uint32_t flags);
void slot_unflag(struct slot *slot, uint32_t flags);

/*
 * LIVE to CLAIMED; false when it was not LIVE. The caller has all signals blocked. Release with
 * the state that follows (LIVE, MADE, FREE, BURIED) and flags to set. With MADE what is known of it
 * is forgotten, but of a listener; its flags stay.
 */
bool slot_claim(struct slot *slot);
bool slot_claim_patiently(struct slot *slot); /* waits while another has it */
bool slot_claim_buried(struct slot *slot);    /* BURIED to CLAIMED, to give its number back */
void slot_release(struct slot *slot, enum slot_state next, uint32_t flags);

/* MADE to CLAIMED, also of a listener alone; for the rest as slot_claim. */
bool slot_claim_made(struct slot *slot);
bool slot_claim_listener(struct slot *slot);

/*
 * FREE to CLAIMED, for a number that is ours for a moment: calls of the program's that would close
 * or replace it wait. NULL when the slot is not FREE. Does not wait; release to FREE.
 */
struct slot *slot_guard(int fd);

/* For a forked child that adopts the table: frees claims, marks connections as inherited. */
void slots_adopt(void);

#endif

#define _GNU_SOURCE
#include "owner.h"

#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>

#include "raw.h"

/* What a forked child finds in the page, and what it shows while the child makes it its own. */
enum { WIPED = 0, ADOPTING = -1 };

/*
 * One page that fork gives the child empty (MADV_WIPEONFORK, madvise(2), Linux 4.14). It tells a
 * forked child, however it was made, from its parent with one load, where pthread_atfork misses
 * _Fork and clone; and a vfork child, which shares the page, is told by its pid.
 */
static _Atomic int *_Atomic page;
static _Atomic int nobody;
_Atomic int *_Atomic owner_quick = &nobody;
static void (*adopt_copy)(void);

/*
 * Set by the hook of vfork, which is in assembly (vfork.c) and has no way to call; never cleared:
 * a child may outlive the call. relaxed is enough: the borrower comes after it in program order.
 */
_Atomic char owner_lent;

/* Who this memory belonged to before, and whom it belongs to: the page does not tell a child. */
static int before;
static int current;

/* Calls under way whose child adopts nothing. The child's copy stays raised. */
static _Atomic int disowning;

static int own_pid(void)
{
    return (int)raw0(SYS_getpid);
}

bool owner_init(void (*adopt)(void))
{
    const long at = raw_map(4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
    if (raw_failed(at))
        return false;
    /* Where the kernel cannot wipe, a forked child only passes through: its pid is another. */
    if (raw3(SYS_madvise, at, 4096, MADV_WIPEONFORK) != 0)
        owner_lends();
    adopt_copy = adopt;
    current = own_pid();
    atomic_store_explicit((_Atomic int *)at, current, memory_order_relaxed);
    atomic_store_explicit(&page, (_Atomic int *)at, memory_order_release);
    return true;
}

/* A thread that comes while another adopts passes through: its socket goes unseen, no harm. */
static bool adopt(_Atomic int *owner)
{
    int wiped = WIPED;
    if (!atomic_compare_exchange_strong_explicit(owner, &wiped, ADOPTING, memory_order_acquire,
                                                 memory_order_relaxed))
        return false;
    before = current;
    current = own_pid();
    adopt_copy();
    atomic_store_explicit(owner, own_pid(), memory_order_release);
    return true;
}

void owner_open(void)
{
    _Atomic int *owner = atomic_load_explicit(&page, memory_order_relaxed);
    if (owner)
        atomic_store_explicit(&owner_quick, owner, memory_order_release);
}

bool owner_here(void)
{
    _Atomic int *owner = atomic_load_explicit(&page, memory_order_acquire);
    if (!owner)
        return false;
    const int pid = atomic_load_explicit(owner, memory_order_acquire);
    if (pid == ADOPTING)
        return false;
    if (pid == WIPED)
        return !atomic_load_explicit(&disowning, memory_order_relaxed) && adopt(owner);
    return !atomic_load_explicit(&owner_lent, memory_order_relaxed) || pid == own_pid();
}

bool owner_is_near(void)
{
    _Atomic int *owner = atomic_load_explicit(&page, memory_order_acquire);
    return owner && (atomic_load_explicit(owner, memory_order_acquire) > 0 || owner_here());
}

int owner_before(void)
{
    return before;
}

void owner_lends(void)
{
    atomic_store_explicit(&owner_lent, 1, memory_order_relaxed);
}

void owner_clones(unsigned long flags)
{
    if (flags & CLONE_VM)
        owner_lends();
    else
        atomic_fetch_add_explicit(&disowning, 1, memory_order_relaxed);
}

void owner_cloned(unsigned long flags)
{
    if (!(flags & CLONE_VM))
        atomic_fetch_sub_explicit(&disowning, 1, memory_order_relaxed);
}

void owner_renounce(void)
{
    atomic_store_explicit(&owner_quick, &nobody, memory_order_release);
    atomic_store_explicit(&page, NULL, memory_order_release);
}

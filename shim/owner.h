/*
 * Whose memory is this? The table of slots belongs to one process. A forked child has a copy of
 * it and must make it its own; a vfork child borrows its parent's and must not touch it.
 */
#ifndef CLOSEWAIT_OWNER_H
#define CLOSEWAIT_OWNER_H

#include <stdatomic.h>
#include <stdbool.h>

#include "hidden.h"

/*
 * Makes this process the owner. adopt is called, once, in every forked child, by the first call
 * there of owner_here(): with the parent's memory copied and none of its other threads. Called
 * by the constructor. Returns false where the kernel gives no page; nobody is the owner then.
 */
bool owner_init(void (*adopt)(void));

/*
 * True when the caller may change the table: it runs in the process that owns it, which a forked
 * child becomes by asking. False in a vfork child. No system call in a process that never shared
 * its memory with one (owner_lends); any thread, any signal handler.
 */
bool owner_here(void);

/*
 * From now on owner_is_quick may say yes: the table is in use. The constructor's.
 */
void owner_open(void);

/* Of owner.c. */
extern HIDDEN _Atomic int *_Atomic owner_quick;
extern HIDDEN _Atomic char owner_lent;

/*
 * For hooks, before owner_here: true when the table is in use and owner_here() would say so
 * without a closer look. False says nothing. As owner_here.
 */
static inline bool owner_is_quick(void)
{
    _Atomic int *owner = atomic_load_explicit(&owner_quick, memory_order_acquire);
    return atomic_load_explicit(owner, memory_order_acquire) > 0 &&
           !atomic_load_explicit(&owner_lent, memory_order_relaxed);
}

/*
 * The same, and also in a child that borrows the owner's memory (vfork): for what is checked anew
 * by what the kernel says of a descriptor. As owner_here.
 */
bool owner_is_near(void);

/* The owner that this process had its memory from, by fork; 0 when it was its own from the start.
 */
int owner_before(void);

/*
 * From now on somebody may run in this memory who is not this process: vfork, or clone with
 * CLONE_VM. owner_here asks for the pid each time from then on. Any thread, any signal handler.
 */
void owner_lends(void);

/*
 * Around a clone(2) with these flags. A child that shares the memory is lent it; one with a copy
 * adopts nothing, nor do its children: they pass through. So does the child of a fork that another
 * thread makes meanwhile. cloned is called in the parent alone. Any thread, any signal handler.
 */
void owner_clones(unsigned long flags);
void owner_cloned(unsigned long flags);

/*
 * Nobody is the owner from now on, here and in the children to come, and owner_here() makes no
 * system call. Any thread, any signal handler.
 */
void owner_renounce(void);

#endif

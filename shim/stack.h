/*
 * The stack of a hook's caller, as a site of the depot. The first time a stack is unwound it is
 * remembered where each return address lay; the next time the words are compared in place.
 */
#ifndef CLOSEWAIT_STACK_H
#define CLOSEWAIT_STACK_H

#include "caller.h"
#include "depot.h"

/* How many frames to keep, 0 to DEPOT_FRAMES; 0: none, ever. Called once, by the constructor. */
void stack_init(int frames);

/*
 * The site of caller's stack; 0 when none is kept or there is no room. Fewer frames where the
 * rules end. Any thread, any signal handler; keeps errno. Not in a vfork child.
 */
site_t stack_site(const struct caller *caller);

/* A library was unloaded: another may come to lie where it was. Any thread, any signal handler. */
void stack_forget(void);

/* For a forked child that adopts: what its parent's other threads were writing is nobody's now. */
void stack_adopt(void);

#endif

/*
 * libc's own functions, by name: real.connect(...) is what the program would have called without
 * us. Every entry is valid from the first instruction of the process on; see real.c.
 */
#ifndef CLOSEWAIT_REAL_H
#define CLOSEWAIT_REAL_H

#include "calls_types.h"

struct real {
#define CALL(returns, name, parameters, kernel) returns(*name) parameters;
#include "calls.h"
#include "hidden.h"
#undef CALL
};

extern HIDDEN struct real real;

/*
 * Replaces the stubs by the functions that come after ours in the search order (libc's, or those
 * of another preload). Called once, by the constructor. A function that is not found keeps its
 * stub.
 */
void real_resolve(void);

/*
 * Any other function of libc's, or of another preload's; NULL when there is none. What dlerror says
 * to the program is as it was. The constructor's.
 */
void *real_find(const char *name);

/* Where the hook of vfork jumps (hooks.c), as valid as the table. */
extern pid_t (*vfork_next)(void);

#endif

/*
 * What the tests of functions and lines share: a cache, a folder and shell commands that must work.
 */
#ifndef CLOSEWAIT_TESTS_FINDING_H
#define CLOSEWAIT_TESTS_FINDING_H

#include <stdint.h>

#include "../cli/symbol.h"
#include "support.h"

extern struct symbols *symbols;
extern char folder[64];      /* for what a test makes */
extern char answers[262144]; /* of shell commands */

/* For a test suite's .init and .fini: both make and end the cache and the folder. */
void finding_begin(void);
void finding_end(void);

/* A command that must work, with what it says in answers. */
#define must(...) cr_assert_eq(shell(answers, sizeof(answers), __VA_ARGS__), 0, "%s", answers)

/* A path in the folder. Static storage, 16 at a time. */
const char *in_folder(const char *name);

/* A file's build id, in hex. Static storage, 8 at a time. */
const char *build_id_of(const char *path);

/* Where the program says that it is in the function, by its own account. */
uint64_t place_in(const char *program, const char *function);

/* What symbol_find finds, as addr2line -fi would print it. Static storage. */
const char *found(const char *path, const char *build_id, uint64_t offset);

#define UNKNOWN "??\n??:0\n"

#endif

/*
 * Where the shim is, and whether a program can have it.
 */
#ifndef CLOSEWAIT_PRELOAD_H
#define CLOSEWAIT_PRELOAD_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The shim of the running command: in the same folder (build tree), in ../lib of it
 * (installed), or in the LIBDIR that it was built for. False, with a line in why, when it is in
 * none of them or its path cannot be written into LD_PRELOAD.
 */
bool preload_find(char *path, size_t path_size, char *why, size_t why_size);

/* What the shim is to find in the program's environment. */
struct preload {
    const char *shim;    /* its path */
    const char *options; /* CLOSEWAIT_OPTIONS */
    const char *output;  /* the file that it reports to, in JSON */
    int hello;           /* the end of a pipe of our parent's that it writes its process id to */
};

/* Puts it into our own: for a child, before it executes the program. */
void preload_dress(const struct preload *preload);

/*
 * The file that execvp(3) would run for name, by PATH. False when there is none; errno then says
 * why, as execvp would.
 */
bool preload_which(const char *name, char *path, size_t path_size);

/*
 * Why the dynamic linker will not load the shim into the program at path (a script: into its
 * interpreter), as the end of the sentence "the shim cannot be loaded into ...: ". NULL when
 * there is no reason that the file shows.
 */
const char *preload_refusal(const char *path);

/* Whether the program at path is one in Go: by the build id that its linker writes. */
bool preload_is_go(const char *path);

#endif

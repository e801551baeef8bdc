/*
 * Which file a code address is in. What was seen once stays known: a report may name a plugin that
 * is long unloaded.
 */
#ifndef CLOSEWAIT_MODULES_H
#define CLOSEWAIT_MODULES_H

#include <stdint.h>

enum { MODULE_PATH_SIZE = 512, MODULE_ID_SIZE = 20 };

struct module {
    uintptr_t start;
    uintptr_t end;
    uintptr_t bias;             /* address minus bias is the address in the file's symbol table */
    uint8_t id[MODULE_ID_SIZE]; /* the build id, zeros after its end */
    uint8_t id_size;            /* 0: the file has none */
    char path[MODULE_PATH_SIZE];
};

/* Called once, by the constructor. */
void modules_init(void);

/*
 * Before a stack is unwound: learns the path of the program, as it is the first time, which is
 * before it may change its root. Any thread, any signal handler.
 */
void modules_meet(void);

/*
 * The .eh_frame_hdr of the module that pc is in. NULL when it has none, and when pc is in no module
 * that we can know of: code made at run time, or, where libc has no _dl_find_object (musl, glibc
 * before 2.35), a library that was loaded after the start. Any thread, any signal handler: no lock,
 * no system call.
 */
const uint8_t *modules_rules(uintptr_t pc);

/*
 * The number of the module that pc is in, from 1 on, remembered with its path and build id; 0 when
 * it is in none, or too many are known. Works in room. Any thread, any signal handler.
 */
unsigned modules_number(uintptr_t pc, struct module *room);

/* The module of a number that modules_number gave; NULL for 0. */
const struct module *modules_of(unsigned number);

#endif

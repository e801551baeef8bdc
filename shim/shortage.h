/*
 * The limit of open files (RLIMIT_NOFILE): what is held is told when the program meets it, and
 * with any action but log tombstones are given back, before that and then.
 */
#ifndef CLOSEWAIT_SHORTAGE_H
#define CLOSEWAIT_SHORTAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "caller.h"
#include "limited.h"
#include "options.h"

/* Called once, by the constructor; options stay valid. Until then nothing is done. */
void shortage_start(const struct options *options);

/*
 * For the hooks of socket, accept and accept4, after a call that failed. With EMFILE or ENFILE, and
 * any action but log, gives back tombstones until a tenth of the limit is free, or else the number
 * of one leaked socket that the judge lets go. Returns whether there is a number free by that: the
 * call is to be made once more then, and errno is before again. Otherwise errno is kept. Posts what
 * it found and did, when there is a leak or a tombstone and that is news: the first time, when they
 * have doubled, and after a minute. Any thread, any signal handler.
 */
bool shortage_relieve(enum limited call, int before, const struct caller *caller);

/*
 * About once in a second, while there are tombstones: gives back as many as are missing to a tenth
 * of the limit. due_ms says when to call it next, 0: not before there is a tombstone. The
 * watcher's.
 */
void shortage_watch(void);
uint32_t shortage_due_ms(void);

/* For a forked child that adopts. */
void shortage_adopt(void);

#endif

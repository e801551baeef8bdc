/*
 * Records to systemd's journal, in its own protocol: one datagram for each, to a socket that has a
 * path (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/). That takes no library, and no descriptor
 * between two of them. The journal itself adds who the sender is: _PID, _EXE, _SYSTEMD_UNIT.
 */
#ifndef CLOSEWAIT_JOURNAL_H
#define CLOSEWAIT_JOURNAL_H

#include "text.h"
#include "told.h"

/*
 * Sends message as the MESSAGE, and what told knows as fields (docs/logs.md); told NULL: only the
 * message. Waits for half a second at most for a journal that is behind, and then not again until
 * it takes one. 0, -EAGAIN for one that is behind, or another -errno when there is none. One thread
 * at a time.
 */
int journal_send(const struct told *told, const struct text *message);

#endif

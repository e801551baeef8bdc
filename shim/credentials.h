/*
 * Whose the watcher is, where libc is not called: nobody tells us of setuid there, and a thread of
 * ours must not keep what the program gave up.
 */
#ifndef CLOSEWAIT_CREDENTIALS_H
#define CLOSEWAIT_CREDENTIALS_H

/*
 * Makes the calling thread what the first thread of the process is: user, group and supplementary
 * groups. By /proc/self/status, which anybody may read; who owns the folder says nothing once the
 * program has changed its user (it is not dumpable then: proc(5)). The watcher's.
 */
void credentials_follow(void);

#endif

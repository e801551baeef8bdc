/*
 * CLOSEWAIT_OPTIONS="key=value,key=value", read once and strictly. The command reads its own
 * --action and --grace with the same words.
 */
#ifndef CLOSEWAIT_OPTIONS_H
#define CLOSEWAIT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum action { ACTION_LOG, ACTION_CLOSE_DEAD, ACTION_CLOSE };

enum scan { SCAN_AUTO, SCAN_ON, SCAN_OFF };

enum format { FORMAT_TEXT, FORMAT_JSON };

enum { OPTIONS_PATH_SIZE = 4096 };

struct options {
    enum action action;
    uint32_t grace_ms;
    enum format format;
    int stack;      /* frames kept, 0 to 64 */
    bool last;      /* also keep where a socket was last read or written */
    bool reuseaddr; /* lets TIME_WAIT keep no port from being bound again */
    enum scan scan;
    int signal;                     /* on which to report what is held; 0: none */
    bool journal;                   /* output is systemd's journal, and the path empty */
    char output[OPTIONS_PATH_SIZE]; /* an absolute path with its %p and %%, "" for standard error */
    char suppress[OPTIONS_PATH_SIZE]; /* an absolute path, or "" */
};

/*
 * Reads text (NULL or "" for the defaults) into *options. A relative path is taken from the working
 * directory. On a mistake returns false and says in
 * why what was wrong and what would be right, in one line without an end of line. The
 * constructor's and the command's; not for signal handlers.
 */
bool options_read(const char *text, struct options *options, char *why, size_t why_size);

/*
 * Where the output of process pid goes: %p becomes pid, and %% becomes %. False when that is longer
 * than OPTIONS_PATH_SIZE. Any thread, any signal handler.
 */
bool options_output(const struct options *options, int pid, char path[OPTIONS_PATH_SIZE]);

#endif

/*
 * The verbs of the command. Each takes its own argument vector, with the verb as argv[0], and
 * returns the command's exit status.
 */
#ifndef CLOSEWAIT_VERBS_H
#define CLOSEWAIT_VERBS_H

/* closewait's own failures; 2 is usage, 126 and 127 are those of the shell and of env(1). */
enum { EXIT_USAGE = 2, EXIT_TROUBLE = 125, EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 };

int verb_run(int argc, char **argv);
int verb_ps(int argc, char **argv);
int verb_reap(int argc, char **argv);
int verb_watch(int argc, char **argv);
int verb_report(int argc, char **argv);

#endif

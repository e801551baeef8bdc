/*
 * For variables that hooks look at: -fvisibility=hidden is of what is defined (gcc(1)), and what is
 * only declared would be reached by way of the global offset table, a load more each time.
 */
#ifndef CLOSEWAIT_HIDDEN_H
#define CLOSEWAIT_HIDDEN_H

#define HIDDEN __attribute__((visibility("hidden")))

#endif

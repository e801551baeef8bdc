/*
 * The calls that may meet the limit of open files. Apart from record.h, for hooks.c (retirement.h).
 */
#ifndef CLOSEWAIT_LIMITED_H
#define CLOSEWAIT_LIMITED_H

enum limited { LIMITED_NONE, LIMITED_SOCKET, LIMITED_ACCEPT, LIMITED_ACCEPT4 };

#endif

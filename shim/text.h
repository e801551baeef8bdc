/*
 * Text put together in a buffer of the caller's. snprintf is no choice here: reports are written
 * by a thread that libc does not know, without a locale and an errno of its own. Any thread, any
 * signal handler.
 */
#ifndef CLOSEWAIT_TEXT_H
#define CLOSEWAIT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "endpoint.h"

/* Always terminated; cut is set once something did not fit, and what is there stays. */
struct text {
    char *at;
    size_t len;
    size_t size;
    bool cut;
};

struct text text_in(char *buffer, size_t size);

void text_add(struct text *text, const char *string);
void text_add_bytes(struct text *text, const char *bytes, size_t len);
void text_add_uint(struct text *text, uint64_t number);
void text_add_hex(struct text *text, uint64_t number); /* without 0x, in lower case */

/* "0.4 s", "5.0 s", "59.9 s", "3m10s", "2h05m", "4d07h". */
void text_add_duration(struct text *text, uint64_t ms);

/* As the option grace reads it: "400ms", "90s", "4m", "2h". */
void text_add_grace(struct text *text, uint64_t ms);

/* "127.0.0.1:7070", "[::1]:7070", "[fe80::1%2]:7070" (RFC 5952); "?" for an unknown one. */
void text_add_endpoint(struct text *text, const struct endpoint *end);

/* A name is what somebody chose: it may not end the line or speak to the terminal. */
void text_add_name(struct text *text, const char *name);

/* "1 leak", "2 leaks": a number of one, or of many. */
void text_add_count(struct text *text, uint64_t number, const char *one, const char *many);

#endif

/*
 * The members of one JSON object, found in its text. Nothing is made of what nobody asks for, so
 * that a log is read many times faster than by making values of all that it has.
 */
#ifndef CLOSEWAIT_MEMBERS_H
#define CLOSEWAIT_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The text of a value, of a string what is between its quotes. */
struct member {
    const char *at; /* NULL: the object has no such member */
    size_t len;
};

/*
 * Finds those of the names in the object that text is, with white space around it. They are found
 * fastest in the order in which the object has them. False unless the text is an object as RFC 8259
 * wants it, in UTF-8, nested in at most 64 levels, with none of the names twice. What follows the
 * text has to be there, and ASCII: the NUL of a string will do.
 */
bool members_read(const char *text, size_t len, const char *const *names, size_t count,
                  struct member *members);

/* The kind of value by its first character: one of " { [ t f n, and 0 for a number. */
char member_kind(const struct member *member);

/*
 * The characters of a string into to, terminated. Returns how many bytes they have; -1 when they do
 * not fit, or one of them is a NUL or half of a pair.
 */
long member_text(const struct member *string, char *to, size_t size);

/* A number without fraction and exponent, from 0 to most. */
bool member_count(const struct member *number, uint64_t most, uint64_t *count);

/* Any number, as strtod(3) has it. False when it has hundreds of digits. */
bool member_real(const struct member *number, double *real);

#endif

/*
 * The notes of an ELF segment (PT_NOTE). Pure.
 */
#ifndef CLOSEWAIT_NOTES_H
#define CLOSEWAIT_NOTES_H

#include <stddef.h>
#include <stdint.h>

/*
 * The contents of the first note of that type and name, which has 3 characters ("GNU", "Go\0");
 * their size in *desc_size. NULL when there is none among these bytes. Any thread, any signal
 * handler.
 */
const uint8_t *notes_find(const uint8_t *at, size_t size, const char *name, uint32_t type,
                          size_t *desc_size);

#endif

/*
 * Texts, each kept once.
 */
#ifndef CLOSEWAIT_STRINGS_H
#define CLOSEWAIT_STRINGS_H

/* Empty when zeroed. */
struct strings {
    void *tree; /* as tsearch(3) makes it */
};

/* The one copy of text. NULL for NULL, and when there is no memory. */
const char *strings_keep(struct strings *strings, const char *text);

/* Ends every copy. */
void strings_free(struct strings *strings);

#endif

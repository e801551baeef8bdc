/*
 * Names for JSON. A process, or a file, may be called by any bytes.
 */
#ifndef CLOSEWAIT_AS_UTF8_H
#define CLOSEWAIT_AS_UTF8_H

#include "text.h"

/*
 * What is no UTF-8 is taken for Latin-1, byte by byte: nothing is left out, and a name is the same
 * as in the shim's JSON (json.h).
 */
void text_add_as_utf8(struct text *text, const char *bytes);

#endif

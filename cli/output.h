/*
 * Where the command writes its reports: standard error, a file or the journal, as the option output
 * says. The shim has its own way, without libc (shim/report.c).
 */
#ifndef CLOSEWAIT_OUTPUT_H
#define CLOSEWAIT_OUTPUT_H

#include <stdbool.h>

#include "options.h"
#include "text.h"
#include "told.h"

/*
 * Writes text, which is of the record told. A file is opened for it alone, and made if there is
 * none. Waits for a second at most for whoever reads. False when it is lost; the first time that
 * the output itself is why, verb says so on standard error. SIGPIPE must be ignored.
 */
bool output_write(const char *verb, const struct options *options, const struct told *told,
                  const struct text *text);

#endif

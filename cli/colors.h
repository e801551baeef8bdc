#ifndef CLOSEWAIT_COLORS_H
#define CLOSEWAIT_COLORS_H

#include <stdbool.h>

/* Whether standard output is a terminal that shall have colours: see no-color.org. */
bool colors_wanted(void);

#endif

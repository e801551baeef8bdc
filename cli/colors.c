#include "colors.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool colors_wanted(void)
{
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && !(no_color && no_color[0]) && term && strcmp(term, "dumb") != 0;
}

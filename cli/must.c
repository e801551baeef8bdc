#include "must.h"

#include <err.h>
#include <stdlib.h>

void *must(void *made)
{
    if (!made)
        errx(EXIT_FAILURE, "out of memory");
    return made;
}

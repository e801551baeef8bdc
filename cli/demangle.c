#include "demangle.h"

#include <libiberty/demangle.h>
#include <stdlib.h>
#include <string.h>

/*
 * Not cplus_demangle(), which tries the schemes of D, Ada and Java too, and whose object file does
 * not have the exception for linking that these two have in libiberty.
 */
char *demangle(const char *name)
{
    char *plain = strndup(name, strcspn(name, "@"));
    if (!plain)
        return NULL;
    /* First Rust: its older names are also valid ones of C++, and would keep their hash. */
    char *readable = rust_demangle(plain, DMGL_NO_OPTS);
    if (!readable)
        readable = cplus_demangle_v3(plain, DMGL_PARAMS | DMGL_ANSI);
    if (!readable)
        return plain;
    free(plain);
    return readable;
}

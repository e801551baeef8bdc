/*
 * find MODULE BUILD_ID OFFSET: what the module's symbols say, as addr2line -fi prints it. For what
 * needs a process of its own: elfutils looks at its environment when it is loaded.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../cli/symbol.h"

int main(int argc, char **argv)
{
    struct symbols *symbols = symbols_begin();
    if (argc != 4 || !symbols)
        return 2;
    struct symbol_frame frames[SYMBOL_FRAMES];
    const int count =
        symbol_find(symbols, argv[1], argv[2], strtoull(argv[3], NULL, 16), frames, SYMBOL_FRAMES);
    for (int i = 0; i < count; i++)
        printf("%s\n%s:%d\n", frames[i].function ? frames[i].function : "??",
               frames[i].file ? frames[i].file : "??", frames[i].line);
    symbols_end(symbols);
    return 0;
}

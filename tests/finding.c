#define _GNU_SOURCE
#include "finding.h"

#include <bsd/string.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct symbols *symbols;
char folder[64];
char answers[262144];

void finding_begin(void)
{
    unsetenv("DEBUGINFOD_URLS");
    symbols = symbols_begin();
    cr_assert_not_null(symbols);
    snprintf(folder, sizeof(folder), "/tmp/closewait-symbol.XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
}

void finding_end(void)
{
    symbols_end(symbols);
    must("rm -r %s 2>&1", folder);
}

const char *in_folder(const char *name)
{
    static char paths[16][256];
    static unsigned next;
    char *path = paths[next++ % 16];
    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

const char *build_id_of(const char *path)
{
    static char ids[8][64];
    static unsigned next;
    char *id = ids[next++ % 8];
    must("readelf -n %s | sed -n 's/.*Build ID: //p'", path);
    answers[strcspn(answers, "\n")] = '\0';
    cr_assert_eq(strlen(answers), 40, "%s: %s", path, answers);
    strlcpy(id, answers, sizeof(ids[0]));
    return id;
}

uint64_t place_in(const char *program, const char *function)
{
    must("%s | awk '$3 == \"%s\" { print $1 }'", program, function);
    cr_assert_neq(answers[0], '\0', "%s is never in %s", program, function);
    return strtoull(answers, NULL, 16);
}

const char *found(const char *path, const char *build_id, uint64_t offset)
{
    static char text[8192];
    struct symbol_frame frames[SYMBOL_FRAMES];
    const int count = symbol_find(symbols, path, build_id, offset, frames, SYMBOL_FRAMES);
    cr_assert(count >= 1 && count <= SYMBOL_FRAMES);
    size_t n = 0;
    for (int i = 0; i < count; i++) {
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s\n%s:%d\n",
                              frames[i].function ? frames[i].function : "??",
                              frames[i].file ? frames[i].file : "??", frames[i].line);
        cr_expect_eq(frames[i].inlined, i + 1 < count, "%s", text);
    }
    return text;
}

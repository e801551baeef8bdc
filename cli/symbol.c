#define _GNU_SOURCE
#include "symbol.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "image.h"
#include "lines.h"
#include "strings.h"

/* An open image holds up to three descriptors; what was found in it stays when it is closed. */
enum { OPEN_MODULES = 64 };

struct symbols {
    char *path;
    Dwfl_Callbacks callbacks;
    void *modules; /* a tree, as tsearch(3) makes it */
    struct strings strings;
    struct module *open[OPEN_MODULES];
    unsigned long turn;
};

struct module {
    const char *path;
    const char *build_id;
    bool useless; /* there is no file for it */
    struct image image;
    struct lines lines;
    unsigned long used; /* the turn when it was */
    void *answers;      /* a tree too */
};

struct answer {
    uint64_t offset;
    int count;
    struct symbol_frame frames[];
};

static int compare_modules(const void *a, const void *b)
{
    const struct module *left = a;
    const struct module *right = b;
    const int paths = strcmp(left->path, right->path);
    return paths ? paths : strcmp(left->build_id, right->build_id);
}

static int compare_answers(const void *a, const void *b)
{
    const struct answer *left = a;
    const struct answer *right = b;
    return (left->offset > right->offset) - (left->offset < right->offset);
}

static struct module *module_of(struct symbols *symbols, const char *path, const char *build_id)
{
    const struct module key = {.path = path, .build_id = build_id};
    const void *found = tfind(&key, &symbols->modules, compare_modules);
    if (found)
        return *(struct module *const *)found;
    struct module *module = calloc(1, sizeof(*module));
    if (!module)
        return NULL;
    module->path = strings_keep(&symbols->strings, path);
    module->build_id = strings_keep(&symbols->strings, build_id);
    if (module->path && module->build_id && tsearch(module, &symbols->modules, compare_modules))
        return module;
    free(module);
    return NULL;
}

static void close_module(struct module *module)
{
    lines_end(&module->lines);
    image_close(&module->image);
}

static void free_module(void *node)
{
    struct module *module = node;
    tdestroy(module->answers, free);
    close_module(module);
    free(module);
}

/* A place among the open ones: a free one, or that of the one which was not used for longest. */
static struct module **make_room(struct symbols *symbols)
{
    struct module **oldest = &symbols->open[0];
    for (int i = 0; i < OPEN_MODULES && *oldest; i++) {
        if (!symbols->open[i] || symbols->open[i]->used < (*oldest)->used)
            oldest = &symbols->open[i];
    }
    if (*oldest)
        close_module(*oldest);
    *oldest = NULL;
    return oldest;
}

static bool open_module(struct symbols *symbols, struct module *module)
{
    module->used = ++symbols->turn;
    if (module->useless || module->image.module)
        return !module->useless;
    struct module **room = make_room(symbols);
    module->useless =
        !image_open(&module->image, &symbols->callbacks, module->path, module->build_id);
    if (module->useless)
        return false;
    *room = module;
    lines_begin(&module->lines, &module->image, &symbols->strings);
    return true;
}

/* NULL when nothing can be known of the module. */
static const struct answer *answer_for(struct symbols *symbols, struct module *module,
                                       uint64_t offset)
{
    const struct answer key = {.offset = offset};
    const void *found = tfind(&key, &module->answers, compare_answers);
    if (found)
        return *(const struct answer *const *)found;
    if (!open_module(symbols, module))
        return NULL;
    struct symbol_frame frames[SYMBOL_FRAMES];
    const int count = lines_find(&module->lines, offset, frames, SYMBOL_FRAMES);
    const size_t size = (size_t)count * sizeof(frames[0]);
    struct answer *answer = malloc(sizeof(*answer) + size);
    if (!answer)
        return NULL;
    answer->offset = offset;
    answer->count = count;
    memcpy(answer->frames, frames, size);
    if (tsearch(answer, &module->answers, compare_answers))
        return answer;
    free(answer);
    return NULL;
}

struct symbols *symbols_begin(void)
{
    struct symbols *symbols = calloc(1, sizeof(*symbols));
    if (!symbols)
        return NULL;
    symbols->callbacks = image_callbacks(&symbols->path);
    /* elfutils' default but for the +: check the sum of what .gnu_debuglink names. */
    if (symbols_search(symbols, "+:.debug:/usr/lib/debug"))
        return symbols;
    free(symbols);
    return NULL;
}

void symbols_end(struct symbols *symbols)
{
    if (!symbols)
        return;
    tdestroy(symbols->modules, free_module);
    strings_free(&symbols->strings);
    free(symbols->path);
    free(symbols);
}

bool symbols_search(struct symbols *symbols, const char *path)
{
    char *copy = strdup(path);
    if (!copy)
        return false;
    free(symbols->path);
    symbols->path = copy;
    return true;
}

int symbol_find(struct symbols *symbols, const char *module, const char *build_id, uint64_t offset,
                struct symbol_frame *frames, int size)
{
    struct module *from = module_of(symbols, module, build_id);
    const struct answer *answer = from ? answer_for(symbols, from, offset) : NULL;
    if (!answer) {
        frames[0] = (struct symbol_frame){0};
        return 1;
    }
    const int count = answer->count < size ? answer->count : size;
    memcpy(frames, answer->frames, (size_t)count * sizeof(*frames));
    return count;
}

#define _GNU_SOURCE
#include "threads.h"

#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frames.h"
#include "moment.h"
#include "must.h"
#include "symbol.h"

enum { STACKS = 32, FRAMES = 64, BUILD_ID_SIZE = 64 };

/* A distinct stack, as addresses in memory: of the call, or where the thread was. */
struct way {
    uint64_t at[FRAMES];
    size_t count;
    json_t *tids;
};

struct ways {
    const struct moment *moment;
    const struct standing *standing; /* the thread that is unwound */
    Dwfl *dwfl;
    struct symbols *symbols;
    pid_t pid;
    char program[PATH_MAX]; /* as /proc/PID/maps names its file */
    struct way at[STACKS + 1];
    size_t count;
    json_t *lost; /* tids whose stack is not known, or is one too many */
};

/*
 * The file of a module as the process has it: its own program also after that was replaced, and
 * the others where its root is, which in a container is not ours.
 */
static void file_of(const struct ways *ways, const char *module, char path[PATH_MAX])
{
    if (strcmp(module, ways->program) == 0)
        snprintf(path, PATH_MAX, "/proc/%d/exe", (int)ways->pid);
    else
        snprintf(path, PATH_MAX, "/proc/%d/root%s", (int)ways->pid, module);
}

static int find_elf(Dwfl_Module *module, void **ways, const char *name, Dwarf_Addr base,
                    char **file_name, Elf **elf)
{
    char path[PATH_MAX];
    if (name[0] != '/')
        return dwfl_linux_proc_find_elf(module, ways, name, base, file_name, elf);
    file_of(*ways, name, path);
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    *file_name = fd >= 0 ? strdup(path) : NULL;
    return fd;
}

static int introduce(Dwfl_Module *module, void **userdata, const char *name, Dwarf_Addr start,
                     void *ways)
{
    (void)module;
    (void)name;
    (void)start;
    *userdata = ways;
    return DWARF_CB_OK;
}

static pid_t next_thread(Dwfl *dwfl, void *argument, void **thread)
{
    (void)dwfl;
    const struct ways *ways = argument;
    const struct standing *last = *thread;
    const struct standing *next = last ? last + 1 : ways->moment->at;
    if (next == ways->moment->at + ways->moment->count)
        return 0;
    *thread = (void *)next;
    return next->tid;
}

static bool set_registers(Dwfl_Thread *thread, void *argument)
{
    const struct standing *standing = argument;
    uint64_t dwarf[REGISTERS_OF_DWARF];
    if (!standing->seen)
        return false;
    const int count = registers_to_dwarf(&standing->registers, dwarf);
    if (!dwfl_thread_state_registers(thread, 0, (unsigned)count, dwarf))
        return false;
    dwfl_thread_state_register_pc(thread, registers_pc(&standing->registers));
    return true;
}

/* Of the copy alone: what else the process has may be another thing by now. */
static bool read_copy(Dwfl *dwfl, Dwarf_Addr address, Dwarf_Word *word, void *argument)
{
    (void)dwfl;
    const struct standing *standing = ((const struct ways *)argument)->standing;
    const uint64_t offset = address - standing->from;
    if (address < standing->from || standing->size < sizeof(*word) ||
        offset > standing->size - sizeof(*word))
        return false;
    memcpy(word, standing->copy + offset, sizeof(*word));
    return true;
}

/* A return address can be the next function's. */
static int add_frame(Dwfl_Frame *frame, void *argument)
{
    struct way *way = argument;
    Dwarf_Addr pc = 0;
    bool exact = false;
    if (way->count == FRAMES || !dwfl_frame_pc(frame, &pc, &exact))
        return DWARF_CB_ABORT;
    way->at[way->count++] = exact ? pc : pc - 1;
    return DWARF_CB_OK;
}

static struct way *same_way(struct ways *ways, const struct way *way)
{
    for (size_t i = 0; i < ways->count; i++)
        if (ways->at[i].count == way->count &&
            memcmp(ways->at[i].at, way->at, way->count * sizeof(way->at[0])) == 0)
            return &ways->at[i];
    return NULL;
}

static int add_thread(Dwfl_Thread *thread, void *argument)
{
    struct ways *ways = argument;
    const pid_t tid = dwfl_thread_tid(thread);
    struct way *way = &ways->at[ways->count];
    *way = (struct way){0};
    ways->standing = ways->moment->at;
    while (ways->standing->tid != tid)
        ways->standing++;
    dwfl_thread_getframes(thread, add_frame, way);
    struct way *known = same_way(ways, way);
    if (!known && way->count > 0 && ways->count < STACKS) {
        way->tids = must(json_array());
        known = way;
        ways->count++;
    }
    json_array_append_new(known ? known->tids : ways->lost, must(json_integer(tid)));
    return DWARF_CB_OK;
}

static void build_id_of(Dwfl_Module *module, char hex[2 * BUILD_ID_SIZE + 1])
{
    const unsigned char *bits = NULL;
    GElf_Addr at = 0;
    const int size = dwfl_module_build_id(module, &bits, &at);
    hex[0] = '\0';
    for (int i = 0; i < size && size <= BUILD_ID_SIZE; i++)
        snprintf(hex + 2 * (size_t)i, 3, "%02x", bits[i]);
}

static void add_place(json_t *stack, struct ways *ways, uint64_t at)
{
    struct symbol_frame frames[SYMBOL_FRAMES] = {{0}};
    char path[PATH_MAX];
    char build_id[2 * BUILD_ID_SIZE + 1] = "";
    Dwarf_Addr bias = 0;
    int count = 1;
    Dwfl_Module *module = dwfl_addrmodule(ways->dwfl, at);
    const char *name =
        module ? dwfl_module_info(module, NULL, NULL, NULL, NULL, NULL, NULL, NULL) : "";
    if (module && dwfl_module_getelf(module, &bias))
        build_id_of(module, build_id);
    if (name[0] == '/') {
        file_of(ways, name, path);
        count = symbol_find(ways->symbols, path, build_id, at - bias, frames, SYMBOL_FRAMES);
    }
    for (int i = 0; i < count; i++) {
        const char *function = frames[i].function ? frames[i].function : "";
        json_t *frame = must(json_pack("{s:s, s:s, s:I, s:s}", "module", name, "build_id", build_id,
                                       "offset", (json_int_t)(at - bias), "symbol", function));
        if (function[0] && frames[i].file) {
            json_object_set_new(frame, "file", must(json_string(frames[i].file)));
            json_object_set_new(frame, "line", must(json_integer(frames[i].line)));
        }
        if (frames[i].inlined)
            json_object_set_new(frame, "inlined", json_true());
        json_array_append_new(stack, frame);
    }
}

static int by_threads(const void *a, const void *b)
{
    const size_t left = json_array_size(((const struct way *)a)->tids);
    const size_t right = json_array_size(((const struct way *)b)->tids);
    return (left < right) - (left > right);
}

static json_t *describe(struct ways *ways)
{
    json_t *threads = must(json_array());
    qsort(ways->at, ways->count, sizeof(ways->at[0]), by_threads);
    for (size_t i = 0; i < ways->count; i++) {
        json_t *stack = must(json_array());
        for (size_t j = 0; j < ways->at[i].count; j++)
            add_place(stack, ways, ways->at[i].at[j]);
        json_array_append_new(
            threads, must(json_pack("{s:o, s:o}", "tids", ways->at[i].tids, "stack", stack)));
    }
    if (json_array_size(ways->lost) > 0)
        json_array_append_new(threads, must(json_pack("{s:O}", "tids", ways->lost)));
    return threads;
}

static void unwind(struct ways *ways)
{
    static const Dwfl_Thread_Callbacks callbacks = {.next_thread = next_thread,
                                                    .memory_read = read_copy,
                                                    .set_initial_registers = set_registers};
    if (dwfl_attach_state(ways->dwfl, NULL, ways->pid, &callbacks, ways))
        dwfl_getthreads(ways->dwfl, add_thread, ways);
}

/* What the process has in its memory, as elfutils wants to know it. */
static Dwfl *modules_of(struct ways *ways)
{
    static const Dwfl_Callbacks callbacks = {.find_elf = find_elf,
                                             .find_debuginfo = dwfl_standard_find_debuginfo};
    char link[64];
    snprintf(link, sizeof(link), "/proc/%d/exe", (int)ways->pid);
    const ssize_t len = readlink(link, ways->program, sizeof(ways->program) - 1);
    ways->program[len > 0 ? len : 0] = '\0';
    Dwfl *dwfl = must(dwfl_begin(&callbacks));
    dwfl_linux_proc_report(dwfl, ways->pid);
    dwfl_report_end(dwfl, NULL, NULL);
    dwfl_getmodules(dwfl, introduce, ways, 0);
    return dwfl;
}

json_t *threads_take(const struct target *target, const char *debuginfo_path, char *why,
                     size_t why_size)
{
    struct moment moment;
    json_t *threads = NULL;
    if (moment_take(&moment, target, why, why_size)) {
        struct ways *ways = must(calloc(1, sizeof(*ways)));
        ways->moment = &moment;
        ways->pid = target->pid;
        ways->symbols = must(symbols_begin());
        ways->lost = must(json_array());
        if (debuginfo_path)
            symbols_search(ways->symbols, debuginfo_path);
        ways->dwfl = modules_of(ways);
        unwind(ways);
        threads = describe(ways);
        dwfl_end(ways->dwfl);
        symbols_end(ways->symbols);
        json_decref(ways->lost);
        free(ways);
    }
    moment_free(&moment);
    return threads;
}

static void print_tids(FILE *to, const json_t *tids)
{
    enum { SHOWN = 8 };
    const size_t count = json_array_size(tids);
    fprintf(to, "      %zu thread%s: ", count, count == 1 ? "" : "s");
    for (size_t i = 0; i < count && i < SHOWN; i++)
        fprintf(to, "%s%d", i > 0 ? ", " : "", (int)json_integer_value(json_array_get(tids, i)));
    if (count > SHOWN)
        fprintf(to, " and %zu more", count - SHOWN);
}

/* Down to main, as everywhere. */
static void print_stack(FILE *to, const json_t *stack)
{
    for (size_t i = 0; i < json_array_size(stack); i++) {
        const json_t *frame = json_array_get(stack, i);
        fprintf(to, "        #%zu ", i);
        frames_print(to, frame);
        putc('\n', to);
        if (frames_is_main(frame))
            return;
    }
}

void threads_print(FILE *to, const json_t *threads)
{
    fputs("    what its threads did at that moment:\n", to);
    for (size_t i = 0; i < json_array_size(threads); i++) {
        const json_t *entry = json_array_get(threads, i);
        const json_t *stack = json_object_get(entry, "stack");
        print_tids(to, json_object_get(entry, "tids"));
        fputs(stack ? "\n" : ", in stacks that are not shown\n", to);
        print_stack(to, stack);
    }
}

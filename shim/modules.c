#define _GNU_SOURCE
#include "modules.h"

#include <bsd/string.h>
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "notes.h"
#include "raw.h"
#include "real.h"

/*
 * glibc's table of loaded objects can be read without its lock (_dl_find_object, glibc 2.35). Where
 * there is none, what is loaded at the start is all that is known: dl_iterate_phdr waits for a lock
 * that the thread which a signal handler interrupted may hold.
 */
#ifdef DLFO_STRUCT_HAS_EH_DBASE
static int (*find_object)(void *, struct dl_find_object *);
#endif
#pragma weak dl_iterate_phdr

/* An object in memory, by whichever way it was found. */
struct object {
    uintptr_t start;
    uintptr_t end;
    uintptr_t bias;
    const uint8_t *header;
    const char *path;
};

enum { AT_START = 128, KNOWN = 256 };

static struct object at_start[AT_START];
static int at_start_count;
static char program[MODULE_PATH_SIZE];

static struct {
    _Atomic bool ready;
    struct module module;
} known[KNOWN];
static _Atomic unsigned known_count;

static int note_object(struct dl_phdr_info *info, size_t size, void *unused)
{
    struct object object = {.bias = info->dlpi_addr, .path = info->dlpi_name};
    (void)size;
    (void)unused;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        const uintptr_t at = info->dlpi_addr + header->p_vaddr;
        if (header->p_type == PT_GNU_EH_FRAME)
            object.header = (const uint8_t *)at;
        if (header->p_type != PT_LOAD)
            continue;
        if (object.end == 0)
            object.start = at & ~(uintptr_t)4095;
        object.end = at + header->p_memsz;
    }
    if (at_start_count < AT_START)
        at_start[at_start_count++] = object;
    return 0;
}

void modules_meet(void)
{
    if (program[0])
        return;
    const long len =
        raw4(SYS_readlinkat, AT_FDCWD, (long)"/proc/self/exe", (long)program, sizeof(program) - 1);
    program[len > 0 ? len : 0] = '\0';
}

void modules_init(void)
{
#ifdef DLFO_STRUCT_HAS_EH_DBASE
    find_object = (int (*)(void *, struct dl_find_object *))real_find("_dl_find_object");
    if (find_object)
        return;
#endif
    if (dl_iterate_phdr)
        dl_iterate_phdr(note_object, NULL);
}

static bool find_at_start(uintptr_t pc, struct object *object)
{
    for (int i = 0; i < at_start_count; i++) {
        *object = at_start[i];
        if (pc >= object->start && pc < object->end)
            return true;
    }
    return false;
}

static bool find(uintptr_t pc, struct object *object)
{
#ifdef DLFO_STRUCT_HAS_EH_DBASE
    struct dl_find_object found;
    if (find_object) {
        if (find_object((void *)pc, &found) != 0)
            return false;
        *object = (struct object){
            .start = (uintptr_t)found.dlfo_map_start,
            .end = (uintptr_t)found.dlfo_map_end,
            .bias = found.dlfo_link_map ? found.dlfo_link_map->l_addr : 0,
            .header = found.dlfo_eh_frame,
            .path = found.dlfo_link_map ? found.dlfo_link_map->l_name : "",
        };
        return true;
    }
#endif
    return find_at_start(pc, object);
}

const uint8_t *modules_rules(uintptr_t pc)
{
    struct object object;
    return find(pc, &object) ? object.header : NULL;
}

/* The build id (ld --build-id). */
static void read_id(const uint8_t *at, size_t size, struct module *module)
{
    size_t id_size = 0;
    const uint8_t *id = notes_find(at, size, "GNU", NT_GNU_BUILD_ID, &id_size);
    if (!id || id_size > sizeof(module->id))
        return;
    memcpy(module->id, id, id_size);
    module->id_size = (uint8_t)id_size;
}

/* A segment that is in the file and not in memory may have any address. */
static bool is_loaded(const ElfW(Phdr) * headers, int count, const ElfW(Phdr) * segment)
{
    for (int i = 0; i < count; i++)
        if (headers[i].p_type == PT_LOAD && segment->p_vaddr >= headers[i].p_vaddr &&
            segment->p_filesz <= headers[i].p_filesz &&
            segment->p_vaddr - headers[i].p_vaddr <= headers[i].p_filesz - segment->p_filesz)
            return true;
    return false;
}

/* By the file's own headers, which the linker puts into its first page. */
static void read_notes(struct module *module)
{
    const ElfW(Ehdr) *file = (const ElfW(Ehdr) *)module->start;
    enum { PAGE = 4096 };
    if (memcmp(file->e_ident, ELFMAG, SELFMAG) != 0 ||
        file->e_phoff + (size_t)file->e_phnum * sizeof(ElfW(Phdr)) > PAGE)
        return;
    const ElfW(Phdr) *headers = (const ElfW(Phdr) *)(module->start + file->e_phoff);
    for (int i = 0; i < file->e_phnum; i++) {
        const uintptr_t at = module->bias + headers[i].p_vaddr;
        if (headers[i].p_type == PT_NOTE && is_loaded(headers, file->e_phnum, &headers[i]) &&
            at >= module->start && at < module->end && headers[i].p_filesz <= module->end - at)
            read_id((const uint8_t *)at, headers[i].p_filesz, module);
    }
}

/* The program has no name there; a relative one is from a folder that may change. */
static void write_path(char *path, const char *name)
{
    path[0] = '\0';
    if (name[0] && name[0] != '/' && strchr(name, '/') &&
        !raw_failed(raw2(SYS_getcwd, (long)path, MODULE_PATH_SIZE - 1)))
        strlcat(path, "/", MODULE_PATH_SIZE);
    strlcat(path, name[0] ? name : program, MODULE_PATH_SIZE);
}

static bool is_same(const struct module *a, const struct module *b)
{
    return a->start == b->start && a->end == b->end && a->id_size == b->id_size &&
           memcmp(a->id, b->id, sizeof(a->id)) == 0 && strcmp(a->path, b->path) == 0;
}

/* The first place that holds it, below end; end when none does. */
static unsigned find_known(const struct module *module, unsigned end)
{
    unsigned i = 0;
    while (i < end && !(atomic_load_explicit(&known[i].ready, memory_order_acquire) &&
                        is_same(&known[i].module, module)))
        i++;
    return i;
}

/* Two threads may remember the same one at once: both use the first. */
unsigned modules_number(uintptr_t pc, struct module *room)
{
    struct object object;
    if (!find(pc, &object))
        return 0;
    memset(room, 0, sizeof(*room));
    room->start = object.start;
    room->end = object.end;
    room->bias = object.bias;
    write_path(room->path, object.path);
    read_notes(room);
    const unsigned count = atomic_load(&known_count);
    const unsigned end = count < KNOWN ? count : KNOWN;
    const unsigned found = find_known(room, end);
    if (found < end)
        return found + 1;
    const unsigned place = atomic_fetch_add(&known_count, 1);
    if (place >= KNOWN)
        return 0;
    known[place].module = *room;
    atomic_store(&known[place].ready, true);
    return find_known(room, place) + 1;
}

const struct module *modules_of(unsigned number)
{
    if (number == 0 || number > KNOWN ||
        !atomic_load_explicit(&known[number - 1].ready, memory_order_acquire))
        return NULL;
    return &known[number - 1].module;
}

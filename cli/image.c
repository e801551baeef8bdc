#define _GNU_SOURCE
#include "image.h"

#include <elfutils/libdwelf.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct build_id {
    unsigned char bits[64];
    size_t size;
};

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 'a' ^ 'A';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_build_id(struct build_id *id, const char *hex)
{
    for (id->size = 0; *hex; hex += 2) {
        if (id->size == sizeof(id->bits) || digit(hex[0]) < 0 || digit(hex[1]) < 0)
            return false;
        id->bits[id->size++] = (unsigned char)(digit(hex[0]) * 16 + digit(hex[1]));
    }
    return true;
}

/* To open a FIFO or a device can block, or do something. */
static int open_regular(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return -1;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        return fd;
    close(fd);
    return -1;
}

static bool is_the_module(Elf *elf, const struct build_id *id)
{
    GElf_Ehdr header;
    if (elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &header) ||
        (header.e_type != ET_EXEC && header.e_type != ET_DYN))
        return false;
    if (id->size == 0)
        return true;
    const void *bits = NULL;
    const ssize_t size = dwelf_elf_gnu_build_id(elf, &bits);
    return size > 0 && (size_t)size == id->size && memcmp(bits, id->bits, id->size) == 0;
}

/* Takes over fd, -1 included. */
static bool image_take(struct image *image, const char *name, int fd, const struct build_id *id)
{
    if (fd < 0)
        return false;
    Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
    const bool right = elf && is_the_module(elf, id);
    elf_end(elf);
    if (right)
        image->module = dwfl_report_elf(image->dwfl, name, name, fd, 0, true);
    if (!image->module)
        close(fd);
    return image->module != NULL;
}

/*
 * elfutils searches by the build id of a module that it knows: one without a file, in a Dwfl that
 * is there for the search alone. It must not get the path, for it would open what is there. A debug
 * file comes first, as it has all that is needed.
 */
static bool take_by_build_id(struct image *image, const Dwfl_Callbacks *callbacks, const char *path,
                             const struct build_id *id)
{
    Dwfl *dwfl = dwfl_begin(callbacks);
    Dwfl_Module *module = dwfl ? dwfl_report_module(dwfl, path, 0, 1) : NULL;
    bool taken = false;
    if (module && dwfl_module_report_build_id(module, id->bits, id->size, 0) == 0) {
        char *name = NULL;
        const int fd = dwfl_standard_find_debuginfo(module, NULL, path, 0, NULL, NULL, 0, &name);
        taken = image_take(image, name ? name : path, fd, id);
        free(name);
    }
    if (module && !taken) {
        char *name = NULL;
        Elf *elf = NULL;
        const int fd = dwfl_build_id_find_elf(module, NULL, path, 0, &name, &elf);
        elf_end(elf);
        taken = image_take(image, name ? name : path, fd, id);
        free(name);
    }
    dwfl_end(dwfl);
    return taken;
}

Dwfl_Callbacks image_callbacks(char **path)
{
    return (Dwfl_Callbacks){.find_elf = dwfl_build_id_find_elf,
                            .find_debuginfo = dwfl_standard_find_debuginfo,
                            .section_address = dwfl_offline_section_address,
                            .debuginfo_path = path};
}

bool image_open(struct image *image, const Dwfl_Callbacks *callbacks, const char *path,
                const char *build_id)
{
    struct build_id id;
    *image = (struct image){0};
    if (!parse_build_id(&id, build_id))
        return false;
    elf_version(EV_CURRENT);
    image->dwfl = dwfl_begin(callbacks);
    if (image->dwfl && (image_take(image, path, open_regular(path), &id) ||
                        (id.size && take_by_build_id(image, callbacks, path, &id))))
        dwfl_report_end(image->dwfl, NULL, NULL);
    else
        image_close(image);
    return image->module != NULL;
}

void image_close(struct image *image)
{
    dwfl_end(image->dwfl);
    *image = (struct image){0};
}

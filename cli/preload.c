#define _GNU_SOURCE
#include "preload.h"

#include <bsd/string.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SHIM_NAME "libclosewait.so"

#ifndef LIBDIR
#define LIBDIR "/usr/local/lib"
#endif

static bool own_folder(char *folder, size_t size)
{
    const ssize_t len = readlink("/proc/self/exe", folder, size - 1);
    if (len <= 0)
        return false;
    folder[len] = '\0';
    char *slash = strrchr(folder, '/');
    if (!slash)
        return false;
    *slash = '\0';
    return true;
}

bool preload_find(char *path, size_t path_size, char *why, size_t why_size)
{
    static const struct {
        bool beside; /* the command's own folder, or else from the root */
        const char *name;
    } places[] = {
        {true, "/" SHIM_NAME}, {true, "/../lib/" SHIM_NAME}, {false, LIBDIR "/" SHIM_NAME}};
    char folder[PATH_MAX];
    if (!own_folder(folder, sizeof(folder))) {
        snprintf(why, why_size, "cannot tell where this command is: /proc/self/exe: %s",
                 strerror(errno));
        return false;
    }
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        char candidate[PATH_MAX];
        char real[PATH_MAX];
        if (snprintf(candidate, sizeof(candidate), "%s%s", places[i].beside ? folder : "",
                     places[i].name) >= (int)sizeof(candidate) ||
            !realpath(candidate, real))
            continue;
        if (strpbrk(real, " :\t")) {
            snprintf(why, why_size,
                     "the shim's path '%s' has a space or a colon, which LD_PRELOAD cannot hold: "
                     "install it elsewhere",
                     real);
            return false;
        }
        return strlcpy(path, real, path_size) < path_size;
    }
    snprintf(why, why_size, "no %s in '%s', in '%s/../lib' nor in '%s': build or install it",
             SHIM_NAME, folder, folder, LIBDIR);
    return false;
}

void preload_dress(const struct preload *preload)
{
    char *value = NULL;
    const char *others = getenv("LD_PRELOAD");
    if (asprintf(&value, "%s%s%s", preload->shim, others ? ":" : "", others ? others : "") < 0)
        return;
    setenv("LD_PRELOAD", value, 1);
    free(value);
    struct stat pipe = {0};
    fstat(preload->hello, &pipe);
    char hello[96];
    snprintf(hello, sizeof(hello), "/proc/%d/fd/%d %lu", (int)getppid(), preload->hello,
             (unsigned long)pipe.st_ino);
    setenv("CLOSEWAIT_HELLO", hello, 1);
    if (asprintf(&value, "%s%sformat=json,output=%s", preload->options,
                 preload->options[0] ? "," : "", preload->output) < 0)
        return;
    setenv("CLOSEWAIT_OPTIONS", value, 1);
    free(value);
}

static bool executable(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return false;
    if (S_ISDIR(st.st_mode)) {
        errno = EACCES;
        return false;
    }
    return access(path, X_OK) == 0;
}

bool preload_which(const char *name, char *path, size_t path_size)
{
    if (strchr(name, '/'))
        return strlcpy(path, name, path_size) < path_size && executable(name);
    const char *folders = getenv("PATH");
    int why = ENOENT;
    for (const char *at = folders ? folders : "/bin:/usr/bin"; *at;) {
        const int len = (int)strcspn(at, ":");
        if (snprintf(path, path_size, "%.*s/%s", len ? len : 1, len ? at : ".", name) <
            (int)path_size) {
            if (executable(path))
                return true;
            why = errno == EACCES ? EACCES : why;
        }
        at += len + (at[len] == ':');
    }
    errno = why;
    return false;
}

/* The program that the kernel runs for a script, from its first line (execve(2)). */
static bool interpreter_of(const char *script, char *path, size_t size)
{
    char line[256] = "";
    FILE *file = fopen(script, "re");
    if (!file)
        return false;
    const bool read = fgets(line, sizeof(line), file) != NULL;
    fclose(file);
    if (!read || strncmp(line, "#!", 2) != 0)
        return false;
    char *at = line + 2 + strspn(line + 2, " \t");
    at[strcspn(at, " \t\n")] = '\0';
    return *at && strlcpy(path, at, size) < size;
}

static bool gains_privileges(const char *path)
{
    struct stat st;
    const bool set_id =
        stat(path, &st) == 0 && (((st.st_mode & S_ISUID) && st.st_uid != geteuid()) ||
                                 ((st.st_mode & S_ISGID) && st.st_gid != getegid()));
    return set_id || (geteuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0);
}

static bool has_interpreter(Elf *elf)
{
    size_t count = 0;
    if (elf_getphdrnum(elf, &count) != 0)
        return true;
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr header;
        if (gelf_getphdr(elf, (int)i, &header) && header.p_type == PT_INTERP)
            return true;
    }
    return false;
}

static const char *elf_refusal(Elf *elf)
{
    GElf_Ehdr header;
    if (!gelf_getehdr(elf, &header))
        return "it is a damaged ELF file";
    if (header.e_ident[EI_CLASS] != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32))
        return sizeof(void *) == 8 ? "it is a 32-bit program and the shim is 64-bit"
                                   : "it is a 64-bit program and the shim is 32-bit";
    if (!has_interpreter(elf))
        return "it is statically linked";
    return NULL;
}

static bool has_section(Elf *elf, const char *name)
{
    size_t names = 0;
    if (elf_getshdrstrndx(elf, &names) != 0)
        return false;
    for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section));) {
        GElf_Shdr header;
        const char *own =
            gelf_getshdr(section, &header) ? elf_strptr(elf, names, header.sh_name) : NULL;
        if (own && strcmp(own, name) == 0)
            return true;
    }
    return false;
}

static const char *elf_go_note(Elf *elf)
{
    static const char name[] = ".note.go.buildid";
    return has_section(elf, name) ? name : NULL;
}

static const char *ask_file(const char *path, const char *(*ask)(Elf *elf))
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    elf_version(EV_CURRENT);
    Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
    const char *answer = elf && elf_kind(elf) == ELF_K_ELF ? ask(elf) : NULL;
    elf_end(elf);
    close(fd);
    return answer;
}

/* What runs when path is executed: the interpreter of a script. */
static void find_program(const char *path, char program[PATH_MAX])
{
    char interpreter[PATH_MAX];
    enum { NESTING = 4 }; /* BINPRM_MAX_RECURSION, fs/exec.c */
    strlcpy(program, path, PATH_MAX);
    for (int i = 0; i < NESTING && interpreter_of(program, interpreter, sizeof(interpreter)); i++)
        strlcpy(program, interpreter, PATH_MAX);
}

const char *preload_refusal(const char *path)
{
    char program[PATH_MAX];
    find_program(path, program);
    if (gains_privileges(program))
        return "it is set-user-ID, set-group-ID or has file capabilities, and the dynamic linker "
               "ignores LD_PRELOAD for it";
    return ask_file(program, elf_refusal);
}

bool preload_is_go(const char *path)
{
    return ask_file(path, elf_go_note) != NULL;
}

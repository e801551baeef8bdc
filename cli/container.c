#define _GNU_SOURCE
#include "container.h"

#include <bsd/string.h>
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ID_DIGITS = 64, SHORT_DIGITS = 12 };

/* A component of a path: not terminated. */
struct word {
    const char *at;
    size_t len;
};

/* What comes before the id: a runtime's mark, and how it is called here. */
static const struct {
    const char *mark;
    const char *kind;
} runtimes[] = {
    {"docker-", "docker"},
    {"libpod-", "podman"},
    {"cri-containerd-", "containerd"},
    {":cri-containerd:", "containerd"}, /* after the slice, in a cgroup of version 1 */
    {"crio-", "cri-o"},
};

/* And what comes before a name. */
static const struct {
    const char *mark;
    const char *end;
    const char *kind;
} machines[] = {
    {"machine-", ".scope", "machine"},
    {"systemd-nspawn@", ".service", "machine"},
    {"lxc.payload.", "", "lxc"},
};

static bool begins(struct word word, const char *mark)
{
    return word.len >= strlen(mark) && memcmp(word.at, mark, strlen(mark)) == 0;
}

static bool ends(struct word word, const char *mark)
{
    const size_t len = strlen(mark);
    return word.len >= len && memcmp(word.at + word.len - len, mark, len) == 0;
}

static bool is(struct word word, const char *text)
{
    return word.len == strlen(text) && begins(word, text);
}

static struct word without_end(struct word word, const char *mark)
{
    return ends(word, mark) ? (struct word){word.at, word.len - strlen(mark)} : word;
}

static bool is_id(struct word word)
{
    for (size_t i = 0; i < word.len; i++)
        if (!isxdigit((unsigned char)word.at[i]))
            return false;
    return word.len == ID_DIGITS;
}

static bool name_by_id(const char *kind, const char *id, char name[CONTAINER_SIZE])
{
    snprintf(name, CONTAINER_SIZE, "%s:%.*s", kind, SHORT_DIGITS, id);
    return true;
}

/* systemd writes what a unit's name may not hold as \x2d (systemd.unit(5)). */
static void unescape(char *text)
{
    char *to = text;
    while (*text) {
        char digits[3] = "";
        if (text[0] == '\\' && text[1] == 'x')
            strlcpy(digits, text + 2, sizeof(digits));
        if (isxdigit((unsigned char)digits[0]) && isxdigit((unsigned char)digits[1])) {
            *to++ = (char)strtol(digits, NULL, 16);
            text += 4;
        } else {
            *to++ = *text++;
        }
    }
    *to = '\0';
}

static bool name_by_name(const char *kind, struct word word, char name[CONTAINER_SIZE])
{
    if (word.len == 0)
        return false;
    snprintf(name, CONTAINER_SIZE, "%s:%.*s", kind, (int)word.len, word.at);
    unescape(name);
    return true;
}

static bool has_runtime(struct word component, char name[CONTAINER_SIZE])
{
    const struct word word = without_end(component, ".scope");
    if (word.len < ID_DIGITS)
        return false;
    const struct word id = {word.at + word.len - ID_DIGITS, ID_DIGITS};
    const struct word before = {word.at, word.len - ID_DIGITS};
    for (size_t i = 0; i < sizeof(runtimes) / sizeof(runtimes[0]); i++) {
        const bool marked = runtimes[i].mark[0] == ':' ? ends(before, runtimes[i].mark)
                                                       : is(before, runtimes[i].mark);
        if (marked && is_id(id))
            return name_by_id(runtimes[i].kind, id.at, name);
    }
    return false;
}

/* An id alone: the folders above say whose. */
static bool is_bare_id(struct word component, struct word parent, const char *path,
                       char name[CONTAINER_SIZE])
{
    if (!is_id(component))
        return false;
    const char *kind = is(parent, "docker")       ? "docker"
                       : strstr(path, "kubepods") ? "kubepods"
                                                  : "container";
    return name_by_id(kind, component.at, name);
}

static bool is_machine(struct word component, struct word parent, char name[CONTAINER_SIZE])
{
    for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++) {
        const size_t len = strlen(machines[i].mark);
        if (!begins(component, machines[i].mark) || !ends(component, machines[i].end))
            continue;
        const struct word rest = {component.at + len, component.len - len};
        return name_by_name(machines[i].kind, without_end(rest, machines[i].end), name);
    }
    return (is(parent, "lxc") || is(parent, "lxc.payload")) && name_by_name("lxc", component, name);
}

/* From its end: of containers in containers the inner one. */
static bool name_from(const char *path, char name[CONTAINER_SIZE])
{
    const char *end = path + strlen(path);
    while (end > path) {
        const char *slash = memrchr(path, '/', (size_t)(end - path));
        if (!slash)
            return false;
        const char *above = slash > path ? memrchr(path, '/', (size_t)(slash - path)) : NULL;
        const struct word component = {slash + 1, (size_t)(end - slash - 1)};
        const struct word parent =
            above ? (struct word){above + 1, (size_t)(slash - above - 1)} : (struct word){slash, 0};
        if (has_runtime(component, name) || is_bare_id(component, parent, path, name) ||
            is_machine(component, parent, name))
            return true;
        end = slash;
    }
    return false;
}

void container_in(const char *cgroups, char name[CONTAINER_SIZE])
{
    char line[4096];
    name[0] = '\0';
    for (const char *at = cgroups; *at; at += strcspn(at, "\n"), at += *at == '\n') {
        const size_t len = strcspn(at, "\n");
        if (len >= sizeof(line))
            continue;
        strlcpy(line, at, len + 1);
        const char *controllers = strchr(line, ':');
        const char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (path && name_from(path + 1, name))
            return;
    }
    name[0] = '\0';
}

void container_of(pid_t pid, char name[CONTAINER_SIZE])
{
    char path[32];
    char text[8192];
    snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
    FILE *file = fopen(path, "re");
    text[file ? fread(text, 1, sizeof(text) - 1, file) : 0] = '\0';
    if (file)
        fclose(file);
    container_in(text, name);
}

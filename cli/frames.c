#include "frames.h"

#include <stdint.h>
#include <string.h>

#include "must.h"

static const char *text_of(const json_t *frame, const char *name)
{
    const char *text = json_string_value(json_object_get(frame, name));
    return text ? text : "";
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

/* How many bytes of a control character begin here: C0, DEL, or C1 in UTF-8; 0: none. */
static size_t control_length(const char *at)
{
    const unsigned char *const byte = (const unsigned char *)at;
    if (byte[0] < ' ' || byte[0] == 0x7f)
        return 1;
    return byte[0] == 0xc2 && byte[1] >= 0x80 && byte[1] <= 0x9f ? 2 : 0;
}

static void print_without(FILE *to, const char *text, char taboo)
{
    while (*text) {
        const size_t control = control_length(text);
        putc(control ? '?' : *text == taboo ? ':' : *text, to);
        text += control ? control : 1;
    }
}

void frames_print_text(FILE *to, const char *text)
{
    print_without(to, text, '\0');
}

void frames_print_name(FILE *to, const json_t *frame, char taboo)
{
    const char *function = text_of(frame, "symbol");
    const char *module = last_part(text_of(frame, "module"));
    if (function[0]) {
        print_without(to, function, taboo);
        return;
    }
    print_without(to, module[0] ? module : "?", taboo);
    fprintf(to, "+0x%jx", (uintmax_t)json_integer_value(json_object_get(frame, "offset")));
}

void frames_print(FILE *to, const json_t *frame)
{
    const char *file = last_part(text_of(frame, "file"));
    const json_int_t line = json_integer_value(json_object_get(frame, "line"));
    const char *module = last_part(text_of(frame, "module"));
    frames_print_name(to, frame, '\0');
    if (!text_of(frame, "symbol")[0])
        return;
    fputs("  ", to);
    frames_print_text(to, file[0] ? file : module[0] ? module : "?");
    if (file[0] && line > 0)
        fprintf(to, ":%" JSON_INTEGER_FORMAT, line);
    if (json_is_true(json_object_get(frame, "inlined")))
        fputs(" (inlined)", to);
}

char *frames_text(const json_t *frame)
{
    char *text = NULL;
    size_t size = 0;
    FILE *to = must(open_memstream(&text, &size));
    frames_print(to, frame);
    if (fclose(to) != 0)
        must(NULL);
    return text;
}

bool frames_is_main(const json_t *frame)
{
    return strcmp(text_of(frame, "symbol"), "main") == 0;
}

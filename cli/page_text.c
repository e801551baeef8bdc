#include "page_text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "utf8.h"

static uint32_t character_at(const char *at, size_t len)
{
    const unsigned char *const byte = (const unsigned char *)at;
    static const unsigned char masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t character = byte[0] & masks[len];
    for (size_t i = 1; i < len; i++)
        character = character << 6 | (byte[i] & 0x3f);
    return character;
}

/* Controls, line and paragraph separators, and those of the direction (Unicode Annex 9). */
static bool is_unseen(uint32_t character)
{
    return character < ' ' || (character >= 0x7f && character <= 0x9f) || character == 0x61c ||
           (character >= 0x200b && character <= 0x200f) ||
           (character >= 0x2028 && character <= 0x202e) ||
           (character >= 0x2060 && character <= 0x206f) || character == 0xfeff;
}

/* One character by put, which is given it as it is or as '?'. */
static const char *put_next(FILE *to, const char *at, void (*put_ascii)(FILE *to, char ascii))
{
    const size_t len = utf8_length(at);
    if (len == 0 || is_unseen(character_at(at, len)))
        putc('?', to);
    else if (len == 1)
        put_ascii(to, *at);
    else
        fwrite(at, 1, len, to);
    return at + (len ? len : 1);
}

static void put_html(FILE *to, char ascii)
{
    static const char special[] = "<>&\"'";
    static const char *const names[] = {"&lt;", "&gt;", "&amp;", "&quot;", "&#39;"};
    const char *found = strchr(special, ascii);
    if (found)
        fputs(names[found - special], to);
    else
        putc(ascii, to);
}

/* No '<' ends the element, or begins what a parser of HTML takes for another one in it. */
static void put_json(FILE *to, char ascii)
{
    if (ascii == '<' || ascii == '>' || ascii == '&') {
        fprintf(to, "\\u%04x", ascii);
        return;
    }
    if (ascii == '"' || ascii == '\\')
        putc('\\', to);
    putc(ascii, to);
}

void page_text(FILE *to, const char *text)
{
    while (*text)
        text = put_next(to, text, put_html);
}

void page_string(FILE *to, const char *text)
{
    putc('"', to);
    while (*text)
        text = put_next(to, text, put_json);
    putc('"', to);
}

#include "as_utf8.h"

#include "utf8.h"

/* RFC 3629 section 3: U+0080 to U+00FF take two bytes. */
static void add_latin(struct text *text, unsigned char byte)
{
    const unsigned char two[] = {(unsigned char)(0xc0 | byte >> 6),
                                 (unsigned char)(0x80 | (byte & 0x3f))};
    text_add_bytes(text, (const char *)two, sizeof(two));
}

void text_add_as_utf8(struct text *text, const char *bytes)
{
    while (*bytes) {
        const size_t size = utf8_length(bytes);
        if (size == 0)
            add_latin(text, (unsigned char)*bytes);
        else
            text_add_bytes(text, bytes, size);
        bytes += size ? size : 1;
    }
}

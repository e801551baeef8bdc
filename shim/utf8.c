#include "utf8.h"

#include <stdbool.h>

size_t utf8_length(const char *at)
{
    const unsigned char *const byte = (const unsigned char *)at;
    static const struct {
        unsigned char mask, lead, size;
    } kinds[] = {{0x80, 0x00, 1}, {0xe0, 0xc0, 2}, {0xf0, 0xe0, 3}, {0xf8, 0xf0, 4}};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if ((byte[0] & kinds[i].mask) != kinds[i].lead)
            continue;
        size_t n = 1;
        while (n < kinds[i].size && (byte[n] & 0xc0) == 0x80)
            n++;
        const bool overlong = (byte[0] >= 0xc0 && byte[0] <= 0xc1) ||
                              (byte[0] == 0xe0 && n > 1 && byte[1] < 0xa0) ||
                              (byte[0] == 0xf0 && n > 1 && byte[1] < 0x90);
        const bool beyond = (byte[0] == 0xed && n > 1 && byte[1] > 0x9f) || byte[0] > 0xf4 ||
                            (byte[0] == 0xf4 && n > 1 && byte[1] > 0x8f);
        return n == kinds[i].size && !overlong && !beyond ? n : 0;
    }
    return 0;
}

#include "text.h"

#include <string.h>

struct text text_in(char *buffer, size_t size)
{
    buffer[0] = '\0';
    return (struct text){.at = buffer, .size = size};
}

void text_add_bytes(struct text *text, const char *bytes, size_t len)
{
    const size_t room = text->size - 1 - text->len;
    if (len > room) {
        text->cut = true;
        len = room;
    }
    memcpy(text->at + text->len, bytes, len);
    text->len += len;
    text->at[text->len] = '\0';
}

void text_add(struct text *text, const char *string)
{
    text_add_bytes(text, string, strlen(string));
}

void text_add_uint(struct text *text, uint64_t number)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    text_add_bytes(text, digits + at, sizeof(digits) - at);
}

static void add_two_digits(struct text *text, uint64_t number, const char *unit)
{
    if (number < 10)
        text_add(text, "0");
    text_add_uint(text, number);
    text_add(text, unit);
}

void text_add_duration(struct text *text, uint64_t ms)
{
    enum { MINUTE = 60, HOUR = 60 * MINUTE, DAY = 24 * HOUR };
    const uint64_t s = ms / 1000;
    if (s < MINUTE) {
        text_add_uint(text, s);
        text_add(text, ".");
        text_add_uint(text, ms % 1000 / 100);
        text_add(text, " s");
    } else if (s < HOUR) {
        text_add_uint(text, s / MINUTE);
        text_add(text, "m");
        add_two_digits(text, s % MINUTE, "s");
    } else if (s < DAY) {
        text_add_uint(text, s / HOUR);
        text_add(text, "h");
        add_two_digits(text, s / MINUTE % 60, "m");
    } else {
        text_add_uint(text, s / DAY);
        text_add(text, "d");
        add_two_digits(text, s / HOUR % 24, "h");
    }
}

void text_add_grace(struct text *text, uint64_t ms)
{
    static const struct {
        uint64_t ms;
        const char *name;
    } units[] = {{3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    size_t i = 0;
    while (ms % units[i].ms != 0)
        i++;
    text_add_uint(text, ms / units[i].ms);
    text_add(text, units[i].name);
}

void text_add_hex(struct text *text, uint64_t number)
{
    char digits[16];
    size_t at = sizeof(digits);
    do {
        digits[--at] = "0123456789abcdef"[number % 16];
        number /= 16;
    } while (number > 0);
    text_add_bytes(text, digits + at, sizeof(digits) - at);
}

static void add_ip4(struct text *text, const uint8_t *ip)
{
    for (int i = 0; i < 4; i++) {
        if (i > 0)
            text_add(text, ".");
        text_add_uint(text, ip[i]);
    }
}

/* RFC 5952: the first longest run of two or more zero groups is written "::". */
static void add_ip6(struct text *text, const uint8_t *ip)
{
    unsigned group[8];
    int zeros_at = -1;
    int zeros = 1;
    int run = 0;
    for (int i = 0; i < 8; i++) {
        const uint8_t *at = &ip[(size_t)i * 2];
        group[i] = (unsigned)at[0] << 8 | at[1];
        run = group[i] == 0 ? run + 1 : 0;
        if (run > zeros) {
            zeros = run;
            zeros_at = i - run + 1;
        }
    }
    for (int i = 0; i < 8; i++) {
        if (i == zeros_at) {
            text_add(text, "::");
            i += zeros - 1;
            continue;
        }
        if (i > 0 && i != zeros_at + zeros)
            text_add(text, ":");
        text_add_hex(text, group[i]);
    }
}

void text_add_endpoint(struct text *text, const struct endpoint *end)
{
    if (!end->family) {
        text_add(text, "?");
        return;
    }
    if (end->family == AF_INET) {
        add_ip4(text, end->ip);
    } else {
        text_add(text, "[");
        add_ip6(text, end->ip);
        if (end->scope) {
            text_add(text, "%");
            text_add_uint(text, end->scope);
        }
        text_add(text, "]");
    }
    text_add(text, ":");
    text_add_uint(text, end->port);
}

void text_add_name(struct text *text, const char *name)
{
    for (; *name; name++)
        text_add_bytes(text, (unsigned char)*name < ' ' || *name == 0x7f ? "?" : name, 1);
}

void text_add_count(struct text *text, uint64_t number, const char *one, const char *many)
{
    text_add_uint(text, number);
    text_add(text, " ");
    text_add(text, number == 1 ? one : many);
}

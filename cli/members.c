#define _GNU_SOURCE
#include "members.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

enum { DEPTH_MAX = 64, KEY_SIZE = 32, DIGITS_SIZE = 128 };

struct cursor {
    const char *at;
    const char *end;
};

/* '\0' at the end, which no JSON has outside of a string, nor in it. */
static char peek(const struct cursor *cursor)
{
    if (cursor->at == cursor->end)
        return '\0';
    return *cursor->at;
}

static bool take(struct cursor *cursor, char wanted)
{
    const bool is_there = peek(cursor) == wanted;
    cursor->at += is_there;
    return is_there;
}

static void skip_space(struct cursor *cursor)
{
    while (peek(cursor) == ' ' || (peek(cursor) >= '\t' && peek(cursor) <= '\r' &&
                                   peek(cursor) != '\v' && peek(cursor) != '\f'))
        cursor->at++;
}

static bool skip_digits(struct cursor *cursor)
{
    const char *const first = cursor->at;
    while (peek(cursor) >= '0' && peek(cursor) <= '9')
        cursor->at++;
    return cursor->at > first;
}

static bool skip_number(struct cursor *cursor)
{
    take(cursor, '-');
    if (!take(cursor, '0') && !skip_digits(cursor))
        return false;
    if (take(cursor, '.') && !skip_digits(cursor))
        return false;
    if (!take(cursor, 'e') && !take(cursor, 'E'))
        return true;
    if (!take(cursor, '-'))
        take(cursor, '+');
    return skip_digits(cursor);
}

static bool skip_escape(struct cursor *cursor)
{
    const char escaped = peek(cursor);
    if (escaped == '\0' || !strchr("\"\\/bfnrtu", escaped))
        return false;
    cursor->at++;
    for (int digits = escaped == 'u' ? 4 : 0; digits > 0; digits--, cursor->at++)
        if (!isxdigit((unsigned char)peek(cursor)))
            return false;
    return true;
}

/* The quote that has to be there ends what utf8_length reads. */
static bool skip_wide(struct cursor *cursor)
{
    const size_t size = utf8_length(cursor->at);
    cursor->at += size;
    return size > 0;
}

/* What is between the quotes. */
static bool take_string(struct cursor *cursor, struct member *string)
{
    if (!take(cursor, '"'))
        return false;
    string->at = cursor->at;
    for (;;) {
        const char next = peek(cursor);
        if (next == '"')
            break;
        if ((unsigned char)next < ' ')
            return false;
        if ((unsigned char)next >= 0x80) {
            if (!skip_wide(cursor))
                return false;
        } else {
            cursor->at++;
            if (next == '\\' && !skip_escape(cursor))
                return false;
        }
    }
    string->len = (size_t)(cursor->at++ - string->at);
    return true;
}

static bool take_key(struct cursor *cursor, struct member *key)
{
    skip_space(cursor);
    if (!take_string(cursor, key))
        return false;
    skip_space(cursor);
    return take(cursor, ':');
}

static bool skip_word(struct cursor *cursor, const char *word)
{
    const size_t len = strlen(word);
    if ((size_t)(cursor->end - cursor->at) < len || memcmp(cursor->at, word, len) != 0)
        return false;
    cursor->at += len;
    return true;
}

static bool skip_simple(struct cursor *cursor)
{
    struct member string;
    switch (peek(cursor)) {
    case '"':
        return take_string(cursor, &string);
    case 't':
        return skip_word(cursor, "true");
    case 'f':
        return skip_word(cursor, "false");
    case 'n':
        return skip_word(cursor, "null");
    default:
        return skip_number(cursor);
    }
}

/* Which of the levels are objects, and not arrays: the lowest bit is the innermost. */
struct nest {
    uint64_t objects;
    int depth;
};

/* A value; or the beginning of one that has others in it: *inside says that the first comes next.
 */
static bool begin_value(struct cursor *cursor, struct nest *nest, bool *inside)
{
    struct member key;
    const bool object = peek(cursor) == '{';
    *inside = false;
    if (!object && peek(cursor) != '[')
        return skip_simple(cursor);
    if (nest->depth == DEPTH_MAX)
        return false;
    cursor->at++;
    nest->objects = nest->objects << 1 | object;
    nest->depth++;
    skip_space(cursor);
    *inside = peek(cursor) != (object ? '}' : ']');
    return !*inside || !object || take_key(cursor, &key);
}

/* What comes after a value, up to the next one, or the end of the outermost. */
static bool end_value(struct cursor *cursor, struct nest *nest)
{
    struct member key;
    while (nest->depth > 0) {
        const bool object = nest->objects & 1;
        skip_space(cursor);
        if (take(cursor, ','))
            return !object || take_key(cursor, &key);
        if (!take(cursor, object ? '}' : ']'))
            return false;
        nest->objects >>= 1;
        nest->depth--;
    }
    return true;
}

static bool skip_value(struct cursor *cursor)
{
    struct nest nest = {0};
    bool inside;
    do {
        skip_space(cursor);
        if (!begin_value(cursor, &nest, &inside) || (!inside && !end_value(cursor, &nest)))
            return false;
    } while (nest.depth > 0);
    return true;
}

/* From where the last one was found: writers have an order. */
static size_t find_name(const struct member *key, const char *const *names, size_t count,
                        size_t from)
{
    char text[KEY_SIZE];
    const long len = member_text(key, text, sizeof(text));
    for (size_t i = 0; i < count && len >= 0; i++) {
        const size_t at = from + i < count ? from + i : from + i - count;
        if (strcmp(names[at], text) == 0)
            return at;
    }
    return count;
}

static bool take_value(struct cursor *cursor, struct member *value)
{
    skip_space(cursor);
    if (peek(cursor) == '"')
        return take_string(cursor, value);
    value->at = cursor->at;
    if (!skip_value(cursor))
        return false;
    value->len = (size_t)(cursor->at - value->at);
    return true;
}

static bool is_over(struct cursor *cursor)
{
    skip_space(cursor);
    return cursor->at == cursor->end;
}

bool members_read(const char *text, size_t len, const char *const *names, size_t count,
                  struct member *members)
{
    struct cursor cursor = {text, text + len};
    size_t next = 0;
    memset(members, 0, count * sizeof(*members));
    skip_space(&cursor);
    if (!take(&cursor, '{'))
        return false;
    skip_space(&cursor);
    if (take(&cursor, '}'))
        return is_over(&cursor);
    do {
        struct member key;
        struct member value;
        if (!take_key(&cursor, &key) || !take_value(&cursor, &value))
            return false;
        const size_t found = find_name(&key, names, count, next);
        if (found < count && members[found].at)
            return false;
        if (found < count) {
            members[found] = value;
            next = found + 1;
        }
        skip_space(&cursor);
    } while (take(&cursor, ','));
    return take(&cursor, '}') && is_over(&cursor);
}

char member_kind(const struct member *member)
{
    if (member->at[-1] == '"')
        return '"';
    if (strchr("{[tfn", member->at[0]))
        return member->at[0];
    return '\0';
}

static long hex_of(const char *digits)
{
    const char four[] = {digits[0], digits[1], digits[2], digits[3], '\0'};
    return strtol(four, NULL, 16);
}

/* A character outside of the first plane is a pair. At the u of the first; NULL when it is none. */
static const char *decode(const char *at, const char *end, long *character)
{
    *character = hex_of(at + 1);
    at += 5;
    if (*character < 0xd800 || *character > 0xdfff)
        return *character > 0 ? at : NULL;
    if (*character > 0xdbff || end - at < 6 || at[0] != '\\' || at[1] != 'u')
        return NULL;
    const long low = hex_of(at + 2);
    if (low < 0xdc00 || low > 0xdfff)
        return NULL;
    *character = 0x10000 + (*character - 0xd800) * 0x400 + (low - 0xdc00);
    return at + 6;
}

static size_t encode(long character, char to[4])
{
    static const struct {
        long below;
        unsigned char lead;
    } kinds[] = {{0x80, 0}, {0x800, 0xc0}, {0x10000, 0xe0}, {0x110000, 0xf0}};
    size_t more = 0;
    while (character >= kinds[more].below)
        more++;
    to[0] = (char)(kinds[more].lead | (character >> (6 * more)));
    for (size_t i = 1; i <= more; i++)
        to[i] = (char)(0x80 | ((character >> (6 * (more - i))) & 0x3f));
    return more + 1;
}

static size_t unescape(const char **at, const char *end, char to[4])
{
    static const char letters[] = "bfnrt";
    static const char meant[] = "\b\f\n\r\t";
    const char *const letter = strchr(letters, **at);
    if (**at == 'u') {
        long character = 0;
        *at = decode(*at, end, &character);
        return *at ? encode(character, to) : 0;
    }
    to[0] = **at;
    if (letter)
        to[0] = meant[letter - letters];
    (*at)++;
    return 1;
}

static long unescape_all(const struct member *string, char *to, size_t size)
{
    const char *const end = string->at + string->len;
    size_t len = 0;
    for (const char *at = string->at; at < end;) {
        char bytes[4] = {*at};
        const size_t count = *at++ == '\\' ? unescape(&at, end, bytes) : 1;
        if (count == 0 || len + count >= size)
            return -1;
        memcpy(to + len, bytes, count);
        len += count;
    }
    to[len] = '\0';
    return (long)len;
}

long member_text(const struct member *string, char *to, size_t size)
{
    if (memchr(string->at, '\\', string->len))
        return unescape_all(string, to, size);
    if (string->len >= size)
        return -1;
    memcpy(to, string->at, string->len);
    to[string->len] = '\0';
    return (long)string->len;
}

bool member_count(const struct member *number, uint64_t most, uint64_t *count)
{
    enum { DIGITS_MAX = 18 };
    if (number->len > DIGITS_MAX)
        return false;
    *count = 0;
    for (size_t i = 0; i < number->len; i++) {
        if (number->at[i] < '0' || number->at[i] > '9')
            return false;
        *count = *count * 10 + (uint64_t)(number->at[i] - '0');
    }
    return *count <= most;
}

bool member_real(const struct member *number, double *real)
{
    char digits[DIGITS_SIZE];
    if (number->len >= sizeof(digits))
        return false;
    memcpy(digits, number->at, number->len);
    digits[number->len] = '\0';
    *real = strtod(digits, NULL);
    return true;
}

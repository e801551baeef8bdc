/*
 * Functions and lines: what a program says of its own places, what addr2line says of every address,
 * and what is left when there is less to find them by.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../cli/demangle.h"
#include "finding.h"

TestSuite(symbol, .init = finding_begin, .fini = finding_end);

static const char *const programs[] = {"tests/places", "tests/places-O0", "tests/places-cxx",
                                       "tests/places-cxx-O0"};
enum { PROGRAMS = sizeof(programs) / sizeof(programs[0]) };

Test(symbol, finds_the_places_that_a_program_knows_of_itself)
{
    for (int p = 0; p < PROGRAMS; p++) {
        const char *program = built(programs[p]);
        const char *build_id = build_id_of(program);
        int places = 0;
        must("%s", program);
        for (char *line = strtok(answers, "\n"); line; line = strtok(NULL, "\n")) {
            char *rest = NULL;
            const uint64_t offset = strtoull(line, &rest, 16);
            const long number = strtol(rest, &rest, 10);
            const char *function = rest + 1;
            struct symbol_frame frame;
            cr_expect_eq(symbol_find(symbols, program, build_id, offset, &frame, 1), 1);
            cr_assert(frame.function && frame.file, "%s: %s", program, line);
            cr_expect_str_eq(frame.function, function, "%s: %s: %s", program, line, frame.function);
            cr_expect_eq(frame.line, number, "%s: %s: %d", program, line, frame.line);
            cr_expect_eq(frame.file[0], '/', "%s", frame.file);
            cr_expect_not_null(strstr(frame.file, "/tests/programs/places.c"), "%s", frame.file);
            places++;
        }
        cr_expect_geq(places, 5, "%s: %d", program, places);
    }
}

Test(symbol, says_of_every_address_what_addr2line_says)
{
    for (int p = 0; p < PROGRAMS; p++) {
        const char *program = built(programs[p]);
        /* Not of main.cold, which addr2line calls so, by the symbol. */
        must("nm -S %s | awk '$4 ~ /^_?[a-zA-Z0-9_]*(main|apart|exported|say|first_bias|hidden|"
             "read|peek|inner|outer|UliE)[a-zA-Z0-9_]*$/ { print $1, $2 }' | while read -r at size;"
             "do seq $((0x$at)) $((0x$at + 0x$size - 1)); done | xargs printf '%%x\n' | "
             "addr2line -afiCe %s | sed 's/ (discriminator [0-9]*)//; s/:?$/:0/'",
             program, program);
        cr_assert_lt(strlen(answers), sizeof(answers) - 1);
        int addresses = 0;
        for (char *at = answers; *at;) {
            char *first = at + strcspn(at, "\n") + 1;
            char *next = strstr(first, "\n0x");
            next = next ? next + 1 : first + strlen(first);
            const char *mine = found(program, "", strtoull(at, NULL, 16));
            cr_expect(strncmp(mine, first, (size_t)(next - first)) == 0 &&
                          strlen(mine) == (size_t)(next - first),
                      "%s: %.*sis here:\n%s", program, (int)(next - at), at, mine);
            addresses++;
            at = next;
        }
        cr_expect_gt(addresses, 200, "%s: %d", program, addresses);
    }
}

Test(symbol, tells_an_inlined_function_from_its_callers)
{
    const char *program = built("tests/places");
    const uint64_t offset = place_in(program, "inner");
    struct symbol_frame frames[SYMBOL_FRAMES];
    cr_assert_eq(symbol_find(symbols, program, "", offset, frames, SYMBOL_FRAMES), 3);
    cr_expect_str_eq(frames[0].function, "inner");
    cr_expect_str_eq(frames[1].function, "outer");
    cr_expect_str_eq(frames[2].function, "exported");
    cr_expect(frames[0].inlined && frames[1].inlined && !frames[2].inlined);

    memset(frames, 0x55, sizeof(frames));
    cr_expect_eq(symbol_find(symbols, program, "", offset, frames, 2), 2);
    cr_expect_str_eq(frames[1].function, "outer");
    cr_expect_eq(frames[2].line, 0x55555555);
}

Test(symbol, keeps_the_innermost_of_too_many)
{
    const char *program = built("tests/places-cxx");
    const uint64_t offset = place_in(program, "int");
    struct symbol_frame frames[SYMBOL_FRAMES + 1];
    cr_assert_eq(symbol_find(symbols, program, "", offset, frames, SYMBOL_FRAMES + 1),
                 SYMBOL_FRAMES);
    for (int i = 0; i < SYMBOL_FRAMES; i++) {
        char function[32];
        snprintf(function, sizeof(function), "int deep<%d>(int)", i);
        cr_expect_str_eq(frames[i].function, function, "%d: %s", i, frames[i].function);
        cr_expect(frames[i].inlined);
    }
}

Test(symbol, needs_no_table_of_addresses)
{
    const char *copy = in_folder("places");
    must("objcopy -R .debug_aranges %s %s", built("tests/places"), copy);
    cr_expect_not_null(strstr(found(copy, "", place_in(copy, "apart")), "/places.c:"));
}

Test(symbol, falls_back_to_the_symbol_table)
{
    const char *program = built("tests/places");
    const uint64_t offset = place_in(program, "apart");
    must("strip -g -o %s %s", in_folder("no-dwarf"), program);
    cr_expect_str_eq(found(in_folder("no-dwarf"), "", offset), "apart\n??:0\n");
    must("strip -o %s %s", in_folder("bare"), program);
    cr_expect_str_eq(found(in_folder("bare"), "", offset), UNKNOWN);

    const char *cxx = built("tests/places-cxx");
    must("nm %s | awk '/hidden/ { print $1 }'", cxx);
    const uint64_t hidden = strtoull(answers, NULL, 16);
    must("strip -g -o %s %s", in_folder("no-dwarf-cxx"), cxx);
    cr_expect_str_eq(found(in_folder("no-dwarf-cxx"), "", hidden),
                     "(anonymous namespace)::hidden(int)\n??:0\n");
}

static uint64_t address_of(const char *path, const char *symbol)
{
    must("nm %s | awk '$3 == \"%s\" { print $1 }'", path, symbol);
    cr_assert_neq(answers[0], '\0', "no %s in %s", symbol, path);
    return strtoull(answers, NULL, 16);
}

Test(symbol, knows_nothing_of_what_is_no_code)
{
    const char *program = built("tests/places");
    const uint64_t offsets[] = {0,
                                1,
                                address_of(program, "sink"),
                                address_of(program, "_end"),
                                0x7fffffff,
                                1ULL << 32,
                                1ULL << 63,
                                UINT64_MAX - 1,
                                UINT64_MAX};
    for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++)
        cr_expect_str_eq(found(program, "", offsets[i]), UNKNOWN, "%lx", offsets[i]);
}

Test(symbol, remembers)
{
    enum { LOOKUPS = 100000 };
    const char *program = built("tests/places");
    const char *build_id = build_id_of(program);
    const uint64_t offset = place_in(program, "inner");
    struct symbol_frame first[SYMBOL_FRAMES];
    const int count = symbol_find(symbols, program, build_id, offset, first, SYMBOL_FRAMES);
    const clock_t start = clock();
    for (int i = 0; i < LOOKUPS; i++) {
        struct symbol_frame again[SYMBOL_FRAMES];
        cr_assert_eq(symbol_find(symbols, program, build_id, offset, again, SYMBOL_FRAMES), count);
        cr_assert_eq(again[0].function, first[0].function);
        cr_assert_eq(symbol_find(symbols, "/no/such/module", build_id, offset + (uint64_t)i % 64,
                                 again, SYMBOL_FRAMES),
                     1);
    }
    /* Of its own time: the machine may have other things to do. */
    cr_expect_lt(clock() - start, 2 * CLOCKS_PER_SEC, "%ld us", (long)(clock() - start));
}

Test(symbol, demangles)
{
    static const struct {
        const char *name;
        const char *readable;
    } rows[] = {
        {"main", "main"},
        {"memcpy@@GLIBC_2.14", "memcpy"},
        {"apart.constprop.0", "apart.constprop.0"},
        {"_ZN3net6SocketIlE4readEi", "net::Socket<long>::read(int)"},
        {"_ZNSolsEi@GLIBCXX_3.4", "std::ostream::operator<<(int)"},
        {"_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", "core::fmt::Formatter::pad"},
        {"_RNvC6_123foo3bar", "123foo::bar"},
        {"_RNvNtCs1234_7mycrate3foo3bar", "mycrate::foo::bar"},
        {"_Z", "_Z"},
        {"_R", "_R"},
        {"_ZN", "_ZN"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *readable = demangle(rows[i].name);
        cr_expect_str_eq(readable, rows[i].readable, "%s: %s", rows[i].name, readable);
        free(readable);
    }
}

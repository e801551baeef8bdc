/*
 * Functions and lines from the right file: debug files apart, other builds, files that are not what
 * they should be, and debuginfod.
 */
#define _GNU_SOURCE
#include <bsd/string.h>
#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "finding.h"

TestSuite(symbol_file, .init = finding_begin, .fini = finding_end);

/* A copy of the program without its debug information, which is in a file of its own. */
static const char *stripped(const char *name, const char *debug_file)
{
    const char *copy = in_folder(name);
    must("objcopy --only-keep-debug %s %s && strip -o %s %s && "
         "cd $(dirname %s) && objcopy --add-gnu-debuglink=$(basename %s) %s",
         built("tests/places"), debug_file, copy, built("tests/places"), debug_file, debug_file,
         copy);
    return copy;
}

static char expected[8192];

static const char *expect_as_unstripped(uint64_t *offset)
{
    const char *whole = built("tests/places");
    *offset = place_in(whole, "inner");
    strlcpy(expected, found(whole, "", *offset), sizeof(expected));
    cr_assert_not_null(strstr(expected, "/places.c:"), "%s", expected);
    return build_id_of(whole);
}

/* FOLDER/.build-id/xx/yyyy as a build id has it. */
static const char *place_by_build_id(const char *build_id, const char *suffix)
{
    char name[128];
    snprintf(name, sizeof(name), ".build-id/%.2s/%s%s", build_id, build_id + 2, suffix);
    const char *path = in_folder(name);
    must("mkdir -p $(dirname %s)", path);
    return path;
}

Test(symbol_file, finds_a_debug_file_by_its_debuglink)
{
    uint64_t offset;
    expect_as_unstripped(&offset);
    const char *beside = stripped("beside", in_folder("places.debug"));
    cr_expect_str_eq(found(beside, "", offset), expected);
    cr_expect_str_eq(found(beside, build_id_of(beside), offset), expected);

    must("mkdir %s", in_folder(".debug"));
    must("rm %s", in_folder("places.debug"));
    const char *below = stripped("below", in_folder(".debug/places.debug"));
    cr_expect_str_eq(found(below, build_id_of(below), offset), expected);

    must("rm %s", in_folder(".debug/places.debug"));
    must("cp %s %s", below, in_folder("alone"));
    cr_expect_str_eq(found(in_folder("alone"), "", offset), UNKNOWN);
}

Test(symbol_file, takes_no_debug_file_of_another_build)
{
    const char *program = in_folder("places");
    must("objcopy -R .note.gnu.build-id %s %s 2>/dev/null", built("tests/places"), program);
    const uint64_t offset = place_in(program, "apart");
    must("cd %s && objcopy --only-keep-debug places places.debug 2>/dev/null && strip places && "
         "objcopy --add-gnu-debuglink=places.debug places && cp places again",
         folder);
    cr_expect_not_null(strstr(found(program, "", offset), "apart\n"));
    must("objcopy --only-keep-debug %s %s", built("tests/places-cxx"), in_folder("places.debug"));
    cr_expect_str_eq(found(in_folder("again"), "", offset), UNKNOWN);
}

Test(symbol_file, finds_a_debug_file_by_build_id)
{
    uint64_t offset;
    const char *build_id = expect_as_unstripped(&offset);
    must("strip -o %s %s", in_folder("places"), built("tests/places"));
    cr_expect_str_eq(found(in_folder("places"), "", offset), UNKNOWN);

    const char *debug = place_by_build_id(build_id, ".debug");
    must("objcopy --only-keep-debug %s %s", built("tests/places"), debug);
    cr_assert(symbols_search(symbols, folder));
    cr_expect_str_eq(found(in_folder("places"), build_id, offset), expected);
    cr_expect_str_eq(found("/no/such/module", build_id, offset), expected);
    cr_expect_str_eq(found("/no/such/module", "", offset), UNKNOWN);
}

Test(symbol_file, finds_the_program_itself_by_build_id)
{
    uint64_t offset;
    const char *build_id = expect_as_unstripped(&offset);
    must("cp %s %s", built("tests/places"), place_by_build_id(build_id, ""));
    cr_assert(symbols_search(symbols, folder));
    cr_expect_str_eq(found("/no/such/module", build_id, offset), expected);
}

Test(symbol_file, never_takes_symbols_from_another_build)
{
    uint64_t offset;
    const char *build_id = expect_as_unstripped(&offset);
    const char *replaced = in_folder("places");
    must("cp %s %s", built("tests/places-O0"), replaced);
    const uint64_t also_code = place_in(replaced, "apart");
    cr_expect_str_neq(found(replaced, "", also_code), UNKNOWN);
    cr_expect_str_eq(found(replaced, build_id, also_code), UNKNOWN);

    /* Nor from one in the folder of build ids that has another. */
    must("cp %s %s", replaced, place_by_build_id(build_id, ""));
    must("cp %s %s", replaced, place_by_build_id(build_id, ".debug"));
    must("objcopy -R .note.gnu.build-id %s %s", built("tests/places"), in_folder("without"));
    struct symbols *before = symbols;
    symbols = symbols_begin();
    cr_assert(symbols_search(symbols, folder));
    cr_expect_str_eq(found(replaced, build_id, also_code), UNKNOWN);
    cr_expect_str_eq(found(in_folder("without"), build_id, offset), UNKNOWN);
    cr_expect_str_eq(found(in_folder("without"), "", offset), expected);
    symbols_end(before);
}

Test(symbol_file, takes_a_build_id_as_anyone_writes_it)
{
    uint64_t offset;
    const char *build_id = expect_as_unstripped(&offset);
    char upper[64];
    for (int i = 0; i <= 40; i++)
        upper[i] = (char)toupper(build_id[i]);
    cr_expect_str_eq(found(built("tests/places"), upper, offset), expected);

    char longest[257];
    memset(longest, '0', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    const char *const wrong[] = {"0", "00", "zz", " ", "../../etc/passwd", longest};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        cr_expect_str_eq(found(built("tests/places"), wrong[i], offset), UNKNOWN, "%s", wrong[i]);
}

Test(symbol_file, knows_nothing_of_what_is_no_program, .timeout = 20)
{
    must("cd %s && mkfifo fifo && : >empty && mkdir folder && ln -s loop loop && "
         "printf '\\177ELF' >magic && cp %s object.o",
         folder, built("tests/symbol.o"));
    const char *const files[] = {"/etc/passwd",     "/no/such/file",    "/etc/passwd/below",
                                 "/dev/zero",       "/dev/tty",         "/proc/kmsg",
                                 "/proc/self/mem",  "[vdso]",           "",
                                 in_folder("fifo"), in_folder("empty"), in_folder("folder"),
                                 in_folder("loop"), in_folder("magic"), in_folder("object.o")};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        cr_expect_str_eq(found(files[i], "", 0x1234), UNKNOWN, "%s", files[i]);
        cr_expect_str_eq(found(files[i], "0123456789abcdef", 0x1234), UNKNOWN, "%s", files[i]);
    }
}

Test(symbol_file, survives_a_file_that_is_cut, .timeout = 60)
{
    const char *program = built("tests/places-cxx");
    const uint64_t offset = place_in(program, "main");
    must("stat -c %%s %s", program);
    const long size = strtol(answers, NULL, 10);
    const char *cut = in_folder("cut");
    must("cp %s %s", program, cut);
    cr_expect_str_neq(found(cut, "", offset), UNKNOWN);
    for (long length = size - 1; length > 0; length -= length > 256 ? size / 199 : 16) {
        cr_assert_eq(truncate(cut, length), 0);
        symbols_end(symbols);
        symbols = symbols_begin();
        found(cut, "", offset);
    }
}

Test(symbol_file, survives_a_file_that_is_damaged, .timeout = 60)
{
    enum { MUTANTS = 200, HITS = 20 };
    static unsigned char whole[262144];
    static unsigned char mutant[sizeof(whole)];
    const char *program = built("tests/places-cxx");
    const uint64_t offset = place_in(program, "main");
    FILE *file = fopen(program, "re");
    cr_assert_not_null(file);
    const size_t size = fread(whole, 1, sizeof(whole), file);
    fclose(file);
    cr_assert(size > 0 && size < sizeof(whole));
    srandom(1);
    for (int i = 0; i < MUTANTS; i++) {
        memcpy(mutant, whole, size);
        for (int hit = 0; hit < HITS; hit++)
            mutant[(size_t)random() % size] = (unsigned char)random();
        file = fopen(in_folder("mutant"), "we");
        cr_assert_not_null(file);
        cr_assert_eq(fwrite(mutant, 1, size, file), size);
        fclose(file);
        symbols_end(symbols);
        symbols = symbols_begin();
        for (uint64_t at = 0; at < 64; at++)
            found(in_folder("mutant"), "", offset + at);
    }
}

Test(symbol_file, does_not_run_out_of_descriptors)
{
    enum { MODULES = 200, DESCRIPTORS = 250 };
    const uint64_t offset = place_in(built("tests/places"), "inner");
    stripped("places", in_folder("places.debug"));
    must("cd %s && for i in $(seq %d); do cp places copy=$i; done", folder, MODULES);
    const struct rlimit few = {.rlim_cur = DESCRIPTORS, .rlim_max = DESCRIPTORS};
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    for (int round = 0; round < 2; round++) {
        for (int i = 1; i <= MODULES; i++)
            cr_assert_not_null(
                strstr(found(in_folder(step("copy", i)), "", offset + (uint64_t)round),
                       "/places.c:"),
                "module %d, round %d", i, round);
    }
}

Test(symbol_file, asks_debuginfod_when_it_is_told_to)
{
    uint64_t offset;
    const char *build_id = expect_as_unstripped(&offset);
    must("mkdir -p %s/buildid/%s && cp %s %s/buildid/%s/debuginfo", folder, build_id,
         built("tests/places"), folder, build_id);
    must("DEBUGINFOD_URLS=file://%s/ DEBUGINFOD_CACHE_PATH=%s/cache %s /no/such/module %s %lx",
         folder, folder, built("tests/find"), build_id, offset);
    cr_expect_str_eq(answers, expected);
}

Test(symbol_file, touches_no_network_unless_it_is_told_to)
{
    uint64_t offset;
    const char *build_id = expect_as_unstripped(&offset);
    must("DEBUGINFOD_CACHE_PATH=%s/cache strace -f -e trace=network -o %s/trace "
         "%s /no/such/module %s %lx",
         folder, folder, built("tests/find"), build_id, offset);
    cr_expect_str_eq(answers, UNKNOWN);
    must("cat %s/trace", folder);
    cr_expect_null(strstr(answers, "INET"), "%s", answers);
    must("strace -o %s/trace -e trace=network nc.openbsd -w 1 127.0.0.1 1; cat %s/trace", folder,
         folder);
    cr_expect_not_null(strstr(answers, "INET"), "%s", answers);
}

Test(symbol_file, does_without_libdebuginfod)
{
    uint64_t offset;
    const char *build_id = expect_as_unstripped(&offset);
    must(": >%s/libdebuginfod.so.1", folder);
    for (int i = 0; i < 2; i++) {
        must("DEBUGINFOD_URLS=file://%s/ LD_LIBRARY_PATH=%s %s %s %s %lx 2>&1", folder, folder,
             built("tests/find"), i ? "/no/such/module" : built("tests/places"), build_id, offset);
        cr_expect_str_eq(answers, i ? UNKNOWN : expected);
    }
}

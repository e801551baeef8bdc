/*
 * The static probes of the shim (usdt.h), read from the file itself: what a tracer finds there, and
 * what they cost. That a tracer gets the right arguments is shown by tests/long/usdt.sh.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "support.h"

static void skip_without_header(void)
{
#if !__has_include(<sys/sdt.h>)
    cr_skip_test("no <sys/sdt.h>: the shim was built without probes");
#endif
}

TestSuite(usdt, .init = skip_without_header);

/* Each probe once, with the size of each argument as the notes have it: negative when signed. */
static void read_probes(const char *path, char *probes, size_t size)
{
    cr_assert_eq(shell(probes, size,
                       "readelf -n %s | awk '/Provider:/ { who = $2 } /Name:/ { name = $2 } "
                       "/Arguments:/ { $1 = \"\"; gsub(/@[^ ]*/, \"\"); print who \":\" name $0 }' "
                       "| sort -u",
                       path),
                 0);
}

Test(usdt, has_the_probes_of_its_header_with_their_arguments)
{
    char probes[4096];
    read_probes(built("libclosewait.so"), probes, sizeof(probes));
    cr_expect_str_eq(probes,
                     "closewait:eof -4 8\n"
                     "closewait:late_close -4 4 -4 8\n"
                     "closewait:leak -4 4 8 8\n"
                     "closewait:reap -4 4 8 8 8 -4\n"
                     "closewait:rescue -4 4 8 -4 -4\n",
                     "%s", probes);
}

/* As packages have it. */
Test(usdt, has_them_in_a_stripped_shim_too)
{
    char whole[4096];
    char stripped[4096];
    cr_assert_eq(shell(stripped, sizeof(stripped), "strip --strip-all -o %s %s",
                       built("tests/stripped.so"), built("libclosewait.so")),
                 0, "%s", stripped);
    read_probes(built("libclosewait.so"), whole, sizeof(whole));
    read_probes(built("tests/stripped.so"), stripped, sizeof(stripped));
    cr_expect_str_eq(stripped, whole);
}

/* A semaphore would be a word to load and to compare, which a tracer has to find and to change. */
Test(usdt, has_a_nop_and_no_semaphore_for_each)
{
    char wrong[4096];
    cr_assert_eq(shell(wrong, sizeof(wrong),
                       "so=%s; readelf -n $so | sed -n 's/.*Location: \\(.*\\), Base.*: /\\1 /p' | "
                       "while read -r at semaphore; do "
                       "code=$(objdump -d --start-address=$at --stop-address=$((at + 1)) $so); "
                       "case $code in *nop) ;; *) echo $at is no nop ;; esac; "
                       "[ $((semaphore)) -eq 0 ] || echo $at has a semaphore; done",
                       built("libclosewait.so")),
                 0);
    cr_expect_str_empty(wrong);
}

/* A read that returns data costs a call and a compare: there is no probe on its way. */
Test(usdt, lies_in_no_hook)
{
    char count[16];
    shell(count, sizeof(count), "readelf -n %s | grep -c stapsdt", built("shim/hooks.o"));
    cr_expect_str_eq(count, "0\n");
}

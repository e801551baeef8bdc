/*
 * The kernel's clock without a system call.
 */
#define _GNU_SOURCE
#include "vdso.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

static int64_t ns_of(struct timespec time)
{
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static int64_t by_system_call(clockid_t clock)
{
    struct timespec now = {0};
    syscall(SYS_clock_gettime, clock, &now);
    return ns_of(now);
}

Test(vdso, has_the_time_that_a_system_call_has)
{
    static const clockid_t clocks[] = {CLOCK_MONOTONIC, CLOCK_REALTIME};
    for (int round = 0; round < 2; round++) { /* before it is found, and after */
        for (size_t i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++) {
            struct timespec now = {0};
            const int64_t before = by_system_call(clocks[i]);
            cr_expect_eq(vdso_clock_gettime(clocks[i], &now), 0);
            cr_expect_leq(before, ns_of(now));
            cr_expect_leq(ns_of(now), by_system_call(clocks[i]));
        }
        vdso_init();
    }
}

Test(vdso, is_found_where_the_kernel_has_one)
{
    const void *const at_first = (const void *)vdso_found;
    if (getauxval(AT_SYSINFO_EHDR) == 0)
        cr_skip_test("there is none here");
    vdso_init();
    cr_expect_neq((const void *)vdso_found, at_first);
    cr_expect_eq(vdso_clock_gettime(12345, &(struct timespec){0}), -EINVAL);
    vdso_forget();
    cr_expect_eq((const void *)vdso_found, at_first);
}

/*
 * make install and make uninstall: what is put where, that it works there, and that nothing stays.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

static char folder[] = "/tmp/closewait-install-XXXXXX";
static char said[65536];

static void begin(void)
{
    cr_assert_not_null(mkdtemp(folder));
}

static void end(void)
{
    shell(said, sizeof(said), "rm -r %s", folder);
}

TestSuite(install, .init = begin, .fini = end);

/* A command that must work; what it says is in said. */
#define must(...) cr_assert_eq(shell(said, sizeof(said), __VA_ARGS__), 0, "%s", said)

/* As somebody would who has built it: not with what the make that runs the tests was told. */
static void make(const char *target)
{
    must("env -u MAKEFLAGS -u MAKELEVEL make -s DESTDIR=%s PREFIX=/opt/cw %s 2>&1", folder, target);
}

Test(install, puts_everything_in_place_and_uninstall_leaves_nothing)
{
    make("install");
    must("cd %s && find . -type f -printf '%%m %%P\n' | sort", folder);
    cr_expect_str_eq(said,
                     "644 opt/cw/lib/libclosewait.so\n"
                     "644 opt/cw/share/bash-completion/completions/closewait\n"
                     "644 opt/cw/share/closewait/schema.json\n"
                     "644 opt/cw/share/man/man1/closewait.1\n"
                     "644 opt/cw/share/man/man8/libclosewait.so.8\n"
                     "644 opt/cw/share/zsh/site-functions/_closewait\n"
                     "755 opt/cw/bin/closewait\n",
                     "%s", said);
    make("uninstall");
    must("find %s -type f -o -name closewait", folder);
    cr_expect_str_empty(said);
}

Test(install, makes_a_command_that_finds_its_shim)
{
    make("install");
    must("%s/opt/cw/bin/closewait ps --help", folder);
    cr_expect_not_null(strstr(said, "usage: closewait ps "), "%s", said);
    must("%s/opt/cw/bin/closewait run %s nothing 2>&1", folder, built("tests/leaker"));
    cr_expect_str_eq(said, "did nothing\n");
    must("%s/opt/cw/bin/closewait run sh -c 'echo $LD_PRELOAD'", folder);
    cr_expect_not_null(strstr(said, "/opt/cw/lib/libclosewait.so"), "%s", said);
    cr_expect_not_null(strstr(said, folder), "%s", said);
}

Test(install, makes_manuals_that_have_the_paths_of_the_installation)
{
    make("install");
    must("mandoc -T ascii %s/opt/cw/share/man/man1/closewait.1 | col -bx", folder);
    cr_expect_not_null(strstr(said, "closewait - find TCP sockets whose peer has closed"), "%s",
                       said);
    must("mandoc -T ascii %s/opt/cw/share/man/man8/libclosewait.so.8 | col -bx", folder);
    cr_expect_not_null(strstr(said, "LD_PRELOAD=/opt/cw/lib/libclosewait.so"), "%s", said);
    cr_expect_not_null(strstr(said, "/opt/cw/share/closewait/schema.json"), "%s", said);
    cr_expect_null(strstr(said, "/usr/local"), "%s", said);
}

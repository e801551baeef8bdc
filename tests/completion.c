/*
 * What bash and zsh offer for a command line: verbs, options, values; and that no option and no
 * column of the command is missing.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

static char said[65536];

/* What bash offers at the end of a line, sorted. */
static const char *offered(const char *line)
{
    cr_assert_eq(shell(said, sizeof(said), "tests/completion/ask.bash '%s' 2>&1", line), 0, "%s",
                 said);
    said[strcspn(said, "\n")] = '\0';
    return said;
}

Test(completion, of_bash_knows_verbs_options_and_values)
{
    static const struct {
        const char *line;
        const char *offered;
    } rows[] = {
        {"closewait ", "--help --version ps reap report run watch"},
        {"closewait r", "reap report run"},
        {"closewait run --a", "--action="},
        {"closewait run --action=", "close close-dead log"},
        {"closewait run --action close-", "close-dead"},
        {"closewait run --grace=1s --f", "--format="},
        {"closewait run --format=j", "json"},
        {"closewait run --signal=US", "USR1 USR2"},
        {"closewait run --output=std", "stderr"},
        {"closewait run --suppress=READ", "README.md"},
        {"closewait run --suppress READ", "README.md"},
        {"closewait run --debuginfo-path=docs:dem", "demo"},
        {"closewait run --error-exitcode=", ""},
        {"closewait run --last --st", "--stack= --stacks"},
        {"closewait run --last ./READ", "./README.md"},
        {"closewait run --grace=1s --debuginfo-path=a:b ls READ", "README.md"},
        {"closewait run -- ls --a", ""},
        {"closewait report READ", "README.md"},
        {"closewait report --format=", "folded html json text"},
        {"closewait report -f fo", "folded"},
        {"closewait report --l", "--limit="},
        {"closewait ps --no", "--noheadings"},
        {"closewait ps -o hu", ""},
        {"closewait ps -l -o hu", "HUNG_UP"},
        {"closewait ps --output=un", "UNREAD UNSENT"},
        {"closewait ps --output=unread,un", "unread,UNSENT"},
        {"closewait ps --output=+co", "+COMMAND +CONTAINER +COOKIE"},
        {"closewait reap --f", "--force --format="},
        {"closewait reap --grace=5", "500ms 5m"},
        {"closewait reap --format=j", "json"},
        {"closewait reap 1 --a", "--all"},
        {"closewait watch --a", "--action="},
        {"closewait watch --action=c", "close close-dead"},
        {"closewait walk --a", ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect_str_eq(offered(rows[i].line), rows[i].offered, "%s: %s", rows[i].line, said);
}

Test(completion, of_bash_does_without_the_breaking_of_words)
{
    cr_assert_eq(
        shell(said, sizeof(said), "tests/completion/ask.bash 'closewait run --action=close-' ' '"),
        0);
    cr_expect_str_eq(said, "--action=close-dead\n");
}

Test(completion, of_bash_finds_processes)
{
    cr_assert_eq(
        shell(said, sizeof(said), "tests/completion/ask.bash \"closewait ps -p 1,$$\" 2>&1"), 0);
    cr_expect_eq(strncmp(said, "1,", 2), 0, "%s", said);
}

Test(completion, of_bash_finds_the_sockets_of_a_process)
{
    char line[64];
    char expected[16];
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(line, sizeof(line), "closewait reap --grace=1s %d %d", (int)getpid(), fd);
    snprintf(expected, sizeof(expected), "%d", fd);
    cr_expect_str_eq(offered(line), expected, "%s", said);
    snprintf(line, sizeof(line), "closewait reap %d", (int)getpid());
    snprintf(expected, sizeof(expected), "%d", (int)getpid());
    cr_expect_not_null(strstr(offered(line), expected), "%s", said);
}

Test(completion, of_bash_has_every_option_of_the_help)
{
    static const char *const verbs[] = {"run", "report", "ps", "reap", "watch"};
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        char options[4096];
        if (shell(options, sizeof(options),
                  "%s %s --help 2>/dev/null | grep -o -e '--[a-z][a-z-]*' | sort -u",
                  built("closewait"), verbs[i]) != 0)
            continue;
        for (char *option = strtok(options, "\n"); option; option = strtok(NULL, "\n")) {
            char line[256];
            snprintf(line, sizeof(line), "closewait %s %s", verbs[i], option);
            cr_expect_not_null(strstr(offered(line), option), "%s", line);
            cr_expect_eq(
                shell(said, sizeof(said), "grep -q -e '%s[=}[]' completion/_closewait", option), 0,
                "%s is not in completion/_closewait", line);
        }
    }
}

Test(completion, has_every_column_of_the_help)
{
    char columns[8192];
    cr_assert_eq(shell(columns, sizeof(columns),
                       "%s ps --help | sed -n 's/^  \\([A-Z_]\\{2,\\}\\) .*/\\1/p' | sort -u",
                       built("closewait")),
                 0);
    cr_assert_geq(times(columns, "\n"), 15, "%s", columns);
    for (char *column = strtok(columns, "\n"); column; column = strtok(NULL, "\n")) {
        char line[256];
        snprintf(line, sizeof(line), "closewait ps -o %s", column);
        const bool usual = strcmp(offered(line), column) == 0;
        snprintf(line, sizeof(line), "closewait ps -l -o %s", column);
        cr_expect(usual || strcmp(offered(line), column) == 0, "%s", line);
        cr_expect_eq(
            shell(said, sizeof(said), "grep -q -e \"['\\\"]%s:\" completion/_closewait", column), 0,
            "%s is not in completion/_closewait", column);
    }
}

Test(completion, of_zsh_completes_at_a_terminal)
{
    static const struct {
        const char *line;
        const char *became;
    } rows[] = {
        {"closewait rep", "closewait report "},
        {"closewait run --act", "closewait run --action="},
        {"closewait run --action=close-", "closewait run --action=close-dead "},
        {"closewait run --signal=USR2 --for", "closewait run --signal=USR2 --format="},
        {"closewait run --last --suppress=READ", "closewait run --last --suppress=README.md "},
        {"closewait run --grace=1s ls READ", "closewait run --grace=1s ls README.md "},
        {"closewait report --format=fo", "closewait report --format=folded "},
        {"closewait report READ", "closewait report README.md "},
        {"closewait rea", "closewait reap "},
        {"closewait reap --dr", "closewait reap --dry-run "},
        {"closewait ps -o hu", "closewait ps -o hu"},
        {"closewait ps -l -o pid,hu", "closewait ps -l -o pid,HUNG_UP,"},
        {"closewait ps --output=+ino", "closewait ps --output=+INODE,"},
    };
    char command[4096] = "tests/completion/ask.zsh";
    char expected[4096] = "";
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        snprintf(command + strlen(command), sizeof(command) - strlen(command), " '%s'",
                 rows[i].line);
        snprintf(expected + strlen(expected), sizeof(expected) - strlen(expected), "%s\n",
                 rows[i].became);
    }
    cr_expect_eq(shell(said, sizeof(said), "%s 2>&1", command), 0, "%s", said);
    cr_expect_str_eq(said, expected, "%s", said);
    cr_expect_eq(shell(said, sizeof(said), "zsh -n completion/_closewait 2>&1"), 0, "%s", said);
}

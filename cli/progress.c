#define _GNU_SOURCE
#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "clock.h"

enum { FIRST_MS = 500, EACH_MS = 100, WIDTH = 30 };

/* A terminal that cannot go back to the beginning of its line gets none. */
struct progress progress_begin(uint64_t total)
{
    const char *term = getenv("TERM");
    return (struct progress){
        .wanted = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0,
        .total = total,
        .next_ms = (int64_t)clock_ms() + FIRST_MS,
    };
}

static void print_size(uint64_t bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    double size = (double)bytes;
    size_t unit = 0;
    for (; size >= 1000 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
        size /= 1000;
    fprintf(stderr, "%.*f %s", unit > 1 ? 1 : 0, size, units[unit]);
}

/* A file that still grows is longer than it was. */
static void draw(const struct progress *progress, uint64_t done)
{
    const uint64_t part = done < progress->total ? done : progress->total;
    const int full = progress->total ? (int)(WIDTH * part / progress->total) : 0;
    fputs("\rclosewait report: ", stderr);
    if (progress->total)
        fprintf(stderr, "%3" PRIu64 " %% [%-*.*s] ", 100 * part / progress->total, WIDTH, full,
                "##############################");
    print_size(done);
    if (progress->total) {
        fputs(" of ", stderr);
        print_size(progress->total);
    }
    fputs("\033[K", stderr);
    fflush(stderr);
}

void progress_note(struct progress *progress, uint64_t done)
{
    const int64_t now_ms = progress->wanted ? (int64_t)clock_ms() : 0;
    if (!progress->wanted || now_ms < progress->next_ms)
        return;
    draw(progress, done);
    progress->shown = true;
    progress->next_ms = now_ms + EACH_MS;
}

void progress_end(struct progress *progress)
{
    if (progress->shown)
        fputs("\r\033[K", stderr);
    progress->shown = false;
}

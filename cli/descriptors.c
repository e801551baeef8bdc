#define _GNU_SOURCE
#include "descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { SPARE = 16 };

/* The next is always the lowest that is free; reading and writing fail by O_PATH (open(2)). */
static int take_next(void)
{
    return open("/", O_PATH | O_CLOEXEC);
}

void descriptors_take_standard(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            take_next();
}

void descriptors_take_all(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

unsigned long descriptors_limit(void)
{
    struct rlimit limit = {0};
    getrlimit(RLIMIT_NOFILE, &limit);
    return (unsigned long)limit.rlim_cur;
}

bool descriptors_have_room(int count)
{
    const int next = take_next();
    if (next < 0)
        return errno != EMFILE && errno != ENFILE;
    close(next);
    return (unsigned long)next + (unsigned long)count + SPARE <= descriptors_limit();
}

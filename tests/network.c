#define _GNU_SOURCE
#include "network.h"

#include <criterion/criterion.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static bool bring_loopback_up(void)
{
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    const bool up = ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    close(fd);
    return up;
}

static bool set_fin_timeout(int seconds)
{
    FILE *file = fopen("/proc/sys/net/ipv4/tcp_fin_timeout", "w");
    if (!file)
        return false;
    const bool said = fprintf(file, "%d\n", seconds) > 0;
    return fclose(file) == 0 && said;
}

void network_own(int fin_timeout_s)
{
    if (unshare(CLONE_NEWNET) != 0 || !bring_loopback_up() || !set_fin_timeout(fin_timeout_s))
        cr_skip_test("no network namespace of our own (not root?)");
}

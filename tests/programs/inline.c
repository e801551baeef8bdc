/*
 * A program whose system calls are its own, as Go's are: no hook hears of its socket.
 *
 *     inline PORT [COUNT [ID]]
 *
 * connects to that port of the loopback address, once or so often, becomes the user and group of
 * that number, and dumpable again, and ends with standard input: with 1 if it is not dumpable then.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "raw.h"

int main(int argc, char **argv)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};
    char c;
    addr.sin_port = htons((in_port_t)(argc > 1 ? strtol(argv[1], NULL, 10) : 0));
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (long left = argc > 2 ? strtol(argv[2], NULL, 10) : 1; left > 0; left--) {
        const long fd = raw3(SYS_socket, AF_INET, SOCK_STREAM, 0);
        if (raw3(SYS_connect, fd, (long)&addr, sizeof(addr)) != 0)
            return 1;
    }
    if (argc > 3) {
        const long id = strtol(argv[3], NULL, 10);
        if (raw2(SYS_setgroups, 1, (long)&(gid_t){(gid_t)id}) != 0 ||
            raw3(SYS_setresgid, id, id, id) != 0 || raw3(SYS_setresuid, id, id, id) != 0 ||
            raw2(SYS_prctl, PR_SET_DUMPABLE, 1) != 0)
            return 1;
    }
    while (raw3(SYS_read, 0, (long)&c, 1) == 1) {
    }
    return argc > 3 && raw1(SYS_prctl, PR_GET_DUMPABLE) != 1;
}

/*
 * Doors by which the end of a stream is read, and descriptors come with a message.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

#include "doors.h"

static char buf[64];
static struct iovec iov = {buf, sizeof(buf)};
static struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

static ssize_t by_read(int fd, size_t len)
{
    return read(fd, buf, len);
}

static ssize_t by_readv(int fd, size_t len)
{
    iov.iov_len = len;
    return readv(fd, &iov, 1);
}

static ssize_t by_recv(int fd, size_t len)
{
    return recv(fd, buf, len, 0);
}

static ssize_t by_recvfrom(int fd, size_t len)
{
    return recvfrom(fd, buf, len, 0, NULL, NULL);
}

static ssize_t by_recvmsg(int fd, size_t len)
{
    iov.iov_len = len;
    return recvmsg(fd, &msg, 0);
}

static ssize_t by_recvmmsg(int fd, size_t len)
{
    struct mmsghdr msgs = {.msg_hdr = msg};
    iov.iov_len = len;
    const int n = recvmmsg(fd, &msgs, 1, 0, NULL);
    return n == 1 ? (ssize_t)msgs.msg_len : n;
}

static ssize_t by_splice(int fd, size_t len)
{
    static int ends[2] = {-1, -1};
    if (ends[0] < 0)
        must(pipe(ends) == 0);
    return splice(fd, NULL, ends[1], NULL, len, 0);
}

extern ssize_t __read_chk(int fd, void *to, size_t len, size_t size);
extern ssize_t __recv_chk(int fd, void *to, size_t len, size_t size, int flags);
extern ssize_t __recvfrom_chk(int fd, void *to, size_t len, size_t size, int flags,
                              struct sockaddr *from, socklen_t *from_len);

static ssize_t by_read_chk(int fd, size_t len)
{
    return __read_chk(fd, buf, len, sizeof(buf));
}

static ssize_t by_recv_chk(int fd, size_t len)
{
    return __recv_chk(fd, buf, len, sizeof(buf), 0);
}

static ssize_t by_recvfrom_chk(int fd, size_t len)
{
    return __recvfrom_chk(fd, buf, len, sizeof(buf), 0, NULL, NULL);
}

void read_through(ssize_t (*by)(int fd, size_t len))
{
    const int fd = ended("hi");
    must(by(fd, 2) == 2 && !eof_read(fd));
    must(by(fd, 0) == 0 && !eof_read(fd));
    must(by(fd, 2) == 0 && eof_read(fd));
    must_leak(fd, "eof-ignored", "connect");
    const int open = live();
    fcntl(open, F_SETFL, O_NONBLOCK);
    must_fail(by(open, 2), EAGAIN);
    must(!eof_read(open));
    close(open);
    close(peer);
    must_fail(by(open, 2), EBADF);
}

void door_read(void)
{
    read_through(by_read);
}

void door_readv(void)
{
    read_through(by_readv);
}

void door_recv(void)
{
    read_through(by_recv);
}

void door_recvfrom(void)
{
    read_through(by_recvfrom);
}

static int send_rights(int from, int fd)
{
    char control[CMSG_SPACE(sizeof(fd))] = {0};
    struct msghdr with = {.msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control,
                          .msg_controllen = sizeof(control)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&with);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(fd));
    memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    iov.iov_len = 1;
    return sendmsg(from, &with, 0) == 1 ? 0 : -1;
}

/* The number that came with a message, by recvmsg or recvmmsg. */
static int receive_rights(int from, int by_many)
{
    char control[CMSG_SPACE(sizeof(int))];
    struct mmsghdr with = {.msg_hdr = {.msg_iov = &iov,
                                       .msg_iovlen = 1,
                                       .msg_control = control,
                                       .msg_controllen = sizeof(control)}};
    if (by_many)
        must(recvmmsg(from, &with, 1, 0, NULL) == 1);
    else
        must(recvmsg(from, &with.msg_hdr, 0) == 1);
    int fd = -1;
    const struct cmsghdr *header = CMSG_FIRSTHDR(&with.msg_hdr);
    must(header != NULL);
    if (header)
        memcpy(&fd, CMSG_DATA(header), sizeof(fd));
    return fd;
}

static void pass_through(int by_many)
{
    int ends[2];
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    const int fd = live();
    must(send_rights(ends[0], fd) == 0);
    const int received = receive_rights(ends[1], by_many);
    must(received != fd && state(received) == SLOT_LIVE && how(received) == HOW_RECEIVED);
    must(send_rights(ends[0], 0) == 0);
    const int other = receive_rights(ends[1], by_many);
    must(state(other) == SLOT_FREE);
    close(other);
    close(fd);
    close(peer);
    await_fin(received);
    must_leak(received, "eof-unread", "received");
    close(ends[0]);
    close(ends[1]);
}

void door_recvmsg(void)
{
    read_through(by_recvmsg);
    pass_through(0);
}

void door_recvmmsg(void)
{
    read_through(by_recvmmsg);
    pass_through(1);
}

void door_splice(void)
{
    read_through(by_splice);
}

void door___read_chk(void)
{
    read_through(by_read_chk);
}

void door___recv_chk(void)
{
    read_through(by_recv_chk);
}

void door___recvfrom_chk(void)
{
    read_through(by_recvfrom_chk);
}

static ssize_t by_write(int fd)
{
    return write(fd, "hi", 2);
}

static ssize_t by_writev(int fd)
{
    const struct iovec out = {"hi", 2};
    return writev(fd, &out, 1);
}

static ssize_t by_send(int fd)
{
    return send(fd, "hi", 2, MSG_NOSIGNAL);
}

static ssize_t by_sendto(int fd)
{
    return sendto(fd, "hi", 2, MSG_NOSIGNAL, NULL, 0);
}

static ssize_t by_sendmsg(int fd)
{
    struct iovec out = {"hi", 2};
    const struct msghdr with = {.msg_iov = &out, .msg_iovlen = 1};
    return sendmsg(fd, &with, 0);
}

static ssize_t by_sendmmsg(int fd)
{
    struct iovec out = {"hi", 2};
    struct mmsghdr with = {.msg_hdr = {.msg_iov = &out, .msg_iovlen = 1}};
    return sendmmsg(fd, &with, 1, 0) == 1 ? (ssize_t)with.msg_len : -1;
}

static int two_bytes(void)
{
    const int file = memfd_create("two bytes", 0);
    must(write(file, "hi", 2) == 2 && lseek(file, 0, SEEK_SET) == 0);
    return file;
}

static ssize_t by_sendfile(int fd)
{
    const int file = two_bytes();
    const ssize_t n = sendfile(fd, file, NULL, 2);
    const int kept = errno;
    close(file);
    errno = kept;
    return n;
}

static ssize_t by_sendfile64(int fd)
{
    const int file = two_bytes();
    const ssize_t n = sendfile64(fd, file, NULL, 2);
    const int kept = errno;
    close(file);
    errno = kept;
    return n;
}

/* What was written arrives, and with last=on it is told where it was. */
void write_through(ssize_t (*by)(int fd))
{
    const int fd = live();
    char said[2] = "";
    must(by(fd) == 2);
    must(read(peer, said, 2) == 2 && memcmp(said, "hi", 2) == 0);
    must(slot_of(fd)->last_at != 0 && slot_of(peer)->last_at != 0);
    close(peer);
    await_fin(fd);
    must_leak(fd, "eof-unread", "connect");
    must_fail(by(-1), EBADF);
}

void door_write(void)
{
    write_through(by_write);
}

void door_writev(void)
{
    write_through(by_writev);
}

void door_send(void)
{
    write_through(by_send);
}

void door_sendto(void)
{
    write_through(by_sendto);
}

void door_sendmsg(void)
{
    write_through(by_sendmsg);
}

void door_sendmmsg(void)
{
    write_through(by_sendmmsg);
}

void door_sendfile(void)
{
    write_through(by_sendfile);
}

void door_sendfile64(void)
{
    write_through(by_sendfile64);
}

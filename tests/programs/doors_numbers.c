/*
 * Doors by which a descriptor's number comes to mean something else.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <unistd.h>

#include "doors.h"

void door_close(void)
{
    const int fd = live();
    /* A high number: the watcher has the lowest free one for some microseconds now and then. */
    must(dup2(fd, 300) == 300 && close(300) == 0 && state(300) == SLOT_FREE);
    must_fail(close(300), EBADF);
    must(close(fd) == 0 && state(fd) == SLOT_FREE);
    close(peer);
    must_fail(close(-1), EBADF);
}

/* A range that holds nothing that another row left: both ends of a connection, from 500 on. */
static int live_apart(void)
{
    const int fd = live();
    must(dup2(fd, 500) == 500 && dup2(peer, 501) == 501);
    close(fd);
    close(peer);
    return 500;
}

void door_close_range(void)
{
    const int fd = live_apart();
    must(close_range((unsigned)fd, (unsigned)fd, CLOSE_RANGE_CLOEXEC) == 0);
    must(state(fd) == SLOT_LIVE && fcntl(fd, F_GETFD) == FD_CLOEXEC);
    must(close_range((unsigned)fd, (unsigned)fd + 1, 0) == 0);
    must(state(fd) == SLOT_FREE && state(fd + 1) == SLOT_FREE);
    must_fail(close_range(5, 4, 0), EINVAL);
    const int other = live_apart();
    must(close_range((unsigned)other, ~0U, CLOSE_RANGE_UNSHARE) == 0);
    must(state(other) == SLOT_FREE && fcntl(other, F_GETFD) == -1);
}

void door_closefrom(void)
{
    const int fd = live_apart();
    closefrom(fd);
    must(state(fd) == SLOT_FREE && state(fd + 1) == SLOT_FREE);
    must_fail(fcntl(fd, F_GETFD), EBADF);
}

/* Two descriptors of one socket are one leak. */
void must_be_copy(int fd, int copy)
{
    must(copy >= 0 && copy != fd && state(copy) == SLOT_LIVE && state(fd) == SLOT_LIVE);
    must(slot_word(slot_of(fd)) & SLOT_COPIED);
    close(peer);
    await_fin(fd);
    must_leak(fd, "eof-unread", "connect");
}

void door_dup(void)
{
    const int fd = live();
    const int copy = dup(fd);
    must(state(copy) == SLOT_LIVE && close(copy) == 0);
    must(state(copy) == SLOT_FREE && state(fd) == SLOT_LIVE);
    must_be_copy(fd, dup(fd));
    must_fail(dup(-1), EBADF);
}

void door_dup2(void)
{
    const int fd = live();
    const int other_end = peer;
    const int over = live();
    close(peer);
    peer = other_end;
    must(dup2(fd, fd) == fd && state(fd) == SLOT_LIVE);
    must(dup2(0, over) == over && state(over) == SLOT_FREE);
    must(dup2(fd, over) == over);
    must_be_copy(fd, over);
    must_fail(dup2(-1, fd), EBADF);
    must(state(fd) == SLOT_LIVE);
}

void door_dup3(void)
{
    const int fd = live();
    must_fail(dup3(fd, fd, 0), EINVAL);
    must(state(fd) == SLOT_LIVE);
    const int copy = dup3(fd, 470, O_CLOEXEC);
    must(copy == 470 && fcntl(copy, F_GETFD) == FD_CLOEXEC);
    must_be_copy(fd, copy);
}

void door_fcntl(void)
{
    const int fd = live();
    must(fcntl(fd, F_GETFL) == O_RDWR);
    must(fcntl(fd, F_SETFL, O_NONBLOCK) == 0 && fcntl(fd, F_GETFL) == (O_RDWR | O_NONBLOCK));
    const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 480);
    must(copy >= 480);
    must_be_copy(fd, copy);
    must_fail(fcntl(-1, F_GETFL), EBADF);
}

void door_fcntl64(void)
{
    const int fd = live();
    must_be_copy(fd, fcntl64(fd, F_DUPFD, 490));
    must_fail(fcntl64(-1, F_DUPFD, 0), EBADF);
}

void door_fclose(void)
{
    const int fd = live();
    FILE *stream = fdopen(fd, "r+");
    errno = 0;
    must(fclose(stream) == 0 && errno == 0);
    must(state(fd) == SLOT_FREE);
    close(peer);
    char memory[4];
    must(fclose(fmemopen(memory, sizeof(memory), "w")) == 0 && errno == 0);
}

void door_freopen(void)
{
    const int fd = live();
    FILE *stream = freopen("/dev/null", "r", fdopen(fd, "r+"));
    must(stream && fileno(stream) == fd && state(fd) == SLOT_FREE);
    fclose(stream);
    close(peer);
}

void door_freopen64(void)
{
    const int fd = live();
    FILE *stream = freopen64("/no/such/file", "r", fdopen(fd, "r+"));
    must(!stream && errno == ENOENT && state(fd) == SLOT_FREE);
    close(peer);
}

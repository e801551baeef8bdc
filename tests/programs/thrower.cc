/*
 * As caller.c, in C++: the connection is made while an exception is handled, in a template.
 */
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <unistd.h>

extern "C" int dial(int port);

namespace pool
{

template <typename T> struct connections {
    __attribute__((noinline)) int open(T port)
    {
        const int fd = dial(static_cast<int>(port));
        __asm__ volatile("" ::: "memory");
        return fd;
    }
};

__attribute__((noinline)) int refuse(long port)
{
    if (port >= 0)
        throw std::runtime_error("refused");
    return -1;
}

__attribute__((noinline)) int retry(long port)
{
    connections<long> all;
    try {
        return refuse(port);
    } catch (const std::runtime_error &) {
        const int fd = all.open(port);
        __asm__ volatile("" ::: "memory");
        return fd;
    }
}

} // namespace pool

int main(int argc, char **argv)
{
    char c;
    pool::retry(argc > 1 ? std::strtol(argv[1], nullptr, 10) : 0);
    std::puts("connected");
    std::fflush(stdout);
    return read(0, &c, 1) < 0;
}

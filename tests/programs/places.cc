/*
 * As places.c: template, method that throws, lambda, and functions that the linker does not see.
 */
#include <cstdint>
#include <cstdio>
#include <link.h>
#include <stdexcept>

static volatile int sink; /* after a call, so that it is no tail call */

static int first_bias(struct dl_phdr_info *info, size_t, void *bias)
{
    *static_cast<uintptr_t *>(bias) = info->dlpi_addr;
    return 1;
}

extern "C" __attribute__((noinline)) void say(const char *function, int line)
{
    uintptr_t bias = 0;
    dl_iterate_phdr(first_bias, &bias);
    printf("%lx %d %s\n", (uintptr_t)__builtin_return_address(0) - 1 - bias, line, function);
}

namespace
{
__attribute__((noinline)) int hidden(int n)
{
    say("(anonymous namespace)::hidden(int)", __LINE__);
    return n + sink;
}
} // namespace

namespace net
{
template <class T> class Socket
{
  public:
    explicit Socket(T number) : number_(number)
    {
    }

    __attribute__((noinline)) T read(int n)
    {
        say("net::Socket<long>::read(int)", __LINE__);
        if (n > sink)
            throw std::runtime_error("read");
        return number_;
    }

    inline __attribute__((always_inline)) T peek(int n)
    {
        say("net::Socket<long>::peek(int)", __LINE__);
        return number_ + n + sink;
    }

  private:
    T number_;
};

static __attribute__((noinline)) int apart(int n)
{
    say("net::apart(int)", __LINE__);
    return n + sink;
}
} // namespace net

/* More functions in one place than are kept. */
template <int N> inline __attribute__((always_inline)) int deep(int n)
{
    if constexpr (N > 0)
        return deep<N - 1>(n) + sink;
    say("int deep<0>(int)", __LINE__);
    return n;
}

static __attribute__((noinline)) int nest(int n)
{
    return deep<20>(n) + sink;
}

int main(int argc, char **)
{
    net::Socket<long> socket(argc);
    const auto lambda = [&](int n) __attribute__((noinline))
    {
        say("main::{lambda(int)#1}::operator()(int) const", __LINE__);
        return n + argc + sink;
    };
    sink = static_cast<int>(socket.peek(argc)) + hidden(argc) + net::apart(argc) + lambda(argc);
    sink = nest(0);
    sink = 0;
    try {
        sink = static_cast<int>(socket.read(argc));
    } catch (const std::runtime_error &) {
        say("main", __LINE__);
    }
    sink = 0;
    return 0;
}

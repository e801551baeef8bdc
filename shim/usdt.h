/*
 * The static probes (USDT) of the shim: places at which bpftrace, perf, gdb or SystemTap can stop
 * while it is at work, for what reports do not tell. One that nobody uses is a nop, and a note in
 * the file, in a section that is not loaded, says where it is and where its arguments are. (What is
 * no kernel's and no probe's: probe.h, which asks a peer by keepalive.)
 *
 * The provider is closewait. Every probe has a descriptor as its first argument, and milliseconds
 * as its second, but for eof. site is that of reports; of its 64 bits a 32-bit process has the low
 * half. class and why are strings, the words of reports.
 *
 *     eof         fd, how                             a read found the end of a stream
 *     leak        fd, age, class, site                a socket is counted as leaked
 *     reap        fd, age, class, site, why, error    it was closed for the program; error 0, or
 *                                                     the errno of why it was not
 *     rescue      fd, waited, what, count, error      "port": count sockets were closed for a bind
 *                                                     or connect of fd, which then said error;
 *                                                     "descriptors": count numbers were given back,
 *                                                     fd is -1
 *     late_close  fd, age, reaped, site               the program closed what was told or reaped
 *
 * age is for how long the peer has been gone. eof, late_close and most rescues are on the thread of
 * the program that made the call; leak and reap are mostly the watcher's.
 * Suppressed leaks have no probe. An eof has no site: its hash goes through all frames, and each
 * connection would pay for it.
 *
 * Without <sys/sdt.h> (systemtap-sdt-dev in Debian) when the shim is built, there are no probes.
 *
 * Any thread, any signal handler; errno is kept.
 */
#ifndef CLOSEWAIT_USDT_H
#define CLOSEWAIT_USDT_H

#include "depot.h"
#include "names.h"
#include "record.h"

#if __has_include(<sys/sdt.h>)
#include <sys/sdt.h>
#else
#define STAP_PROBE2(provider, name, a, b)             ((void)(a), (void)(b))
#define STAP_PROBE4(provider, name, a, b, c, d)       ((void)(a), (void)(b), (void)(c), (void)(d))
#define STAP_PROBE5(provider, name, a, b, c, d, e)    (STAP_PROBE4(, , a, b, c, d), (void)(e))
#define STAP_PROBE6(provider, name, a, b, c, d, e, f) (STAP_PROBE5(, , a, b, c, d, e), (void)(f))
#endif

static inline unsigned long usdt_site(site_t site)
{
    return (unsigned long)depot_hash(site);
}

static inline void usdt_eof(int fd, enum how how)
{
    STAP_PROBE2(closewait, eof, fd, names_how[how]);
}

static inline void usdt_leak(const struct leak *leak)
{
    STAP_PROBE4(closewait, leak, leak->fd, leak->gone_ms, names_class[leak->class],
                usdt_site(leak->opened_at));
}

static inline void usdt_reap(const struct leak *leak, enum reap_why why, int error)
{
    STAP_PROBE6(closewait, reap, leak->fd, leak->gone_ms, names_class[leak->class],
                usdt_site(leak->opened_at), names_why[why], error);
}

static inline void usdt_rescue_port(int fd, uint32_t waited_ms, int count, int error)
{
    STAP_PROBE5(closewait, rescue, fd, waited_ms, "port", count, error);
}

static inline void usdt_rescue_descriptors(int count)
{
    STAP_PROBE5(closewait, rescue, -1, (uint32_t)0, "descriptors", count, 0);
}

/* Not a bool: gdb does not know the registers of one byte (%r12b). */
static inline void usdt_late_close(int fd, uint32_t gone_ms, int reaped, site_t site)
{
    STAP_PROBE4(closewait, late_close, fd, gone_ms, reaped, usdt_site(site));
}

#endif

/*
 * Writes a log as many processes under the shim would: JSON lines of leaks at call sites that grow,
 * stay flat, are reaped or are closed late. The same arguments give the same bytes.
 *
 *     records LINES PROCESSES SITES [HOSTILE]
 *
 * With HOSTILE, which is any word, names are such as break what does not escape them, between lines
 * that are torn or of an unknown type.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FRAMES = 6, PEERS = 200, MOMENTS = 86400, KINDS = 4 };

/* What a site's leaks come to, by its number. */
enum kind { GROWS, POOLS, IS_REAPED, CLOSES_LATE };

/* One site in one process, as the shim counts. */
struct counts {
    uint32_t leaks;
    uint32_t over; /* reaped, or closed late */
};

static const char *const hostile[] = {
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<!--<script>",
    "a\\u2028b\\u2029c",
    "\\\"'&amp;\\\\",
    "\\u0001\\u001b[31m\\u007f",
    "\\u202edrawkcab \xc3\xa4",
};

static uint64_t state = 88172645463325252ULL;

/* Marsaglia, Xorshift RNGs, 2003. */
static uint32_t any_below(uint32_t limit)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32) % limit;
}

static const char *name_of(bool is_hostile, unsigned number, const char *plain)
{
    return is_hostile ? hostile[number % (sizeof(hostile) / sizeof(hostile[0]))] : plain;
}

static void begin(const char *type, uint64_t ms, uint32_t process, bool is_hostile)
{
    static const char *const names[] = {"api", "worker", "proxy", "importer", "mailer"};
    const time_t seconds = 1767225600 + (time_t)(ms / 1000); /* 2026-01-01 */
    struct tm tm;
    char time[48];
    strftime(time, sizeof(time), "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &tm));
    printf("{\"type\":\"%s\",\"time\":\"%s.%03dZ\",\"pid\":%" PRIu32 ",\"comm\":\"%s\"", type, time,
           (int)(ms % 1000), 1000 + process, name_of(is_hostile, process, names[process % 5]));
}

static void put_stack(uint32_t site, bool is_hostile)
{
    fputs(",\"open_stack\":[", stdout);
    for (uint32_t frame = 0; frame < FRAMES; frame++) {
        /* Sites have their outer frames in common. */
        const uint32_t function = frame == FRAMES - 1 ? 0 : (site >> (2 * frame)) * 10 + frame;
        char plain[32];
        snprintf(plain, sizeof(plain), function ? "function_%" PRIu32 : "main", function);
        printf("%s{\"module\":\"/opt/shop/bin/%s\",\"build_id\":"
               "\"bd777ea3a6a35a1516b32ae214eedbdf858424fb\",\"offset\":%" PRIu32
               ",\"symbol\":\"%s\",\"file\":\"/src/shop/%s.c\",\"line\":%" PRIu32 "}",
               frame > 0 ? "," : "", name_of(is_hostile, site + frame, "shop"),
               4096 + function * 16, name_of(is_hostile, site + frame + 1, plain),
               name_of(is_hostile, site + frame + 2, "net"), 10 + function % 900);
    }
    fputs("]", stdout);
}

static uint64_t hash_of(uint32_t site)
{
    return (site + 1) * 0x9e3779b97f4a7c15ULL;
}

static void put_addresses(uint32_t site, uint32_t leak)
{
    printf(",\"fd\":%" PRIu32 ",\"class\":\"%s\"", 3 + leak % 1000,
           site % 5 == 0 ? "eof-ignored" : "eof-unread");
    printf(",\"local\":\"10.0.%u.1:%u\",\"peer\":\"10.1.%u.%u:%u\"", site % 250,
           1024 + leak % 60000, site % 250, any_below(PEERS), 5000 + site % 100);
}

static void put_counts(uint32_t count, uint64_t age_ms)
{
    printf(",\"count\":%" PRIu32 ",\"since\":%" PRIu32 ",\"site_age_s\":%" PRIu64 ".%03d", count,
           count - 1, age_ms / 1000, (int)(age_ms % 1000));
}

static void put_leak(struct counts *counts, uint64_t ms, uint32_t process, uint32_t site,
                     bool is_hostile)
{
    begin("leak", ms, process, is_hostile);
    put_addresses(site, counts->leaks);
    printf(",\"state\":\"CLOSE_WAIT\",\"how\":\"%s\",\"fin_age_s\":10.%03d,\"open_age_s\":%" PRIu32
           ".500,\"unread\":0,\"unsent\":0,\"site\":\"%016" PRIx64 "\"",
           site % 3 ? "connect" : "accept", (int)any_below(1000), 11 + any_below(600),
           hash_of(site));
    put_stack(site, is_hostile);
    put_counts(++counts->leaks, ms / 2);
    puts("}");
}

static void put_reap(struct counts *counts, uint64_t ms, uint32_t process, uint32_t site,
                     bool is_hostile)
{
    begin("reap", ms, process, is_hostile);
    put_addresses(site, counts->over);
    printf(",\"fin_age_s\":61.250,\"why\":\"%s\",\"outcome\":\"%s\",\"site\":\"%016" PRIx64 "\"",
           site & 8 ? "dead" : "grace", any_below(20) ? "gone" : "closing", hash_of(site));
    put_counts(++counts->over, ms / 2);
    puts("}");
}

static void put_late(struct counts *counts, uint64_t ms, uint32_t process, uint32_t site,
                     bool is_hostile)
{
    begin("late-close", ms, process, is_hostile);
    put_addresses(site, counts->over);
    printf(",\"fin_age_s\":%" PRIu32 ".125,\"reaped\":false,\"site\":\"%016" PRIx64 "\"",
           12 + any_below(20), hash_of(site));
    put_counts(++counts->over, ms / 2);
    printf(",\"leaks\":%" PRIu32 ",\"grace_s\":40.000}\n", counts->leaks);
}

static void put_line(struct counts *counts, uint64_t ms, uint32_t process, uint32_t site,
                     bool is_hostile)
{
    enum { POOL = 8 };
    const enum kind kind = site % KINDS;
    const bool ends = counts->over < counts->leaks && any_below(3) == 0;
    if (kind == IS_REAPED && ends)
        put_reap(counts, ms, process, site, is_hostile);
    else if ((kind == CLOSES_LATE && ends) ||
             (kind == POOLS && counts->leaks - counts->over >= POOL))
        put_late(counts, ms, process, site, is_hostile);
    else
        put_leak(counts, ms, process, site, is_hostile);
}

static void put_noise(uint64_t line)
{
    static const char *const noise[] = {"{\"type\":\"leak\",\"time\":\"2026-01-01T08:00:0",
                                        "not JSON at all", "{\"type\":\"dream\"}",
                                        "{\"type\":\"leak\",\"comm\":\"\xff\xfe\"}"};
    puts(noise[line % (sizeof(noise) / sizeof(noise[0]))]);
}

static uint64_t number(const char *word, uint64_t most)
{
    const uint64_t value = strtoull(word, NULL, 10);
    if (value >= 1 && value <= most)
        return value;
    fprintf(stderr, "records: '%s': expected a number from 1 to %" PRIu64 "\n", word, most);
    exit(2);
}

int main(int argc, char **argv)
{
    if (argc < 4 || argc > 5) {
        fputs("usage: records LINES PROCESSES SITES [HOSTILE]\n", stderr);
        return 2;
    }
    const uint64_t lines = number(argv[1], UINT64_MAX);
    const uint32_t processes = (uint32_t)number(argv[2], 1000000);
    const uint32_t sites = (uint32_t)number(argv[3], 1000000);
    const bool is_hostile = argc == 5;
    /* A process has but some of the sites. */
    const uint32_t own = sites < 8 ? sites : 8;
    struct counts *counts = calloc((size_t)processes * own, sizeof(*counts));
    if (!counts)
        return 1;
    for (uint64_t line = 0; line < lines; line++) {
        const uint64_t ms = line * MOMENTS * 1000 / lines;
        const uint32_t process = any_below(processes);
        const uint32_t nth = any_below(own);
        const uint32_t site = (process + nth) % sites;
        put_line(&counts[process * own + nth], ms, process, site, is_hostile);
        if (is_hostile && line % 10 == 9)
            put_noise(line / 10);
    }
    free(counts);
    return fflush(stdout) != 0;
}

/*
 * What a report is made of: addresses and durations.
 */
#include "text.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>

static struct endpoint end_of(const char *ip, uint16_t port, uint32_t scope)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 in6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_scope_id = scope};
    if (inet_pton(AF_INET, ip, &in.sin_addr) == 1)
        return endpoint_of((struct sockaddr *)&in, sizeof(in));
    cr_assert_eq(inet_pton(AF_INET6, ip, &in6.sin6_addr), 1, "%s", ip);
    return endpoint_of((struct sockaddr *)&in6, sizeof(in6));
}

Test(text, writes_addresses_as_rfc_5952_does)
{
    static const struct {
        const char *ip;
        uint32_t scope;
        const char *text;
    } rows[] = {
        {"127.0.0.1", 0, "127.0.0.1:7070"},
        {"255.255.255.255", 0, "255.255.255.255:7070"},
        {"::ffff:192.0.2.1", 0, "192.0.2.1:7070"},
        {"::", 0, "[::]:7070"},
        {"::1", 0, "[::1]:7070"},
        {"2001:db8::", 0, "[2001:db8::]:7070"},
        {"2001:db8:0:0:1:0:0:1", 0, "[2001:db8::1:0:0:1]:7070"},
        {"2001:db8:0:1:1:1:1:1", 0, "[2001:db8:0:1:1:1:1:1]:7070"},
        {"2001:0:0:1:0:0:0:1", 0, "[2001:0:0:1::1]:7070"},
        {"fe80::abcd", 2, "[fe80::abcd%2]:7070"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct endpoint end = end_of(rows[i].ip, 7070, rows[i].scope);
        char buffer[80];
        struct text text = text_in(buffer, sizeof(buffer));
        text_add_endpoint(&text, &end);
        cr_expect_str_eq(buffer, rows[i].text);
    }
}

Test(text, writes_durations_as_people_say_them)
{
    static const struct {
        uint64_t ms;
        const char *text;
    } rows[] = {
        {0, "0.0 s"},       {450, "0.4 s"},       {5000, "5.0 s"},
        {59999, "59.9 s"},  {60000, "1m00s"},     {190000, "3m10s"},
        {3600000, "1h00m"}, {86399999, "23h59m"}, {4 * 86400000ULL + 7 * 3600000ULL, "4d07h"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char buffer[40];
        struct text text = text_in(buffer, sizeof(buffer));
        text_add_duration(&text, rows[i].ms);
        cr_expect_str_eq(buffer, rows[i].text);
    }
}

Test(text, writes_a_grace_as_the_option_reads_it)
{
    static const struct {
        uint64_t ms;
        const char *text;
    } rows[] = {
        {1, "1ms"},     {500, "500ms"},  {1000, "1s"},     {1500, "1500ms"},  {90000, "90s"},
        {240000, "4m"}, {3600000, "1h"}, {5400000, "90m"}, {86400000, "24h"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char buffer[40];
        struct text text = text_in(buffer, sizeof(buffer));
        text_add_grace(&text, rows[i].ms);
        cr_expect_str_eq(buffer, rows[i].text);
    }
}

Test(text, keeps_what_fits_and_says_that_it_was_cut)
{
    char buffer[8];
    struct text text = text_in(buffer, sizeof(buffer));
    text_add(&text, "12345");
    cr_expect_not(text.cut);
    text_add(&text, "67890");
    cr_expect(text.cut);
    cr_expect_str_eq(buffer, "1234567");
}

Test(endpoint, knows_what_keeps_a_port_from_being_bound)
{
    static const struct {
        const char *a;
        const char *b;
        bool conflict;
    } rows[] = {
        {"127.0.0.1", "127.0.0.1", true},
        {"0.0.0.0", "127.0.0.1", true},
        {"127.0.0.1", "0.0.0.0", true},
        {"127.0.0.1", "127.0.0.2", false},
        {"::ffff:127.0.0.1", "127.0.0.1", true},
        {"::", "127.0.0.1", true},
        {"::1", "127.0.0.1", false},
        {"::1", "0.0.0.0", false},
        {"::1", "::", true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct endpoint a = end_of(rows[i].a, 1, 0);
        const struct endpoint b = end_of(rows[i].b, 1, 0);
        const struct endpoint other = end_of(rows[i].b, 2, 0);
        cr_expect_eq(endpoint_conflict(&a, &b), rows[i].conflict, "%s %s", rows[i].a, rows[i].b);
        cr_expect_not(endpoint_conflict(&a, &other), "%s %s", rows[i].a, rows[i].b);
    }
}

Test(endpoint, tells_links_apart_by_the_scope_of_an_address_that_is_local_to_one)
{
    const struct endpoint here = end_of("fe80::1", 1, 2);
    const struct endpoint there = end_of("fe80::1", 1, 3);
    const struct endpoint unknown = end_of("fe80::1", 1, 0);
    cr_expect(endpoint_conflict(&here, &here));
    cr_expect(endpoint_conflict(&here, &unknown));
    cr_expect_not(endpoint_conflict(&here, &there));
    const struct endpoint global[] = {end_of("2001:db8::1", 1, 2), end_of("2001:db8::1", 1, 3)};
    cr_expect(endpoint_conflict(&global[0], &global[1]));
}

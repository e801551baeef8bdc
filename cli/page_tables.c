/*
 * What the page shows without its script: numbers and tables.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frames.h"
#include "must.h"
#include "names.h"
#include "page.h"
#include "page_cells.h"
#include "page_text.h"
#include "text.h"

enum { PEERS_SHOWN = 20 };

static void print_frame(const json_t *frame)
{
    char *words = frames_text(frame);
    page_text(stdout, words);
    free(words);
}

static void print_stack(const char *title, const json_t *stack)
{
    size_t at;
    const json_t *frame;
    if (json_array_size(stack) == 0)
        return;
    printf("<p>%s</p><ol class=\"code\">", title);
    json_array_foreach((json_t *)stack, at, frame)
    {
        fputs("<li>", stdout);
        print_frame(frame);
        fputs("</li>", stdout);
        if (frames_is_main(frame))
            break;
    }
    fputs("</ol>", stdout);
}

char *page_name(const struct page *page, size_t at)
{
    const struct group *group = page->groups->all[at];
    const json_t *stack = json_object_get(page->stacks[at], "open_stack");
    char *name = NULL;
    if (json_array_size(stack) > 0)
        return frames_text(json_array_get(stack, 0));
    if (asprintf(&name, "no stack: %s",
                 group->names.count > 0 ? group->names.all[0].name : group->site) < 0)
        must(NULL);
    return name;
}

static void print_name(const struct page *page, size_t at)
{
    char *name = page_name(page, at);
    page_text(stdout, name);
    free(name);
}

static void print_peers(const struct group *group)
{
    const struct met *top[GROUP_TOP];
    const size_t shown = counts_top(&group->peers, top, GROUP_TOP);
    for (size_t i = 0; i < shown; i++) {
        char *address = group_peer(top[i]);
        fputs(i > 0 ? ", " : "<p>Peers: ", stdout);
        page_text(stdout, address);
        printf(" (%" PRIu64 ")", top[i]->times);
        free(address);
    }
    if (group->peers.count > shown)
        printf(" and %zu%s more", group->peers.count - shown, group->other_peers ? " or" : "");
    fputs(shown > 0 ? "</p>" : "", stdout);
}

static void print_site(const struct page *page, size_t at)
{
    const struct group *group = page->groups->all[at];
    printf("<tr id=\"site-%zu\"><th scope=\"row\" class=\"name\"><details><summary class=\"code\">",
           at);
    print_name(page, at);
    printf("</summary><p>Site <code>%s</code>, seen from ", group->site);
    page_print_time(group->first_ms);
    fputs(" to ", stdout);
    page_print_time(group->last_ms);
    fputs("</p><p>How: ", stdout);
    page_print_met(&group->ways, GROUP_TOP);
    fputs("</p><p>Processes: ", stdout);
    page_print_met(&group->names, GROUP_TOP);
    fputs("</p>", stdout);
    print_peers(group);
    print_stack("Opened at", json_object_get(page->stacks[at], "open_stack"));
    print_stack("End of stream read at", json_object_get(page->stacks[at], "eof_stack"));
    fputs("</details></th><td>", stdout);
    page_print_met(&group->names, 1);
    fputs("</td><td class=\"whole\">", stdout);
    page_print_met(&group->classes, 1);
    fputs("</td>", stdout);
    page_print_number(group->sums.leaks);
    page_print_number(group->sums.held);
    page_print_number(group->sums.held_at_end);
    page_print_number(group->sums.reaped);
    page_print_number(group->sums.late);
    page_print_duration(group_oldest_ms(page->groups, group));
    page_print_rate(group_growth(group));
    printf("<td class=\"trend\">%s</td></tr>\n", names_trend[group_trend(group)]);
}

void page_print_sites(const struct page *page)
{
    static const struct page_column columns[] = {
        {"Call site", "name"}, {"Processes", NULL},       {"Class", NULL},
        {"Leaked", "number"},  {"Held now", "number"},    {"Held at end", "number"},
        {"Reaped", "number"},  {"Closed late", "number"}, {"Oldest", "number"},
        {"An hour", "number"}, {"Trend", NULL},
    };
    page_begin_section(
        "sites", "Call sites",
        page->shown > 0 ? "Each line of code that opened sockets which leaked, what holds most now "
                          "first. Open one for its stack and its peers."
                        : "Nothing leaked.");
    if (page->shown > 0) {
        page_begin_table("sites", "Call sites by what they hold", columns, PAGE_COUNT_OF(columns));
        for (size_t i = 0; i < page->shown; i++)
            print_site(page, i);
        page_end_table();
    }
    fputs("</section>\n", stdout);
}

static void print_tile(const char *title, uint64_t number, const char *class)
{
    printf("<div><dt>%s</dt><dd%s>", title, number > 0 ? class : "");
    page_print_grouped(number);
    fputs("</dd></div>\n", stdout);
}

void page_print_summary(const struct page *page)
{
    struct sums total = {0};
    for (size_t i = 0; i < page->groups->count; i++) {
        const struct sums *sums = &page->groups->all[i]->sums;
        total.leaks += sums->leaks;
        total.held += sums->held;
        total.held_at_end += sums->held_at_end;
        total.reaped += sums->reaped;
        total.late += sums->late;
    }
    fputs("<dl class=\"tiles\">\n", stdout);
    print_tile("sockets leaked", total.leaks, "");
    print_tile("held now", total.held, " class=\"bad\"");
    print_tile("held when their process ended", total.held_at_end, "");
    print_tile("reaped", total.reaped, " class=\"good\"");
    print_tile("closed late by the program", total.late, "");
    print_tile("call sites", page->groups->count, "");
    print_tile("processes", page->groups->tallies.processes, "");
    fputs("</dl>\n", stdout);
}

/* Of all sites. What is left out of a site's own peers is left out here. */
static struct counts all_peers(const struct page *page, struct quota *quota)
{
    struct counts peers = {0};
    for (size_t i = 0; i < page->groups->count; i++) {
        const struct counts *its = &page->groups->all[i]->peers;
        for (size_t j = 0; j < its->count; j++)
            counts_add(&peers, quota, SIZE_MAX, its->all[j].name, its->all[j].times);
    }
    return peers;
}

void page_print_peers(const struct page *page)
{
    static const struct page_column columns[] = {{"Peer", NULL},
                                                 {"Leaked sockets to it", "number"}};
    const struct met *top[PEERS_SHOWN];
    struct quota quota = {0};
    struct counts peers = all_peers(page, &quota);
    const size_t shown = counts_top(&peers, top, PEERS_SHOWN);
    if (shown > 0) {
        page_begin_section(
            "peers", "Peers",
            "Whose closing was not answered, of the leaks that had a record of their "
            "own.");
        page_begin_table("peers", "Peers by how many leaked sockets they had", columns,
                         PAGE_COUNT_OF(columns));
        for (size_t i = 0; i < shown; i++) {
            fputs("<tr><td>", stdout);
            page_text(stdout, top[i]->name);
            fputs("</td>", stdout);
            page_print_number(top[i]->times);
            fputs("</tr>\n", stdout);
        }
        page_end_table();
        if (peers.count > shown)
            printf("<p>And %zu more.</p>\n", peers.count - shown);
        fputs("</section>\n", stdout);
    }
    counts_free(&peers);
}

static void print_site_link(const struct page *page, size_t at)
{
    printf("<td class=\"name code\"><a href=\"#site-%zu\">", at);
    print_name(page, at);
    fputs("</a></td>", stdout);
}

static void print_late_site(const struct page *page, size_t at)
{
    const struct group *group = page->groups->all[at];
    const int64_t grace_ms = group_grace_ms(group);
    char grace[32];
    struct text text = text_in(grace, sizeof(grace));
    text_add_grace(&text, (uint64_t)grace_ms);
    fputs("<tr>", stdout);
    print_site_link(page, at);
    page_print_number(group->sums.late);
    page_print_number(group->sums.leaks);
    page_print_duration(group->slowest_ms);
    printf("<td class=\"number\" data-value=\"%" PRId64 "\">%s</td></tr>\n", grace_ms,
           grace_ms > 0 ? grace : "");
}

void page_print_late(const struct page *page)
{
    static const struct page_column columns[] = {{"Call site", "name"},
                                                 {"Closed late", "number"},
                                                 {"Of", "number"},
                                                 {"Slowest", "number"},
                                                 {"Right grace", "number"}};
    bool begun = false;
    for (size_t i = 0; i < page->shown; i++) {
        if (page->groups->all[i]->sums.late == 0)
            continue;
        if (!begun) {
            page_begin_section(
                "late", "Closed late",
                "Sockets that the program closed after all, when they had been told to "
                "be leaked. Where those are the most, a longer grace is right.");
            page_begin_table("late", "Late closes by call site", columns, PAGE_COUNT_OF(columns));
        }
        begun = true;
        print_late_site(page, i);
    }
    if (!begun)
        return;
    page_end_table();
    fputs("</section>\n", stdout);
}

static const char *proof_of(const char *why)
{
    static const char *const proofs[] = {
        [WHY_GRACE] = "silence: its peer had closed; in all of grace no byte was sent or unread",
        [WHY_DEAD] = "death: the kernel had a reset, or gave the peer up",
        [WHY_PORT] = "the program wanted the port that the leaked socket held",
        [WHY_DESCRIPTORS] = "the program was out of descriptors",
    };
    const int found = names_find(names_why, why);
    return found < 0 ? why : proofs[found];
}

static const char *result_of(const char *outcome)
{
    static const struct {
        const char *outcome;
        const char *result;
    } results[] = {
        {"gone", "the connection is gone"},         {"closing", "its FIN waits to be acknowledged"},
        {"held", "another process still holds it"}, {"failed", "it failed, and nothing was closed"},
        {"works", "the program has its port"},      {"unknown", "not known"},
    };
    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++)
        if (strcmp(results[i].outcome, outcome) == 0)
            return results[i].result;
    return outcome;
}

static void print_reaps(const struct page *page, size_t at)
{
    const struct counts *reaps = &page->groups->all[at]->reaps;
    for (size_t i = 0; i < reaps->count; i++) {
        char *why = must(strdup(reaps->all[i].name));
        char *outcome = strchr(why, ' ');
        *outcome++ = '\0';
        fputs("<tr>", stdout);
        print_site_link(page, at);
        page_print_number(reaps->all[i].times);
        fputs("<td>", stdout);
        page_text(stdout, proof_of(why));
        fputs("</td><td>", stdout);
        page_text(stdout, result_of(outcome));
        fputs("</td></tr>\n", stdout);
        free(why);
    }
}

void page_print_reaped(const struct page *page)
{
    static const struct page_column columns[] = {
        {"Call site", "name"}, {"Reaped", "number"}, {"Proof", NULL}, {"Outcome", NULL}};
    bool begun = false;
    for (size_t i = 0; i < page->shown; i++) {
        if (page->groups->all[i]->reaps.count == 0)
            continue;
        if (!begun) {
            page_begin_section(
                "reaped", "Reaped, and on what proof",
                "What closewait closed for the programs, why it could, and what came of "
                "it.");
            page_begin_table("reaped", "Reaps by call site, proof and outcome", columns,
                             PAGE_COUNT_OF(columns));
        }
        begun = true;
        print_reaps(page, i);
    }
    if (!begun)
        return;
    page_end_table();
    fputs("</section>\n", stdout);
}

static void print_queue(const struct stuck_queue *queue)
{
    fputs("<tr><td>", stdout);
    page_text(stdout, queue->local);
    fputs("</td><td>", stdout);
    page_text(stdout, queue->comm);
    fputs("</td>", stdout);
    page_print_number(queue->waiting);
    page_print_number(queue->hung_up);
    page_print_duration(queue->age_ms);
    page_print_number(queue->times);
    fputs("<td>", stdout);
    page_print_time(queue->first_ms);
    fputs("</td><td>", stdout);
    page_print_time(queue->last_ms);
    fputs("</td></tr>\n", stdout);
}

void page_print_queues(const struct page *page)
{
    static const struct page_column columns[] = {
        {"Address", NULL},     {"Process", NULL},  {"Waiting", "number"}, {"Hung up", "number"},
        {"Longest", "number"}, {"Told", "number"}, {"First", NULL},       {"Last", NULL}};
    const struct queues *queues = &page->groups->queues;
    if (queues->count == 0)
        return;
    page_begin_section("queues", "Accept queues",
                       "Connections that nobody accepted for longer than grace, each queue at its "
                       "worst.");
    page_begin_table("queues", "Accept queues by address", columns, PAGE_COUNT_OF(columns));
    for (size_t i = 0; i < queues->count; i++)
        print_queue(queues->all[i]);
    page_end_table();
    fputs("</section>\n", stdout);
}

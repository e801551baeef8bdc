/*
 * The groups as a page: cli/page.html with its parts put in.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "groups_print.h"
#include "must.h"
#include "page.h"
#include "page_cells.h"
#include "page_files.h"

/* More of them nobody looks at, and a browser would take long. */
enum { SITES_MAX = 1000 };

static void print_policy(const struct page *page)
{
    (void)page;
    printf("default-src 'none'; script-src '%s'; style-src '%s'; img-src data:; base-uri 'none'; "
           "form-action 'none'",
           page_js_hash, page_css_hash);
}

static void print_css(const struct page *page)
{
    (void)page;
    fputs(page_css, stdout);
}

static void print_js(const struct page *page)
{
    (void)page;
    fputs(page_js, stdout);
}

/* A record tells since when its site leaks, which may be before the log begins. */
static int64_t first_of(const struct groups *groups)
{
    int64_t first_ms = groups->first_ms;
    for (size_t i = 0; i < groups->count; i++)
        if (groups->all[i]->first_ms < first_ms)
            first_ms = groups->all[i]->first_ms;
    return first_ms;
}

static void print_title(const struct page *page)
{
    if (page->groups->last_ms == INT64_MIN)
        fputs("no records", stdout);
    else
        page_print_time(page->groups->last_ms);
}

static void print_period(const struct page *page)
{
    if (page->groups->last_ms == INT64_MIN) {
        fputs("There was no record in the input.", stdout);
        return;
    }
    fputs("From ", stdout);
    page_print_time(first_of(page->groups));
    fputs(" to ", stdout);
    page_print_time(page->groups->last_ms);
    fputs(" UTC", stdout);
}

static void print_notes(const struct page *page)
{
    const struct groups *groups = page->groups;
    if (page->shown < groups->count)
        printf("<p>%zu more call sites, that hold less, are not shown.</p>\n",
               groups->count - page->shown);
    if (groups->tallies.untold > 0)
        printf("<p>Summaries count %ju leaks that no record tells: there are older files.</p>\n",
               (uintmax_t)groups->tallies.untold);
}

static void print_part(const struct page *page, const char *name, size_t len)
{
    static const struct {
        const char *name;
        void (*print)(const struct page *page);
    } parts[] = {
        {"policy", print_policy},
        {"title", print_title},
        {"css", print_css},
        {"period", print_period},
        {"summary", page_print_summary},
        {"sites", page_print_sites},
        {"peers", page_print_peers},
        {"late", page_print_late},
        {"reaped", page_print_reaped},
        {"queues", page_print_queues},
        {"notes", print_notes},
        {"data", page_print_data},
        {"js", print_js},
    };
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (strlen(parts[i].name) == len && memcmp(parts[i].name, name, len) == 0)
            parts[i].print(page);
}

static void print_page(const struct page *page)
{
    const char *at = page_html;
    for (const char *mark; (mark = strstr(at, "{{")); at = strstr(mark, "}}") + 2) {
        fwrite(at, 1, (size_t)(mark - at), stdout);
        print_part(page, mark + 2, (size_t)(strstr(mark, "}}") - mark) - 2);
    }
    fputs(at, stdout);
}

void groups_print_html(const struct groups *groups, const struct groups_style *style)
{
    struct page page = {.groups = groups, .style = style, .shown = groups_shown(groups, style)};
    if (page.shown > SITES_MAX)
        page.shown = SITES_MAX;
    page.stacks = must(calloc(page.shown + 1, sizeof(json_t *)));
    for (size_t i = 0; i < page.shown; i++)
        page.stacks[i] = group_stacks(groups->all[i], style->symbols);
    print_page(&page);
    for (size_t i = 0; i < page.shown; i++)
        json_decref(page.stacks[i]);
    free(page.stacks);
}

/*
 * What the parts of the page are made from.
 */
#ifndef CLOSEWAIT_PAGE_H
#define CLOSEWAIT_PAGE_H

#include <jansson.h>
#include <stddef.h>

#include "groups.h"
#include "groups_print.h"

struct page {
    const struct groups *groups;
    const struct groups_style *style;
    size_t shown;    /* so many of the groups */
    json_t **stacks; /* of each of them, as group_stacks makes them */
};

/* The function that opened a group's sockets, or what else there is to call it by; for free(3). */
char *page_name(const struct page *page, size_t at);

/* The parts of page.html by their names. All print to standard output. */
void page_print_data(const struct page *page);
void page_print_summary(const struct page *page);
void page_print_sites(const struct page *page);
void page_print_peers(const struct page *page);
void page_print_late(const struct page *page);
void page_print_reaped(const struct page *page);
void page_print_queues(const struct page *page);

#endif

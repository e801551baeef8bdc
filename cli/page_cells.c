#define _GNU_SOURCE
#include "page_cells.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "groups.h"
#include "page_text.h"
#include "text.h"

void page_print_time(int64_t ms)
{
    char date[48];
    struct tm tm = {0};
    const time_t seconds = (time_t)(ms / 1000);
    strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", gmtime_r(&seconds, &tm));
    fputs(date, stdout);
}

void page_begin_section(const char *id, const char *title, const char *about)
{
    printf("<section id=\"%s\" aria-labelledby=\"%s-title\">\n<h2 id=\"%s-title\">%s</h2>\n"
           "<p>%s</p>\n",
           id, id, id, title, about);
}

void page_begin_table(const char *id, const char *caption, const struct page_column *columns,
                      size_t count)
{
    printf("<div class=\"scroll\" role=\"region\" aria-labelledby=\"%s-title\" tabindex=\"0\">\n"
           "<table id=\"%s-table\" data-sortable>\n<caption class=\"unseen\">%s</caption>\n"
           "<thead><tr>",
           id, id, caption);
    for (size_t i = 0; i < count; i++)
        printf("<th scope=\"col\"%s%s%s>%s</th>", columns[i].class ? " class=\"" : "",
               columns[i].class ? columns[i].class : "", columns[i].class ? "\"" : "",
               columns[i].title);
    fputs("</tr></thead>\n<tbody>\n", stdout);
}

void page_end_table(void)
{
    fputs("</tbody>\n</table>\n</div>\n", stdout);
}

void page_print_grouped(uint64_t number)
{
    char digits[24];
    const int len = snprintf(digits, sizeof(digits), "%" PRIu64, number);
    for (int i = 0; i < len; i++)
        printf("%s%c", i > 0 && (len - i) % 3 == 0 ? "," : "", digits[i]);
}

void page_print_number(uint64_t number)
{
    printf("<td class=\"number\" data-value=\"%" PRIu64 "\">", number);
    page_print_grouped(number);
    fputs("</td>", stdout);
}

void page_print_duration(int64_t ms)
{
    char duration[32];
    struct text text = text_in(duration, sizeof(duration));
    if (ms >= 0)
        text_add_duration(&text, (uint64_t)ms);
    printf("<td class=\"number\" data-value=\"%" PRId64 "\">%s</td>", ms, ms < 0 ? "" : duration);
}

void page_print_rate(double an_hour)
{
    if (an_hour < 0)
        fputs("<td class=\"number\" data-value=\"-1\"></td>", stdout);
    else
        printf("<td class=\"number\" data-value=\"%.6f\">%.*f</td>", an_hour, an_hour < 100 ? 1 : 0,
               an_hour);
}

void page_print_met(const struct counts *counts, size_t most)
{
    const struct met *top[GROUP_TOP];
    const size_t shown = counts_top(counts, top, most);
    for (size_t i = 0; i < shown; i++) {
        fputs(i > 0 ? ", " : "", stdout);
        page_text(stdout, top[i]->name);
        if (counts->count > 1)
            printf(" (%" PRIu64 ")", top[i]->times);
    }
    if (counts->count > shown)
        printf(" and %zu more", counts->count - shown);
}

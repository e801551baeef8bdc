#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frames.h"
#include "groups_print.h"
#include "must.h"

struct folded {
    char *stack;
    uint64_t leaks;
};

static char *fold(const struct group *group, struct symbols *symbols)
{
    char *folded = NULL;
    size_t size = 0;
    FILE *to = must(open_memstream(&folded, &size));
    json_t *stacks = group_stacks(group, symbols);
    const json_t *stack = json_object_get(stacks, "open_stack");
    for (size_t i = json_array_size(stack); i > 0; i--) {
        frames_print_name(to, json_array_get(stack, i - 1), ';');
        fputs(i > 1 ? ";" : "", to);
    }
    if (!stack)
        fprintf(to, "[no stack, site %s]", group->site);
    json_decref(stacks);
    if (fclose(to) != 0)
        must(NULL);
    return folded;
}

static int compare_folded(const void *a, const void *b)
{
    const struct folded *left = a;
    const struct folded *right = b;
    return strcmp(left->stack, right->stack);
}

void groups_print_folded(const struct groups *groups, const struct groups_style *style)
{
    const size_t count = groups_shown(groups, style);
    struct folded *all = must(calloc(count + 1, sizeof(*all)));
    for (size_t i = 0; i < count; i++)
        all[i] = (struct folded){fold(groups->all[i], style->symbols), groups->all[i]->sums.leaks};
    qsort(all, count, sizeof(*all), compare_folded);
    for (size_t i = 0; i < count; i++) {
        if (i + 1 < count && compare_folded(&all[i], &all[i + 1]) == 0)
            all[i + 1].leaks += all[i].leaks;
        else
            printf("%s %" PRIu64 "\n", all[i].stack, all[i].leaks);
        free(all[i].stack);
    }
    free(all);
}

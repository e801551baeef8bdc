#include "quiet.h"

#include <stdio.h>
#include <stdlib.h>

#include "names.h"

bool quiet_begin(struct quiet *quiet, const char *path, char *why, size_t why_size)
{
    *quiet = (struct quiet){.sites = json_object()};
    if (path[0])
        quiet->patterns = calloc(1, sizeof(*quiet->patterns));
    if (!quiet->sites || (path[0] && !quiet->patterns)) {
        snprintf(why, why_size, "no memory");
        return false;
    }
    return !path[0] || suppress_read(quiet->patterns, path, why, why_size);
}

void quiet_end(struct quiet *quiet)
{
    json_decref(quiet->sites);
    free(quiet->patterns);
}

static json_t *member_of(json_t *object, const char *name)
{
    json_t *member = json_object_get(object, name);
    if (!member) {
        member = json_object();
        json_object_set_new(object, name, member);
    }
    return member;
}

static json_t *sites_of(const struct quiet *quiet, const struct told *told)
{
    char pid[16];
    snprintf(pid, sizeof(pid), "%d", told->pid);
    return member_of(quiet->sites, pid);
}

static json_t *site_of(const struct quiet *quiet, const struct told *told)
{
    char name[24];
    snprintf(name, sizeof(name), "%llx", (unsigned long long)told->site);
    return member_of(sites_of(quiet, told), name);
}

static json_int_t count_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static void set_count(json_t *object, const char *name, json_int_t count)
{
    json_object_set_new(object, name, json_integer(count > 0 ? count : 0));
}

static void move_count(json_t *object, const char *name, json_int_t by)
{
    set_count(object, name, count_of(object, name) + by);
}

static void limit_count(json_t *object, const char *name, json_int_t most)
{
    if (count_of(object, name) > most)
        set_count(object, name, most);
}

static bool is_leak(const struct record *record)
{
    return record->type == RECORD_LEAK || record->type == RECORD_RESCUE ||
           (record->type == RECORD_BIND_CONFLICT && record->leaks > 0);
}

/* NULL when none matches. */
static struct suppression *pattern_of(const struct quiet *quiet, const struct retold *retold)
{
    return quiet->patterns
               ? suppress_find(quiet->patterns, &retold->record.leak, &retold->told.opened)
               : NULL;
}

bool quiet_is_leak(const struct quiet *quiet, const struct retold *retold)
{
    return is_leak(&retold->record) && !pattern_of(quiet, retold);
}

static void note_leaks(const struct quiet *quiet, const struct retold *retold)
{
    const struct told *told = &retold->told;
    if (!quiet->patterns || !is_leak(&retold->record))
        return;
    json_t *site = site_of(quiet, told);
    if (told->count > count_of(site, "leaks"))
        set_count(site, "leaks", told->count);
    if (retold->record.type == RECORD_LEAK)
        set_count(site, "trend", told->trend);
}

bool quiet_keeps(struct quiet *quiet, const struct retold *retold)
{
    const struct told *told = &retold->told;
    struct suppression *pattern = pattern_of(quiet, retold);
    note_leaks(quiet, retold);
    if (!pattern || retold->record.type != RECORD_LEAK)
        return false;
    if (told->held) /* once more, and counted before */
        return true;
    /* What had no line since the site's last one is taken for what has this one. */
    const uint32_t leaks = told->count > told->since ? told->count - told->since : 1;
    pattern->matched += leaks;
    move_count(site_of(quiet, told), "quiet", leaks);
    return true;
}

/* One that is left has no trend. */
static void correct_held(const struct quiet *quiet, json_t *json, struct told *told)
{
    const json_int_t hidden = count_of(site_of(quiet, told), "quiet");
    told->held = told->held > hidden ? told->held - (uint32_t)hidden : 1;
    set_count(json, "held", told->held);
    if (told->held > 1)
        return;
    told->trend = TREND_UNKNOWN;
    json_object_del(json, "trend");
}

/* What was filled in its first second, when it had no trend yet, is flat by now. */
static enum trend trend_by_now(const json_t *site)
{
    const enum trend told = (enum trend)count_of(site, "trend");
    return told == TREND_UNKNOWN && count_of(site, "leaks") > 1 ? TREND_FLAT : told;
}

/*
 * The shim has counted them as leaks. A trend can be another by now than its site's last record
 * told: no more sites are judged than there are.
 */
static void correct_counts(const struct quiet *quiet, json_t *summary, const struct told *told)
{
    const char *name;
    json_t *site;
    json_object_foreach(sites_of(quiet, told), name, site)
    {
        const json_int_t hidden = count_of(site, "quiet");
        const json_int_t left = count_of(site, "leaks") - hidden;
        const enum trend trend = trend_by_now(site);
        move_count(summary, "leaked", -hidden);
        move_count(summary, "held", -hidden);
        move_count(summary, "suppressed", hidden);
        if (hidden > 0 && left <= 0)
            move_count(summary, "sites", -1);
        if (hidden > 0 && left <= 1 && trend != TREND_UNKNOWN)
            move_count(summary, names_trend[trend], -1);
    }
    limit_count(summary, "growing", count_of(summary, "sites"));
    limit_count(summary, "flat", count_of(summary, "sites") - count_of(summary, "growing"));
}

static void correct_patterns(const struct quiet *quiet, json_t *summary)
{
    size_t i;
    json_t *pattern;
    json_array_foreach(json_object_get(summary, "suppressions"), i, pattern)
    {
        if ((int)i < quiet->patterns->count && suppress_is_symbolic(&quiet->patterns->at[i]))
            set_count(pattern, "matched", quiet->patterns->at[i].matched);
    }
}

void quiet_correct(struct quiet *quiet, json_t *json, struct told *told)
{
    if (!quiet->patterns)
        return;
    if (told->held)
        correct_held(quiet, json, told);
    if (told->record->type != RECORD_SUMMARY)
        return;
    correct_counts(quiet, json, told);
    correct_patterns(quiet, json);
}

void quiet_show(struct quiet *quiet, const json_t *summary, struct told *told)
{
    const json_t *patterns = json_object_get(summary, "suppressions");
    if (!quiet->patterns || !patterns)
        return;
    for (int i = 0; i < quiet->patterns->count; i++)
        quiet->patterns->at[i].matched =
            (uint32_t)count_of(json_array_get(patterns, (size_t)i), "matched");
    told->suppressions = quiet->patterns->at;
    told->suppression_count = quiet->patterns->count;
}

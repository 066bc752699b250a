// SPDX-License-Identifier: Apache-2.0
// One line of training, or several beside each other: seeds, ingredients of a merge.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/training_order.h"
#include "series_steps.h"

static const char way_out[] =
    "--separate makes a stage of each line, or a manifest's column \"stage\" does";

// ---- stages that the names leave open ----------------------------------------------------------

static bool lacks_stage(const struct tr_series_entry *entry) {
    return !*entry->parsed.stage && !tr_entry_is_timeless(entry);
}

static int compare_others(const void *a_, const void *b_) {
    const struct tr_name *a = &(*(struct tr_series_entry *const *)a_)->parsed;
    const struct tr_name *b = &(*(struct tr_series_entry *const *)b_)->parsed;
    int order = (a->step > b->step) - (a->step < b->step);
    return order ? order : strcmp(a->other, b->other);
}

// Whether the words differ, and no step is of two of them: else they may be side by side.
static bool others_are_stages(struct tr_series_entry **list, int64_t count) {
    bool differ = false;
    qsort(list, (size_t)count, sizeof *list, compare_others);
    for (int64_t i = 1; i < count; i++) {
        const struct tr_name *a = &list[i - 1]->parsed, *b = &list[i]->parsed;
        differ = differ || strcmp(a->other, b->other);
        if (*a->other && *b->other && strcmp(a->other, b->other) && a->step == b->step)
            return false;
    }
    return differ;
}

// A word before the step is a stage only where it differs: "olmo-step1", "olmo-step2" are of one.
static enum tr_status take_other_words(struct tr_series *series, struct tr_err *err) {
    struct tr_series_entry **list;
    int64_t count = 0;
    TR_TRY(tr_series_list(&list, series, err));
    for (int64_t i = 0; i < series->count; i++)
        if (lacks_stage(&series->entries[i]))
            list[count++] = &series->entries[i];
    bool take = others_are_stages(list, count);
    for (int64_t i = 0; i < count && take; i++)
        strcpy(list[i]->parsed.stage, list[i]->parsed.other);
    free(list);
    return TR_OK;
}

// Beside stage1 a checkpoint without a stage is of stage1: OLMo 2 has such.
static enum tr_status fill_first_stage(struct tr_series *series, struct tr_err *err) {
    struct tr_told told = {0};
    char first[TR_STAGE_MAX] = "", names[320];
    for (int64_t i = 0; i < series->count; i++) {
        const char *stage = series->entries[i].parsed.stage;
        if (tr_stage_number(stage) == 1 && (!*first || tr_stage_compare(stage, first) < 0))
            strcpy(first, stage);
    }
    for (int64_t i = 0; i < series->count && *first; i++) {
        struct tr_series_entry *entry = &series->entries[i];
        if (!lacks_stage(entry))
            continue;
        strcpy(entry->parsed.stage, first);
        tr_told_add(&told, entry);
    }
    if (!told.count)
        return TR_OK;
    return tr_string_format(&series->notes, err, "without a stage, so taken for %s: %s\n", first,
                            tr_told_names(&told, names));
}

// ---- the same step twice -----------------------------------------------------------------------

static int compare_moments(const void *a_, const void *b_) {
    const struct tr_series_entry *a = *(struct tr_series_entry *const *)a_;
    const struct tr_series_entry *b = *(struct tr_series_entry *const *)b_;
    double left = a->parsed.tokens, right = b->parsed.tokens;
    int order = strcmp(a->parsed.stage, b->parsed.stage);
    if (!order)
        order = (a->parsed.step > b->parsed.step) - (a->parsed.step < b->parsed.step);
    if (!order && !isnan(left) && !isnan(right))
        order = (left > right) - (left < right);
    else if (!order)
        order = !!isnan(left) - !!isnan(right);
    return order ? order : tr_natural_compare(a->name, b->name);
}

static bool are_of_one_moment(const struct tr_series_entry *a, const struct tr_series_entry *b) {
    const struct tr_name *left = &a->parsed, *right = &b->parsed;
    if (strcmp(left->stage, right->stage) || left->step != right->step ||
        tr_names_the_end(a->name) || tr_names_the_end(b->name))
        return false;
    bool open = isnan(left->tokens) || isnan(right->tokens);
    return left->step < 0 ? left->tokens == right->tokens : open || left->tokens == right->tokens;
}

static size_t word_size(const char *text) {
    return strcspn(text, "-_.=");
}

// Names of as many words that share some and differ in others: step5-seed1 and step5-seed2.
static bool differ_in_words(const char *a, const char *b) {
    int64_t shared = 0;
    for (;; a++, b++) {
        size_t size = word_size(a), other = word_size(b);
        shared += size == other && !memcmp(a, b, size);
        a += size;
        b += other;
        if (!*a || !*b)
            return shared && !*a && !*b;
    }
}

// Folders called alike, which are told apart by the folders above: seed1/step5 and seed2/step5.
static bool are_called_alike(const struct tr_series_entry *a, const struct tr_series_entry *b) {
    const char *left = strrchr(a->path, '/'), *right = strrchr(b->path, '/');
    size_t size = left ? strlen(left) : 0, name = strlen(a->name), other = strlen(b->name);
    return left && right && !strcmp(left, right) && name + 1 >= size && other + 1 >= size &&
           !strcmp(a->name + name + 1 - size, left + 1) &&
           !strcmp(b->name + other + 1 - size, right + 1);
}

static bool were_side_by_side(const struct tr_series_entry *a, const struct tr_series_entry *b) {
    static const char *const words[] = {"seed", "ingredient"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasestr(a->name, words[i]) && strcasestr(b->name, words[i]))
            return true;
    return are_called_alike(a, b) || differ_in_words(a->name, b->name);
}

static void moment_text(const struct tr_series_entry *entry, char out[64]) {
    if (entry->parsed.step >= 0)
        snprintf(out, 64, "step %lld", (long long)entry->parsed.step);
    else
        snprintf(out, 64, "%.0f tokens", entry->parsed.tokens);
}

// Refuses what was trained side by side, unless `separate` (lines that it does not tell apart); all
// else of one step is told.
static enum tr_status meet_equal_steps(struct tr_series *series, struct tr_series_entry **list,
                                       bool separate, struct tr_err *err) {
    struct tr_told told = {0};
    const struct tr_series_entry *other = NULL;
    char moment[64];
    qsort(list, (size_t)series->count, sizeof *list, compare_moments);
    for (int64_t i = 1; i < series->count; i++) {
        if (!are_of_one_moment(list[i - 1], list[i]))
            continue;
        moment_text(list[i], moment);
        if (!separate && were_side_by_side(list[i - 1], list[i]))
            return tr_fail(err, TR_EUSAGE,
                           "%.200s and %.200s are both of %s: not one line of training, but "
                           "several side by side (seeds, ingredients of a merge); %s",
                           list[i - 1]->name, list[i]->name, moment, way_out);
        other = other ? other : list[i - 1];
        tr_told_add(&told, list[i]);
    }
    if (!told.count)
        return TR_OK;
    moment_text(told.first, moment);
    return tr_string_format(&series->notes, err,
                            "%lld checkpoint%s of a step that another has, too: %s and %s are both "
                            "of %s; if they are no line of training, %s\n",
                            (long long)told.count, told.count == 1 ? " is" : "s are", other->name,
                            told.first->name, moment, way_out);
}

// ---- ingredients of a merge --------------------------------------------------------------------

static const char *ingredient_of(const struct tr_series_entry *entry) {
    return entry->given & TR_GIVEN_STAGE ? NULL : strcasestr(entry->parsed.stage, "ingredient");
}

// `list` is sorted by stage.
static enum tr_status refuse_ingredients(struct tr_series_entry **list, int64_t count,
                                         struct tr_err *err) {
    for (int64_t i = 1; i < count; i++) {
        const char *a = list[i - 1]->parsed.stage, *b = list[i]->parsed.stage;
        const char *number = ingredient_of(list[i - 1]);
        if (number && ingredient_of(list[i]) && strcmp(a, b) &&
            !strncasecmp(a, b, (size_t)(number - a) + strlen("ingredient")))
            return tr_fail(err, TR_EUSAGE,
                           "%.200s and %.200s are of two ingredients of a merge, which were "
                           "trained side by side and are not one line of training; %s",
                           list[i - 1]->name, list[i]->name, way_out);
    }
    return TR_OK;
}

static enum tr_status meet_lines(struct tr_series *series, bool separate, struct tr_err *err) {
    struct tr_series_entry **list;
    TR_TRY(tr_series_list(&list, series, err));
    enum tr_status status = meet_equal_steps(series, list, separate, err);
    if (status == TR_OK && !separate)
        status = refuse_ingredients(list, series->count, err);
    free(list);
    return status;
}

// What the manifest says itself stays.
static void separate_lines(struct tr_series *series) {
    for (int64_t i = 0; i < series->count; i++) {
        struct tr_series_entry *entry = &series->entries[i];
        if (*entry->parsed.line && !tr_entry_is_timeless(entry) && !(entry->given & TR_GIVEN_STAGE))
            strcpy(entry->parsed.stage, entry->parsed.line);
    }
}

enum tr_status tr_series_tell_apart(struct tr_series *series, bool separate, struct tr_err *err) {
    if (separate)
        separate_lines(series);
    else
        TR_TRY(take_other_words(series, err));
    TR_TRY(fill_first_stage(series, err));
    return meet_lines(series, separate, err);
}

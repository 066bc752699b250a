// SPDX-License-Identifier: Apache-2.0
#include "series_stages.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/training_order.h"

// Main, final and the like come last, init and the like first, wherever the others are.
bool tr_entry_is_end(const struct tr_series_entry *entry) {
    return !*entry->parsed.stage && tr_entry_is_timeless(entry) &&
           (tr_names_the_end(entry->name) || tr_names_the_beginning(entry->name));
}

static int compare_stage_names(const void *a, const void *b) {
    return strcmp((*(struct tr_series_entry *const *)a)->parsed.stage,
                  (*(struct tr_series_entry *const *)b)->parsed.stage);
}

static void widen(struct tr_stages *stages, const struct tr_series_entry *entry, bool is_new) {
    struct tr_stage *stage = &stages->list[stages->count - 1];
    if (is_new)
        *stage = (struct tr_stage){entry->parsed.stage, tr_stage_key(entry->parsed.stage),
                                   entry->row, entry->parsed.tokens, entry->parsed.tokens};
    stage->row = entry->row < stage->row ? entry->row : stage->row;
    stage->low = fmin(stage->low, entry->parsed.tokens);
    stage->high = fmax(stage->high, entry->parsed.tokens);
    stages->all_tokens = stages->all_tokens && !isnan(entry->parsed.tokens);
    stages->all_given = stages->all_given && entry->given & TR_GIVEN_TOKENS;
}

enum tr_status tr_stages_find(struct tr_stages *stages, const struct tr_series *series,
                              struct tr_err *err) {
    struct tr_series_entry **list;
    const struct tr_series_entry *before = NULL;
    *stages = (struct tr_stages){.all_tokens = true, .all_given = true};
    TR_TRY(tr_series_list(&list, series, err));
    qsort(list, (size_t)series->count, sizeof *list, compare_stage_names);
    enum tr_status status = TR_NEW(&stages->list, series->count, "stages of training", err);
    for (int64_t i = 0; i < series->count && status == TR_OK; i++) {
        if (tr_entry_is_end(list[i]))
            continue;
        bool is_new = !before || strcmp(before->parsed.stage, list[i]->parsed.stage);
        stages->count += is_new;
        widen(stages, list[i], is_new);
        before = list[i];
    }
    stages->all_tokens = stages->all_tokens && stages->count > 0;
    free(list);
    return status;
}

static int by_words(const void *a_, const void *b_) {
    const struct tr_stage *a = a_, *b = b_;
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    return tr_natural_compare(a->name, b->name);
}

static int by_rows(const void *a, const void *b) {
    int64_t left = ((const struct tr_stage *)a)->row, right = ((const struct tr_stage *)b)->row;
    return (left > right) - (left < right);
}

static int by_tokens(const void *a_, const void *b_) {
    const struct tr_stage *a = a_, *b = b_;
    int order = (a->low > b->low) - (a->low < b->low);
    return order ? order : (a->high > b->high) - (a->high < b->high);
}

static void order_stages(struct tr_stages *stages, int (*compare)(const void *, const void *)) {
    qsort(stages->list, (size_t)stages->count, sizeof *stages->list, compare);
}

bool tr_stages_by_words(const struct tr_stages *stages) {
    for (int64_t i = 1; i < stages->count; i++)
        if (by_words(&stages->list[i - 1], &stages->list[i]) > 0)
            return false;
    return true;
}

// Tokens can order stages when no two overlap: a counter that starts anew says nothing.
static bool tokens_order(struct tr_stages *stages) {
    order_stages(stages, by_tokens);
    for (int64_t i = 1; i < stages->count; i++)
        if (!(stages->list[i - 1].high <= stages->list[i].low))
            return false;
    return stages->all_tokens;
}

// The first stage in order whose words are not known; NULL when all are.
static const char *first_unknown(const struct tr_stages *stages) {
    for (int64_t i = 0; i < stages->count; i++)
        if (!tr_stage_known(stages->list[i].name))
            return stages->list[i].name;
    return NULL;
}

// Whether those stages whose words are known are in the words' order.
static bool known_are_ordered(const struct tr_stages *stages) {
    const char *before = NULL;
    for (int64_t i = 0; i < stages->count; i++) {
        const char *name = stages->list[i].name;
        if (!tr_stage_known(name))
            continue;
        if (before && tr_stage_compare(before, name) > 0)
            return false;
        before = name;
    }
    return true;
}

static const char words_order[] = "by their words";

// Orders the stages; returned is by what.
static const char *choose_order(struct tr_stages *stages, bool manifest, bool separate) {
    bool by_counts = tokens_order(stages) && !separate;
    if (by_counts &&
        (manifest ? stages->all_given : first_unknown(stages) && known_are_ordered(stages)))
        return "by their tokens";
    order_stages(stages, manifest ? by_rows : by_words);
    return separate   ? "lines side by side, one after the other"
           : manifest ? "as the manifest has them"
                      : words_order;
}

static enum tr_status say_stages(struct tr_series *series, const struct tr_stages *stages,
                                 const char *how, struct tr_err *err) {
    enum { SHOWN = 8 };
    TR_TRY(tr_string_format(&series->notes, err, "stages: "));
    for (int64_t i = 0; i < stages->count && i < SHOWN; i++)
        TR_TRY(tr_string_format(&series->notes, err, "%s%s%s", i ? ", " : "", stages->list[i].name,
                                *stages->list[i].name ? "" : "(none)"));
    if (stages->count > SHOWN)
        TR_TRY(tr_string_format(&series->notes, err, " and %lld more",
                                (long long)(stages->count - SHOWN)));
    const char *unknown = how == words_order ? first_unknown(stages) : NULL;
    if (unknown)
        return tr_string_format(&series->notes, err,
                                "; %s, but %s is no known stage and comes last: a manifest says "
                                "another order\n",
                                how, unknown);
    return tr_string_format(&series->notes, err, "; %s\n", how);
}

enum tr_status tr_stages_order(struct tr_stages *stages, struct tr_series *series, bool manifest,
                               bool separate, struct tr_err *err) {
    const char *how = choose_order(stages, manifest, separate);
    return stages->count > 1 ? say_stages(series, stages, how, err) : TR_OK;
}

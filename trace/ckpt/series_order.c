// SPDX-License-Identifier: Apache-2.0
// The order of a series: what differs from the rule for all (base/training_order.h), and why.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/training_order.h"
#include "series_steps.h"

struct stage {
    const char *name;
    int64_t key;      // of its words
    int64_t row;      // the first of its rows
    double low, high; // its tokens
};

struct stages {
    struct stage *list; // [count]
    int64_t count;
    bool all_tokens; // every entry that is not the end has tokens
    bool all_given;  // from the manifest
};

// ---- stages ------------------------------------------------------------------------------------

// Main, final and the like come last, wherever the others are.
static bool is_end(const struct tr_series_entry *entry) {
    return !*entry->parsed.stage && tr_entry_is_timeless(entry) && tr_names_the_end(entry->name);
}

static int compare_stage_names(const void *a, const void *b) {
    return strcmp((*(struct tr_series_entry *const *)a)->parsed.stage,
                  (*(struct tr_series_entry *const *)b)->parsed.stage);
}

static void widen(struct stages *stages, const struct tr_series_entry *entry, bool is_new) {
    struct stage *stage = &stages->list[stages->count - 1];
    if (is_new)
        *stage = (struct stage){entry->parsed.stage, tr_stage_key(entry->parsed.stage), entry->row,
                                entry->parsed.tokens, entry->parsed.tokens};
    stage->row = entry->row < stage->row ? entry->row : stage->row;
    stage->low = fmin(stage->low, entry->parsed.tokens);
    stage->high = fmax(stage->high, entry->parsed.tokens);
    stages->all_tokens = stages->all_tokens && !isnan(entry->parsed.tokens);
    stages->all_given = stages->all_given && entry->given & TR_GIVEN_TOKENS;
}

static enum tr_status find_stages(struct stages *stages, const struct tr_series *series,
                                  struct tr_err *err) {
    struct tr_series_entry **list;
    const struct tr_series_entry *before = NULL;
    *stages = (struct stages){.all_tokens = true, .all_given = true};
    TR_TRY(tr_series_list(&list, series, err));
    qsort(list, (size_t)series->count, sizeof *list, compare_stage_names);
    enum tr_status status = TR_NEW(&stages->list, series->count, "stages of training", err);
    for (int64_t i = 0; i < series->count && status == TR_OK; i++) {
        if (is_end(list[i]))
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
    const struct stage *a = a_, *b = b_;
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    return tr_natural_compare(a->name, b->name);
}

static int by_rows(const void *a, const void *b) {
    int64_t left = ((const struct stage *)a)->row, right = ((const struct stage *)b)->row;
    return (left > right) - (left < right);
}

static int by_tokens(const void *a_, const void *b_) {
    const struct stage *a = a_, *b = b_;
    int order = (a->low > b->low) - (a->low < b->low);
    return order ? order : (a->high > b->high) - (a->high < b->high);
}

static void order_stages(struct stages *stages, int (*compare)(const void *, const void *)) {
    qsort(stages->list, (size_t)stages->count, sizeof *stages->list, compare);
}

static bool is_ordered(const struct stages *stages, int (*compare)(const void *, const void *)) {
    for (int64_t i = 1; i < stages->count; i++)
        if (compare(&stages->list[i - 1], &stages->list[i]) > 0)
            return false;
    return true;
}

// Tokens can order stages when no two overlap: a counter that starts anew says nothing.
static bool tokens_order(struct stages *stages) {
    order_stages(stages, by_tokens);
    for (int64_t i = 1; i < stages->count; i++)
        if (!(stages->list[i - 1].high <= stages->list[i].low))
            return false;
    return stages->all_tokens;
}

// The first stage in order whose words are not known; NULL when all are.
static const char *first_unknown(const struct stages *stages) {
    for (int64_t i = 0; i < stages->count; i++)
        if (!tr_stage_known(stages->list[i].name))
            return stages->list[i].name;
    return NULL;
}

// Whether those stages whose words are known are in the words' order.
static bool known_are_ordered(const struct stages *stages) {
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
static const char *choose_order(struct stages *stages, bool manifest, bool separate) {
    bool by_counts = tokens_order(stages) && !separate;
    if (by_counts &&
        (manifest ? stages->all_given : first_unknown(stages) && known_are_ordered(stages)))
        return "by their tokens";
    order_stages(stages, manifest ? by_rows : by_words);
    return separate   ? "lines side by side, one after the other"
           : manifest ? "as the manifest has them"
                      : words_order;
}

static enum tr_status say_stages(struct tr_series *series, const struct stages *stages,
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

// ---- steps and tokens --------------------------------------------------------------------------

static int compare_steps(const void *a_, const void *b_) {
    const struct tr_name *a = &(*(struct tr_series_entry *const *)a_)->parsed;
    const struct tr_name *b = &(*(struct tr_series_entry *const *)b_)->parsed;
    int order = strcmp(a->stage, b->stage);
    uint64_t left = (uint64_t)a->step, right = (uint64_t)b->step; // unknown ones last
    if (!order)
        order = (left > right) - (left < right);
    return order ? order : (a->tokens > b->tokens) - (a->tokens < b->tokens);
}

// Where all tokens are known they decide, unless stages are known: within one the step goes on
// counting, without any it may start anew.
static enum tr_status compare_axes(bool *by_tokens_p, struct tr_series *series,
                                   struct tr_err *err) {
    struct tr_series_entry **list;
    *by_tokens_p = false;
    TR_TRY(tr_series_list(&list, series, err));
    qsort(list, (size_t)series->count, sizeof *list, compare_steps);
    enum tr_status status = TR_OK;
    for (int64_t i = 1; i < series->count && !*by_tokens_p; i++) {
        const struct tr_series_entry *a = list[i - 1], *b = list[i];
        if (is_end(a) || is_end(b) || !(a->parsed.tokens > b->parsed.tokens))
            continue;
        *by_tokens_p = true;
        if (b->parsed.step >= 0)
            status = tr_string_format(&series->notes, err,
                                      "steps and tokens are of different order (%s, %s): tokens "
                                      "count\n",
                                      b->name, a->name);
    }
    free(list);
    return status;
}

// A store keeps it as an attribute, which HDF5 limits.
enum { RULE_LIMIT = 32 << 10 };

static enum tr_status write_rule(struct tr_series *series, const struct stages *stages,
                                 bool tokens_first, struct tr_err *err) {
    bool explicit = !is_ordered(stages, by_words);
    if (!explicit && !tokens_first)
        return TR_OK;
    TR_TRY(tr_string_format(&series->rule, err, "%s", tokens_first ? "tokens" : "step"));
    for (int64_t i = 0; i < stages->count && explicit; i++)
        TR_TRY(tr_string_format(&series->rule, err, "\n%s", stages->list[i].name));
    if (series->rule.size <= RULE_LIMIT)
        return TR_OK;
    return tr_fail(
        err, TR_EUSAGE,
        "%lld stages have an order of their own, and their names take %zu bytes: a store "
        "keeps %d",
        (long long)stages->count, series->rule.size, RULE_LIMIT);
}

enum axis { BY_STEP, BY_TOKENS, BY_NAME };

static const char *order_text(const struct tr_series *series, const struct stages *stages,
                              bool tokens_first) {
    static const char *const texts[2][3] = {
        {"by step", "by tokens", "by name"},
        {"by stage, then step", "by stage, then tokens", "by stage, then name"}};
    bool steps = false;
    for (int64_t i = 0; i < series->count; i++)
        steps = steps || series->entries[i].parsed.step >= 0;
    enum axis axis = tokens_first         ? BY_TOKENS
                     : steps              ? BY_STEP
                     : stages->all_tokens ? BY_TOKENS
                                          : BY_NAME;
    return texts[stages->count > 1][axis];
}

// ---- what is not known -------------------------------------------------------------------------

static enum tr_status say_unknown(struct tr_series *series, struct tr_err *err) {
    struct tr_told ends = {0}, unclear = {0}, timeless = {0};
    char names[320];
    for (int64_t i = 0; i < series->count; i++) {
        const struct tr_series_entry *entry = &series->entries[i];
        if (tr_entry_is_timeless(entry))
            tr_told_add(is_end(entry)           ? &ends
                        : entry->parsed.unclear ? &unclear
                                                : &timeless,
                        entry);
    }
    int64_t unknown = ends.count + unclear.count + timeless.count;
    if (series->count == 1)
        return TR_OK;
    if (unclear.count)
        TR_TRY(tr_string_format(&series->notes, err,
                                "which number is the step, or tokens? %s; --name-pattern REGEX "
                                "says it, as '_(?<step>\\d+)$'\n",
                                tr_told_names(&unclear, names)));
    if (timeless.count && unknown < series->count)
        TR_TRY(tr_string_format(&series->notes, err,
                                "no step or tokens known: %s; last of the stage, or behind the "
                                "checkpoint with the same weights\n",
                                tr_told_names(&timeless, names)));
    if (ends.count && unknown < series->count)
        TR_TRY(tr_string_format(&series->notes, err,
                                "no step or tokens known: %s; last, or behind the checkpoint with "
                                "the same weights\n",
                                tr_told_names(&ends, names)));
    return TR_OK;
}

// ---- sorting -----------------------------------------------------------------------------------

static enum tr_status sort(struct tr_series *series, struct tr_moment *moments,
                           struct tr_series_entry *sorted, struct tr_err *err) {
    for (int64_t i = 0; i < series->count; i++) {
        const struct tr_series_entry *entry = &series->entries[i];
        moments[i] = (struct tr_moment){entry->name,        entry->parsed.stage,  "",
                                        entry->parsed.step, entry->parsed.tokens, i};
    }
    TR_TRY(tr_moments_sort(moments, series->count, series->rule.data, err));
    for (int64_t i = 0; i < series->count; i++)
        sorted[i] = series->entries[moments[i].index];
    memcpy(series->entries, sorted, (size_t)series->count * sizeof *sorted);
    return TR_OK;
}

static enum tr_status sort_entries(struct tr_series *series, struct tr_err *err) {
    struct tr_moment *moments = NULL;
    struct tr_series_entry *sorted = NULL;
    enum tr_status status = TR_NEW(&moments, series->count, "the order of the series", err);
    if (status == TR_OK)
        status = TR_NEW(&sorted, series->count, "the order of the series", err);
    if (status == TR_OK)
        status = sort(series, moments, sorted, err);
    free(sorted);
    free(moments);
    return status;
}

static void fill_tokens(struct tr_series *series, int64_t tokens_per_step) {
    for (int64_t i = 0; i < series->count && tokens_per_step > 0; i++) {
        struct tr_name *parsed = &series->entries[i].parsed;
        if (parsed->step >= 0 && isnan(parsed->tokens))
            parsed->tokens = (double)parsed->step * (double)tokens_per_step;
    }
}

static enum tr_status decide(struct tr_series *series, struct stages *stages, bool manifest,
                             bool separate, struct tr_err *err) {
    bool tokens_first = false;
    const char *how = choose_order(stages, manifest, separate);
    if (stages->count > 1)
        TR_TRY(say_stages(series, stages, how, err));
    if (stages->all_tokens && stages->count == 1 && !*stages->list[0].name)
        TR_TRY(compare_axes(&tokens_first, series, err));
    series->order = order_text(series, stages, tokens_first);
    TR_TRY(say_unknown(series, err));
    return write_rule(series, stages, tokens_first, err);
}

enum tr_status tr_series_sort(struct tr_series *series, bool manifest,
                              const struct tr_series_options *options, struct tr_err *err) {
    struct stages stages;
    TR_TRY(find_stages(&stages, series, err));
    enum tr_status status = decide(series, &stages, manifest, options->separate, err);
    free(stages.list);
    TR_TRY(status);
    fill_tokens(series, options->tokens_per_step);
    return sort_entries(series, err);
}

// SPDX-License-Identifier: Apache-2.0
// The order of a series: what differs from the rule for all (base/training_order.h), and why.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strings.h"
#include "base/training_order.h"
#include "series_stages.h"

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
        if (tr_entry_is_end(a) || tr_entry_is_end(b) || !(a->parsed.tokens > b->parsed.tokens))
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

// Whether only a manifest can say where an entry stands. The rule has a line for each.
static bool is_kept(const struct tr_series_entry *entry) {
    return tr_entry_is_timeless(entry) && !strchr(entry->name, '\n');
}

// How many entries keep the manifest's order; 0 where that is the order of their names.
static int64_t count_kept(const struct tr_series *series) {
    const struct tr_series_entry *before = NULL;
    int64_t count = 0;
    bool by_name = true;
    for (int64_t i = 0; i < series->count; i++) {
        const struct tr_series_entry *entry = &series->entries[i];
        if (!is_kept(entry))
            continue;
        by_name = by_name && (!before || tr_natural_compare(before->name, entry->name) < 0);
        before = entry;
        count++;
    }
    return by_name ? 0 : count;
}

static enum tr_status write_kept(struct tr_series *series, struct tr_err *err) {
    for (int64_t i = 0; i < series->count; i++)
        if (is_kept(&series->entries[i]))
            TR_TRY(tr_string_format(&series->rule, err, "\n%s", series->entries[i].name));
    return TR_OK;
}

// A store keeps it as an attribute, which HDF5 limits.
enum { RULE_LIMIT = 32 << 10 };

static enum tr_status write_rule(struct tr_series *series, const struct tr_stages *stages,
                                 bool tokens_first, int64_t kept, struct tr_err *err) {
    int64_t listed = tr_stages_by_words(stages) ? 0 : stages->count;
    if (!listed && !tokens_first && !kept)
        return TR_OK;
    TR_TRY(tr_string_format(&series->rule, err, "%s", tokens_first ? "tokens" : "step"));
    if (kept)
        TR_TRY(tr_string_format(&series->rule, err, " %lld", (long long)kept));
    for (int64_t i = 0; i < listed; i++)
        TR_TRY(tr_string_format(&series->rule, err, "\n%s", stages->list[i].name));
    if (kept)
        TR_TRY(write_kept(series, err));
    if (series->rule.size <= RULE_LIMIT)
        return TR_OK;
    return tr_fail(
        err, TR_EUSAGE,
        "%lld stages and %lld checkpoints without step and tokens have an order of their "
        "own, and their names take %zu bytes: a store keeps %d",
        (long long)listed, (long long)kept, series->rule.size, RULE_LIMIT);
}

enum axis { BY_STEP, BY_TOKENS, BY_NAME, BY_ROW };

static const char *order_text(const struct tr_series *series, const struct tr_stages *stages,
                              bool tokens_first, bool kept) {
    static const char *const texts[2][4] = {
        {"by step", "by tokens", "by name", "as the manifest has them"},
        {"by stage, then step", "by stage, then tokens", "by stage, then name",
         "by stage, then as the manifest has them"}};
    bool steps = false;
    for (int64_t i = 0; i < series->count; i++)
        steps = steps || series->entries[i].parsed.step >= 0;
    enum axis axis = tokens_first         ? BY_TOKENS
                     : steps              ? BY_STEP
                     : stages->all_tokens ? BY_TOKENS
                     : kept               ? BY_ROW
                                          : BY_NAME;
    return texts[stages->count > 1][axis];
}

// ---- what is not known -------------------------------------------------------------------------

// Whether two names are the same but for their digits, as v9 and v10 are.
static bool differ_by_numbers(const char *a, const char *b) {
    for (;; a++, b++) {
        a += strspn(a, "0123456789");
        b += strspn(b, "0123456789");
        if (*a != *b || !*a)
            return *a == *b;
    }
}

// Whether the order of the names is no more than that: they are words, or commits of the Hub.
static bool says_no_order(const struct tr_series *series) {
    bool counted = true;
    for (int64_t i = 1; i < series->count; i++)
        counted =
            counted && differ_by_numbers(series->entries[i - 1].name, series->entries[i].name);
    return !counted;
}

// A pattern for a name that is unclear: its last number, with what stands beside it where that
// means itself in a pattern.
static enum tr_status say_pattern(struct tr_series *series, const char *name, struct tr_err *err) {
    static const char digits[] = "0123456789";
    size_t end = strlen(name), begin;
    while (end > 0 && !strchr(digits, name[end - 1]))
        end--;
    for (begin = end; begin > 0 && strchr(digits, name[begin - 1]);)
        begin--;
    const char *behind = name + end;
    bool is_plain = !strpbrk(behind, ".+*?()[]{}|^$\\'\"\r\n\x1b");
    bool is_joined = begin > 0 && strchr("-_", name[begin - 1]);
    return tr_string_format(
        &series->notes, err, "; --name-pattern REGEX says it, as '%.*s(?<step>\\d+)%s%s'\n",
        is_joined, name + begin - is_joined, is_plain ? behind : "", is_plain ? "$" : "");
}

static enum tr_status say_unknown(struct tr_series *series, bool manifest, struct tr_err *err) {
    struct tr_told beginnings = {0}, ends = {0}, unclear = {0}, timeless = {0};
    char names[320];
    for (int64_t i = 0; i < series->count; i++) {
        const struct tr_series_entry *entry = &series->entries[i];
        if (tr_entry_is_timeless(entry))
            tr_told_add(tr_entry_is_end(entry) ? tr_names_the_end(entry->name) ? &ends : &beginnings
                        : entry->parsed.unclear ? &unclear
                                                : &timeless,
                        entry);
    }
    int64_t unknown = beginnings.count + ends.count + unclear.count + timeless.count;
    if (series->count == 1)
        return TR_OK;
    if (unclear.count) {
        TR_TRY(tr_string_format(&series->notes, err, "which number is the step, or tokens? %s",
                                tr_told_names(&unclear, names)));
        TR_TRY(say_pattern(series, unclear.first->name, err));
    }
    if (timeless.count == series->count && !manifest && says_no_order(series))
        TR_TRY(tr_string_format(&series->notes, err,
                                "no step or tokens known of any checkpoint: the order of their "
                                "names need not be that of training; --manifest FILE says it\n"));
    if (timeless.count && unknown < series->count)
        TR_TRY(tr_string_format(&series->notes, err,
                                "no step or tokens known: %s; last of the stage, without one "
                                "behind the checkpoint of the same weights, if any\n",
                                tr_told_names(&timeless, names)));
    if (beginnings.count && unknown < series->count)
        TR_TRY(tr_string_format(&series->notes, err,
                                "no step or tokens known: %s; first, by the name\n",
                                tr_told_names(&beginnings, names)));
    if (ends.count && unknown < series->count)
        TR_TRY(tr_string_format(&series->notes, err,
                                "no step or tokens known: %s; last, or behind the checkpoint with "
                                "the same weights\n",
                                tr_told_names(&ends, names)));
    return TR_OK;
}

// Steps and tokens that cannot be compared: each stands for itself in its stage.
static enum tr_status say_tokens_alone(struct tr_series *series, bool tokens_first,
                                       struct tr_err *err) {
    struct tr_told told = {0};
    bool steps_alone = false;
    char names[320];
    for (int64_t i = 0; i < series->count; i++) {
        const struct tr_name *parsed = &series->entries[i].parsed;
        steps_alone = steps_alone || (parsed->step >= 0 && isnan(parsed->tokens));
        if (parsed->step < 0 && !isnan(parsed->tokens))
            tr_told_add(&told, &series->entries[i]);
    }
    if (!told.count || !steps_alone || tokens_first)
        return TR_OK;
    return tr_string_format(&series->notes, err,
                            "tokens without a step: %s; behind the steps of the same stage, which "
                            "have no tokens\n",
                            tr_told_names(&told, names));
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

static enum tr_status decide(struct tr_series *series, struct tr_stages *stages, bool manifest,
                             bool separate, struct tr_err *err) {
    bool tokens_first = false;
    TR_TRY(tr_stages_order(stages, series, manifest, separate, err));
    if (stages->all_tokens && stages->count == 1 && !*stages->list[0].name)
        TR_TRY(compare_axes(&tokens_first, series, err));
    int64_t kept = manifest ? count_kept(series) : 0;
    series->order = order_text(series, stages, tokens_first, kept > 0);
    TR_TRY(say_unknown(series, manifest, err));
    TR_TRY(say_tokens_alone(series, tokens_first, err));
    return write_rule(series, stages, tokens_first, kept, err);
}

enum tr_status tr_series_sort(struct tr_series *series, bool manifest,
                              const struct tr_series_options *options, struct tr_err *err) {
    struct tr_stages stages;
    TR_TRY(tr_stages_find(&stages, series, err));
    enum tr_status status = decide(series, &stages, manifest, options->separate, err);
    free(stages.list);
    TR_TRY(status);
    fill_tokens(series, options->tokens_per_step);
    return sort_entries(series, err);
}

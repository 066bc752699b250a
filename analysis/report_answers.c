// SPDX-License-Identifier: Apache-2.0
// The answers for several modules, a line each, so that all of them are read at a glance.
#include <math.h>
#include <string.h>

#include "analysis/rule.h"
#include "answer.h"

static enum tr_status add_sureness(struct an_writer *w, struct tr_err *err) {
    double p = w->group->set[AN_MEAN].choice.set[w->group->count];
    char text[AN_PROBABILITY_MAX];
    if (!an_has_intervals(w))
        return tr_string_format(w->text, err, "how sure cannot be said");
    return tr_string_format(w->text, err, "%s (%s)", an_degree_of(p),
                            an_probability_text(p, w->result->settings.resamples, text));
}

static enum tr_status add_share(struct an_writer *w, struct tr_err *err) {
    double least = an_least_share(w);
    if (least > 1.0 - 1e-9)
        return tr_string_format(w->text, err, ", all of training");
    if (least < 0.01)
        return tr_string_format(w->text, err, ", under 1 %% of training");
    return tr_string_format(w->text, err, ", %.0f %% of training", floor(100.0 * least));
}

// How many of the set another aggregate has, too.
static enum tr_status add_common(struct an_writer *w, enum an_aggregate which, struct tr_err *err) {
    int64_t common = w->group->count - an_list_others(w, which, AN_MEAN);
    return common ? tr_string_format(w->text, err, "%lld", (long long)common)
                  : tr_string_format(w->text, err, "none");
}

static enum tr_status add_agreement(struct an_writer *w, struct tr_err *err) {
    if (an_list_others(w, AN_WORST, AN_MEAN) == 0 && an_list_others(w, AN_LAST, AN_MEAN) == 0)
        return tr_string_format(w->text, err, "; all agree");
    TR_TRY(tr_string_format(w->text, err, "; worst "));
    TR_TRY(add_common(w, AN_WORST, err));
    TR_TRY(tr_string_format(w->text, err, " of %lld, last ", (long long)w->group->count));
    return add_common(w, AN_LAST, err);
}

// Whether each of several texts gives the same set.
static enum tr_status add_texts(struct an_writer *w, struct tr_err *err) {
    bool alike = true;
    for (int64_t i = 0; i < w->group->texts; i++)
        alike &= w->group->text[i].common == w->group->count;
    return w->group->texts == 0
               ? TR_OK
               : tr_string_format(w->text, err, "; texts %s", alike ? "agree" : "differ");
}

static enum tr_status add_below(struct an_writer *w, struct tr_err *err) {
    int64_t below = 0;
    if (w->group->below < 0)
        return TR_OK;
    for (int64_t u = 0; u < w->group->units; u++)
        if (w->group->unit[u].below)
            w->list[below++] = u;
    TR_TRY(tr_string_format(w->text, err, "; below %.3g: ", w->result->settings.below));
    return below ? an_add_numbers(w, below, err) : tr_string_format(w->text, err, "none shown");
}

static enum tr_status write_group(struct an_writer *w, enum an_group group, struct tr_err *err) {
    an_begin_group(w, w->result->group[group]);
    memcpy(w->list, w->group->set[AN_MEAN].choice.order, (size_t)w->group->count * sizeof *w->list);
    TR_TRY(tr_string_format(w->text, err, "%s: %s", an_answer_titles[group],
                            w->group->count == 1 ? "layer " : ""));
    TR_TRY(an_add_numbers(w, w->group->count, err));
    TR_TRY(tr_string_format(w->text, err, ": "));
    if (an_is_all(w)) {
        TR_TRY(tr_string_format(w->text, err, "all there %s", w->group->count == 1 ? "is" : "are"));
    } else {
        TR_TRY(add_sureness(w, err));
        if (w->result->series.claimed > 1) {
            TR_TRY(add_share(w, err));
            TR_TRY(add_agreement(w, err));
        }
        TR_TRY(add_texts(w, err));
        if (an_count_noise(w))
            TR_TRY(tr_string_format(w->text, err, "; %lld may be rounding",
                                    (long long)an_count_noise(w)));
    }
    TR_TRY(add_below(w, err));
    TR_TRY(tr_string_format(w->text, err, "."));
    return an_write_paragraph(w, err);
}

// "Right by measured cost (loss, KL): attention 2 and 3 of 3, MLP 1 and 2 of 3."
static enum tr_status write_costs(struct an_writer *w, struct tr_err *err) {
    static const char *const names[AN_GROUPS] = {"attention", "MLP", "blocks", "together"};
    int by = (int)w->result->settings.by, said = 0;
    for (int group = 0; group < AN_JOINT && by < AN_PROXIES; group++) {
        const struct an_group_result *one = w->result->group[group];
        if (!one || !one->trial || one->count == one->units)
            continue;
        double count = (double)one->trial->count;
        TR_TRY(tr_string_format(w->text, err, "%s %s %.0f and %.0f of %.0f",
                                said++ ? "," : "Right by measured cost (loss, KL):", names[group],
                                an_verdict_of(one->trial, -1, by, 0)->found.value * count,
                                an_verdict_of(one->trial, -1, by, 1)->found.value * count, count));
    }
    if (said == 0)
        return TR_OK;
    TR_TRY(tr_string_format(w->text, err, "."));
    return an_write_paragraph(w, err);
}

enum tr_status an_write_short_answers(struct an_writer *w, struct tr_err *err) {
    for (int group = 0; group < AN_JOINT; group++)
        if (w->result->group[group])
            TR_TRY(write_group(w, group, err));
    return write_costs(w, err);
}

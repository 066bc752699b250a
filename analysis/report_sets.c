// SPDX-License-Identifier: Apache-2.0
// Which layers are the least important ones, and how sure that is; which are below tau throughout.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "analysis/rule.h"
#include "writer.h"

static const char *const by[AN_AGGREGATES] = {
    [AN_MEAN] = "By the mean over training",
    [AN_WORST] = "By the worst case",
    [AN_LAST] = "At the last checkpoint",
};

// When all probabilities are at least this high, one sentence stands for them.
static const double sure = 0.99;

// The tail of t beyond this measures nothing, so a smaller p is printed as a bound.
static const double least_p = 1e-6;

static bool is_known(const struct an_writer *w) {
    return w->result->method != AN_NO_INTERVAL;
}

// Whether claims rest on one checkpoint only.
static bool is_one(const struct an_writer *w) {
    return w->result->series.claimed == 1;
}

// Adds " 0.81". A share of all resamples or of none is printed as a bound.
static enum tr_status add_probability(struct an_writer *w, double p, struct tr_err *err) {
    char text[AN_PROBABILITY_MAX];
    return tr_string_format(w->text, err, " %s",
                            an_probability_text(p, w->result->settings.resamples, text));
}

// "layers 0, 1 and 2, as a set with probability 0.81."
static enum tr_status add_members(struct an_writer *w, const struct an_set *set,
                                  struct tr_err *err) {
    int64_t count = w->group->count;
    memcpy(w->list, set->choice.order, (size_t)count * sizeof *w->list);
    TR_TRY(an_add_units(w, count, err));
    if (is_known(w)) {
        TR_TRY(
            tr_string_format(w->text, err, ",%s with probability", count > 1 ? " as a set" : ""));
        TR_TRY(add_probability(w, set->choice.set[count], err));
    }
    return tr_string_append(w->text, ".", 1, err);
}

// " Each of them belongs to it with probability over 0.9999." or " Probability of belonging: layer
// 5 0.81, layer 6 (outside) 0.19; the others at least 0.998."
static enum tr_status add_probabilities(struct an_writer *w, const struct an_set *set,
                                        struct tr_err *err) {
    const struct an_choice *choice = &set->choice;
    int64_t count = w->group->count, doubtful = 0, inside = 0;
    double least = 1.0;
    for (int64_t i = 0; i < choice->present; i++) {
        double p = an_choice_probability(choice, choice->order[i], count);
        if (i < count && p >= sure)
            least = fmin(least, p);
        if (i < count ? p >= sure : p <= 1.0 - sure)
            continue;
        TR_TRY(tr_string_format(w->text, err, doubtful++ ? ", " : " Probability of belonging: "));
        TR_TRY(an_add_unit(w, choice->order[i], err));
        TR_TRY(tr_string_format(w->text, err, i < count ? "" : " (outside)"));
        TR_TRY(add_probability(w, p, err));
        inside += i < count;
    }
    if (doubtful == 0 && count == 1)
        return TR_OK;
    if (doubtful == 0)
        TR_TRY(tr_string_format(w->text, err, " Each of them belongs to it with probability"));
    else if (inside < count)
        TR_TRY(tr_string_format(w->text, err, "; the others%s", least < 1.0 ? " at least" : ""));
    if (inside < count)
        TR_TRY(add_probability(w, least, err));
    return tr_string_append(w->text, ".", 1, err);
}

// " The next, layer 9, is 0.03 [0.02, 0.04] above the last of them, layer 6."
static enum tr_status add_margin(struct an_writer *w, const struct an_set *set,
                                 struct tr_err *err) {
    const struct an_cut *cut = &set->cut[w->group->count - 1];
    struct an_estimate margin = {cut->margin, cut->interval.low, cut->interval.high};
    TR_TRY(tr_string_format(w->text, err, " The next, "));
    TR_TRY(an_add_unit(w, cut->next, err));
    TR_TRY(tr_string_format(w->text, err, ", is "));
    TR_TRY(an_add_estimate(w, &margin, err));
    TR_TRY(tr_string_format(w->text, err, " above the last of them, "));
    TR_TRY(an_add_unit(w, cut->last, err));
    return tr_string_append(w->text, ".", 1, err);
}

// " Layer 6 outside cannot be told from layer 5 (6 - 5: 0.0014 [-0.001, 0.009]) ..."
static enum tr_status add_ties(struct an_writer *w, const struct an_set *set, struct tr_err *err) {
    for (int64_t i = 0; i < set->ties; i++) {
        const struct an_tie *tie = &set->tie[i];
        bool same = i > 0 && set->tie[i - 1].outside == tie->outside;
        if (!same) {
            TR_TRY(tr_string_format(w->text, err, i > 0 ? "; " : " Not told apart: "));
            TR_TRY(an_add_unit(w, tie->outside, err));
            TR_TRY(tr_string_format(w->text, err, " (outside) from "));
        } else {
            TR_TRY(tr_string_format(w->text, err, ", from "));
        }
        TR_TRY(an_add_unit(w, tie->inside, err));
        TR_TRY(tr_string_format(w->text, err, ": the difference is "));
        TR_TRY(an_add_estimate(w, &tie->difference, err));
    }
    return set->ties > 0 ? tr_string_append(w->text, ".", 1, err) : TR_OK;
}

static enum tr_status add_clean(struct an_writer *w, const struct an_set *set, struct tr_err *err) {
    if (set->cut[w->group->count - 1].clean)
        return tr_string_format(w->text, err,
                                set->ties > 0 ? " The margin at the cut is clear of 0 all the same."
                                              : " The cut is clean.");
    if (set->clean_below == 0 && set->clean_above == 0)
        return tr_string_format(w->text, err, " The cut is not clean, and no other is.");
    char below[24] = "", above[24] = "";
    if (set->clean_below > 0)
        snprintf(below, sizeof below, "%lld", (long long)set->clean_below);
    if (set->clean_above > 0)
        snprintf(above, sizeof above, "%lld", (long long)set->clean_above);
    return tr_string_format(w->text, err, " The cut is not clean; the nearest that %s: %s%s%s.",
                            below[0] && above[0] ? "are" : "is", below,
                            below[0] && above[0] ? " and " : "", above);
}

static enum tr_status write_set(struct an_writer *w, enum an_aggregate which, struct tr_err *err) {
    const struct an_set *set = &w->group->set[which];
    int64_t last = w->result->series.claim[w->result->series.claimed - 1];
    if (is_one(w))
        TR_TRY(tr_string_format(w->text, err, "At %s: ", an_label(w, w->result->series.claim[0])));
    else if (which == AN_LAST && last < w->result->series.checkpoints - 1)
        TR_TRY(tr_string_format(w->text, err, "At the last of them, %s: ", an_label(w, last)));
    else
        TR_TRY(tr_string_format(w->text, err, "%s: ", by[which]));
    TR_TRY(add_members(w, set, err));
    if (w->group->count < set->choice.present) {
        if (is_known(w))
            TR_TRY(add_probabilities(w, set, err));
        TR_TRY(add_margin(w, set, err));
        if (is_known(w)) {
            TR_TRY(add_ties(w, set, err));
            TR_TRY(add_clean(w, set, err));
        }
    }
    return an_write_paragraph(w, err);
}

enum tr_status an_write_below(struct an_writer *w, struct tr_err *err) {
    const struct an_settings *settings = &w->result->settings;
    int64_t below = 0;
    double worst = 0.0;
    for (int64_t u = 0; u < w->group->units; u++)
        if (w->group->unit[u].below) {
            w->list[below++] = u;
            worst = fmax(worst, w->group->unit[u].below_q);
        }
    TR_TRY(tr_string_format(w->text, err, "Below %.3g at every checkpoint: ", settings->below));
    if (!is_known(w)) {
        TR_TRY(tr_string_format(w->text, err, "not testable with one sample."));
    } else if (below == 0) {
        TR_TRY(tr_string_format(w->text, err, "shown for none"));
    } else {
        TR_TRY(an_add_units(w, below, err));
        TR_TRY(tr_string_format(w->text, err, ", adjusted p %s %.2g",
                                worst < least_p ? "under" : "at most", fmax(worst, least_p)));
    }
    if (is_known(w))
        TR_TRY(tr_string_format(w->text, err,
                                " (intersection-union over checkpoints, false-discovery rate %.3g "
                                "%% over %lld).",
                                100.0 * (1.0 - settings->level), (long long)w->group->units));
    return an_write_paragraph(w, err);
}

enum tr_status an_write_sets(struct an_writer *w, struct tr_err *err) {
    char heading[96];
    int64_t count = w->group->count;
    snprintf(heading, sizeof heading, "Which are the %lld least important?", (long long)count);
    TR_TRY(an_write_heading(w, count == 1 ? "Which is the least important?" : heading, err));
    if (count == w->group->units) {
        TR_TRY(tr_string_format(w->text, err, "%s all there %s: there is nothing to choose.",
                                count == 1 ? "It is" : "They are", count == 1 ? "is" : "are"));
        TR_TRY(an_write_paragraph(w, err));
    } else {
        for (int which = is_one(w) ? AN_LAST : 0; which < AN_AGGREGATES; which++)
            TR_TRY(write_set(w, which, err));
    }
    return w->group->below < 0 ? TR_OK : an_write_below(w, err);
}

// SPDX-License-Identifier: Apache-2.0
// The report's first lines: which layers, over what share of training, how sure, whether mean,
// worst case and last checkpoint agree, and what is missing to say more.
#include <math.h>
#include <string.h>

#include "analysis/rule.h"
#include "answer.h"
#include "statistics/concordance.h"

enum { DOUBTS_SHOWN = 3 };

const char *const an_answer_titles[AN_GROUPS] = {"Attention", "MLP", "Blocks", "Together"};

// How sure a set is, by its probability.
static const struct {
    double from;
    const char *words;
} degrees[] = {{0.99, "sure"}, {0.9, "nearly sure"}, {0.5, "likely"}, {0.0, "not sure"}};

const char *an_degree_of(double probability) {
    int degree = 0;
    while (probability < degrees[degree].from)
        degree++;
    return degrees[degree].words;
}

static const struct an_set *set_of(const struct an_writer *w, enum an_aggregate which) {
    return &w->group->set[which];
}

static bool is_inside(const struct an_writer *w, enum an_aggregate which, int64_t unit) {
    for (int64_t i = 0; i < w->group->count; i++)
        if (set_of(w, which)->choice.order[i] == unit)
            return true;
    return false;
}

bool an_is_all(const struct an_writer *w) {
    return w->group->count == w->group->units;
}

bool an_has_intervals(const struct an_writer *w) {
    return w->result->method != AN_NO_INTERVAL;
}

double an_least_share(const struct an_writer *w) {
    double least = 1.0;
    for (int64_t i = 0; i < w->group->count; i++)
        least = fmin(least, w->group->unit[set_of(w, AN_MEAN)->choice.order[i]].share);
    return least;
}

// ---- how sure --------------------------------------------------------------------------------

// ": in doubt are layer 6 (0.61, inside) and ...": who belongs to the set with a probability that
// is neither sure nor surely not.
static enum tr_status add_doubts(struct an_writer *w, struct tr_err *err) {
    const struct an_choice *choice = &set_of(w, AN_MEAN)->choice;
    char text[AN_PROBABILITY_MAX];
    int64_t said = 0;
    for (int64_t i = w->group->count - 1, j = i + 1;
         said < DOUBTS_SHOWN && (i >= 0 || j < choice->present);) {
        // Outwards from the cut, where the doubtful ones are.
        double inside =
            i >= 0 ? an_choice_probability(choice, choice->order[i], w->group->count) : 1.0;
        double outside = j < choice->present
                             ? an_choice_probability(choice, choice->order[j], w->group->count)
                             : 0.0;
        bool in = 1.0 - inside >= outside;
        double p = in ? inside : outside;
        if (in ? p >= degrees[0].from : p <= 1.0 - degrees[0].from)
            break;
        TR_TRY(tr_string_format(w->text, err, said++ ? ", " : ": "));
        TR_TRY(an_add_unit(w, choice->order[in ? i-- : j++], err));
        TR_TRY(tr_string_format(w->text, err, "%s %s", in ? "" : " (outside)",
                                an_probability_text(p, w->result->settings.resamples, text)));
    }
    return TR_OK;
}

static enum tr_status add_sureness(struct an_writer *w, struct tr_err *err) {
    const struct an_set *set = set_of(w, AN_MEAN);
    double p = set->choice.set[w->group->count];
    char text[AN_PROBABILITY_MAX];
    if (!an_has_intervals(w))
        return tr_string_format(w->text, err, ": how sure cannot be said");
    TR_TRY(tr_string_format(w->text, err, ": %s (probability %s over texts", an_degree_of(p),
                            an_probability_text(p, w->result->settings.resamples, text)));
    if (p < degrees[0].from)
        TR_TRY(add_doubts(w, err));
    TR_TRY(tr_string_format(w->text, err, ")"));
    return TR_OK;
}

// "; a clean cut would be 4 or 7"
static enum tr_status add_clean_cut(struct an_writer *w, struct tr_err *err) {
    const struct an_set *set = set_of(w, AN_MEAN);
    if (!an_has_intervals(w) || set->cut[w->group->count - 1].clean ||
        (!set->clean_below && !set->clean_above))
        return TR_OK;
    TR_TRY(tr_string_format(w->text, err, "; a clean cut would be"));
    if (set->clean_below)
        TR_TRY(tr_string_format(w->text, err, " %lld", (long long)set->clean_below));
    if (set->clean_above)
        TR_TRY(tr_string_format(w->text, err, "%s %lld", set->clean_below ? " or" : "",
                                (long long)set->clean_above));
    return TR_OK;
}

// ---- over what share of training, and by what ------------------------------------------------

static enum tr_status add_share(struct an_writer *w, struct tr_err *err) {
    double least = an_least_share(w);
    const char *each = w->group->count > 1 ? ", each" : ",";
    if (least > 1.0 - 1e-9)
        return tr_string_format(w->text, err, "%s throughout", each);
    if (least < 0.01)
        return tr_string_format(w->text, err, ", %s for under 1 %% of training",
                                w->group->count > 1 ? "one of them" : "but");
    return tr_string_format(w->text, err, "%s for %.0f %% of training or more", each,
                            floor(100.0 * least));
}

// Those of one set that are not of the other, into the list.
int64_t an_list_others(struct an_writer *w, enum an_aggregate of, enum an_aggregate not_of) {
    int64_t count = 0;
    for (int64_t i = 0; i < w->group->count; i++) {
        int64_t unit = set_of(w, of)->choice.order[i];
        if (!is_inside(w, not_of, unit))
            w->list[count++] = unit;
    }
    return count;
}

// "has layer 9 for layer 1"
static enum tr_status add_others(struct an_writer *w, enum an_aggregate which, struct tr_err *err) {
    TR_TRY(tr_string_format(w->text, err, "has "));
    TR_TRY(an_add_units(w, an_list_others(w, which, AN_MEAN), err));
    TR_TRY(tr_string_format(w->text, err, " for "));
    return an_add_units(w, an_list_others(w, AN_MEAN, which), err);
}

static enum tr_status add_agreement(struct an_writer *w, struct tr_err *err) {
    bool worst = an_list_others(w, AN_WORST, AN_MEAN) == 0,
         last = an_list_others(w, AN_LAST, AN_MEAN) == 0;
    if (worst && last)
        return tr_string_format(w->text, err, "; mean, worst case and last checkpoint agree.");
    TR_TRY(tr_string_format(w->text, err, "; the worst case "));
    TR_TRY(worst ? tr_string_format(w->text, err, "agrees") : add_others(w, AN_WORST, err));
    TR_TRY(tr_string_format(w->text, err, ", the last checkpoint "));
    TR_TRY(last ? tr_string_format(w->text, err, "agrees") : add_others(w, AN_LAST, err));
    return tr_string_format(w->text, err, ".");
}

// What was measured of leaving layers out, where the group is ranked by a proxy.
static enum tr_status add_costs(struct an_writer *w, struct tr_err *err) {
    const struct an_trial *trial = w->group->trial;
    int by = (int)w->result->settings.by;
    if (!trial || by >= AN_PROXIES || an_is_all(w))
        return TR_OK;
    TR_TRY(tr_string_format(w->text, err,
                            " Of the %lld that it measurably costs least to leave out it finds",
                            (long long)trial->count));
    for (int cost = 0; cost < AN_COSTS; cost++)
        TR_TRY(
            tr_string_format(w->text, err, "%s %.0f by %s", cost ? " and" : "",
                             an_verdict_of(trial, -1, by, cost)->found.value * (double)trial->count,
                             cost ? "KL" : "loss"));
    return tr_string_format(w->text, err, ".");
}

int64_t an_count_noise(const struct an_writer *w) {
    int64_t below = 0;
    if (w->result->settings.by != AN_BY_COST_KL || an_is_all(w))
        return 0;
    for (int64_t i = 0; i < w->group->count; i++)
        below += w->group->unit[set_of(w, AN_MEAN)->choice.order[i]].by[AN_MEAN].value < w->floor;
    return below;
}

static enum tr_status add_noise(struct an_writer *w, struct tr_err *err) {
    int64_t below = an_count_noise(w);
    return below == 0 ? TR_OK
                      : tr_string_format(w->text, err,
                                         " %lld of them cost less than %.2g nats, below which "
                                         "rounding in %s may decide.",
                                         (long long)below, w->floor, w->result->series.dtype);
}

// ---- all -------------------------------------------------------------------------------------

// How many groups there are an answer for.
static int count_groups(const struct an_writer *w) {
    int groups = 0;
    for (int group = 0; group < AN_GROUPS; group++)
        groups += w->result->group[group] != NULL;
    return groups;
}

static enum tr_status add_checkpoints(struct an_writer *w, struct tr_err *err) {
    const struct an_series *series = &w->result->series;
    if (series->claimed == 1)
        return tr_string_format(w->text, err, " (%s)", an_label(w, series->claim[0]));
    return tr_string_format(w->text, err, " (%lld checkpoints%s%s to %s)",
                            (long long)series->claimed, series->first ? "" : ", ",
                            series->first ? "" : an_label(w, series->claim[0]),
                            an_label(w, series->claim[series->claimed - 1]));
}

static enum tr_status write_rule(struct an_writer *w, struct tr_err *err) {
    TR_TRY(tr_string_format(w->text, err, "To leave out first, "));
    TR_TRY(an_rule_text(w->text, w->result, err));
    if (count_groups(w) == 1)
        TR_TRY(add_checkpoints(w, err));
    TR_TRY(tr_string_format(w->text, err, ":"));
    return an_page_paragraph(&w->page, 0, err);
}

// The one group that is asked for, at length.
static enum tr_status write_group(struct an_writer *w, enum an_group group, struct tr_err *err) {
    an_begin_group(w, w->result->group[group]);
    memcpy(w->list, set_of(w, AN_MEAN)->choice.order, (size_t)w->group->count * sizeof *w->list);
    TR_TRY(tr_string_format(w->text, err, "%s: ", an_answer_titles[group]));
    TR_TRY(an_add_units(w, w->group->count, err));
    if (an_is_all(w)) {
        TR_TRY(tr_string_format(w->text, err, ", which %s all there %s.",
                                w->group->count == 1 ? "is" : "are",
                                w->group->count == 1 ? "is" : "are"));
    } else {
        TR_TRY(tr_string_format(w->text, err, " of %lld", (long long)w->group->units));
        TR_TRY(add_sureness(w, err));
        if (w->result->series.claimed > 1) {
            TR_TRY(add_share(w, err));
            TR_TRY(add_clean_cut(w, err));
            TR_TRY(add_agreement(w, err));
        } else {
            TR_TRY(add_clean_cut(w, err));
            TR_TRY(tr_string_format(w->text, err, "."));
        }
        TR_TRY(an_add_texts(w, err));
        TR_TRY(add_costs(w, err));
        TR_TRY(add_noise(w, err));
    }
    TR_TRY(an_write_paragraph(w, err));
    return w->group->below < 0 ? TR_OK : an_write_below(w, err);
}

// What would let the report say more, and is not there; in a line where several groups are told.
static enum tr_status write_missing(struct an_writer *w, bool one, struct tr_err *err) {
    const struct an_result *result = w->result;
    const struct an_series *series = &result->series;
    bool costs = (int)result->settings.by >= AN_PROXIES;
    for (int group = 0; group < AN_GROUPS; group++)
        costs |= result->group[group] && result->group[group]->trial;
    TR_TRY(tr_string_format(w->text, err, "To say more: "));
    if (series->sampled < 2 && series->sequences > 1)
        TR_TRY(tr_string_format(w->text, err, "values by row of text, "));
    else if (series->sampled < AN_ROWS_LEAST)
        TR_TRY(tr_string_format(w->text, err, "%d rows%s (%lld here), ", AN_ROWS_LEAST,
                                one ? " of text" : "", (long long)series->sampled));
    if (series->claimed < AN_CHECKPOINTS_LEAST)
        TR_TRY(tr_string_format(w->text, err, "%d checkpoints (%lld here), ", AN_CHECKPOINTS_LEAST,
                                (long long)series->claimed));
    if (!costs)
        TR_TRY(tr_string_format(w->text, err, "%s, ",
                                one ? "measured costs (trace-ckpts --cost)" : "--cost"));
    TR_TRY(tr_string_format(w->text, err, "another run%s.", one ? " of training" : ""));
    return an_page_paragraph(&w->page, 0, err);
}

enum tr_status an_write_answer(struct an_writer *w, struct tr_err *err) {
    int groups = count_groups(w);
    if (groups == 0) {
        TR_TRY(tr_string_format(w->text, err, "Nothing was measured that could be ranked."));
        return an_page_paragraph(&w->page, 0, err);
    }
    TR_TRY(write_rule(w, err));
    for (int group = 0; group < AN_GROUPS && groups == 1; group++)
        if (w->result->group[group])
            TR_TRY(write_group(w, group, err));
    if (groups > 1)
        TR_TRY(an_write_short_answers(w, err));
    return write_missing(w, groups == 1, err);
}

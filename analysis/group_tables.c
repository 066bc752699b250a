// SPDX-License-Identifier: Apache-2.0
#include "result_tables.h"

#define NUMBER_OR_NULL "number|null"

// ---- units -----------------------------------------------------------------------------------

static const struct an_json_field change_fields[] = {
    AN_FIELD("at", PLACE, struct an_change, at),
    AN_ESTIMATE("total", struct an_change, total),
    AN_ESTIMATE("written", struct an_change, delta),
    AN_ESTIMATE("stream", struct an_change, stream),
    AN_ESTIMATE("direction", struct an_change, direction),
};
static const struct an_json_table change = AN_TABLE(struct an_change, change_fields);

static const struct an_json_field when_fields[] = {
    AN_FIELD("onset", PLACE, struct an_unit, onset),
    AN_FIELD("trend_z", NUMBER, struct an_unit, trend_z),
    AN_FIELD("trend_p", NUMBER, struct an_unit, trend_p),
    AN_ESTIMATE("slope", struct an_unit, slope),
    AN_OBJECT("whole", struct an_unit, whole, &change),
    AN_LIST("changes", struct an_unit, change, changes, &change),
};
static const struct an_json_table when = AN_TABLE(struct an_unit, when_fields);

static const struct an_json_field chance_fields[] = {
    AN_ESTIMATE("untrained", struct an_unit, untrained),
    AN_ESTIMATE("orthogonal", struct an_unit, orthogonal),
    AN_FIELD("share_p", NUMBER, struct an_unit, share_p),
};
static const struct an_json_table chance = AN_TABLE(struct an_unit, chance_fields);

static const struct an_json_field unit_fields[] = {
    AN_FIELD("layer", INTEGER, struct an_unit, layer),
    AN_NAME("module", struct an_unit, module, tr_module_names, TR_MODULES),
    AN_ESTIMATE("mean", struct an_unit, by[AN_MEAN]),
    AN_ESTIMATE("worst", struct an_unit, by[AN_WORST]),
    AN_FIELD("worst_at", INTEGER, struct an_unit, worst_at),
    AN_ESTIMATE("last", struct an_unit, by[AN_LAST]),
    AN_FIELD("mean_rank", REAL, struct an_unit, mean_rank),
    AN_FIELD("share", REAL, struct an_unit, share),
    AN_FIELD("below_p", NUMBER, struct an_unit, below_p),
    AN_FIELD("below_q", NUMBER, struct an_unit, below_q),
    AN_FIELD("below", FLAG, struct an_unit, below),
    AN_PART("when", &when),
    AN_PART("chance", &chance),
};
static const struct an_json_table unit = AN_TABLE(struct an_unit, unit_fields);

// ---- sets ------------------------------------------------------------------------------------

// A probability is a share of resamples, so without them it is null.
static json_t *probability(double value, const void *context) {
    const struct an_result *result = ((const struct an_json_context *)context)->result;
    return result->method == AN_NO_INTERVAL ? json_null() : an_json_number(value);
}

static json_t *make_cut_count(const void *cut, const void *context) {
    const struct an_json_context *c = context;
    return json_integer((const struct an_cut *)cut - c->set->cut + 1);
}

static json_t *make_margin(const void *cut, const void *context) {
    const struct an_cut *c = cut;
    const struct an_estimate margin = {c->margin, c->interval.low, c->interval.high};
    return an_json_object(&an_json_estimate, &margin, context);
}

static json_t *make_cut_probability(const void *cut, const void *context) {
    return probability(((const struct an_cut *)cut)->probability, context);
}

static const struct an_json_field cut_fields[] = {
    AN_MADE("count", make_cut_count, "integer"),
    AN_FIELD("last", INTEGER, struct an_cut, last),
    AN_FIELD("next", INTEGER, struct an_cut, next),
    AN_MADE_OF("margin", make_margin, "object", &an_json_estimate),
    AN_MADE("probability", make_cut_probability, NUMBER_OR_NULL),
    AN_FIELD("clean", FLAG, struct an_cut, clean),
};
static const struct an_json_table cut = AN_TABLE(struct an_cut, cut_fields);

static const struct an_json_field tie_fields[] = {
    AN_FIELD("inside", INTEGER, struct an_tie, inside),
    AN_FIELD("outside", INTEGER, struct an_tie, outside),
    AN_ESTIMATE("difference", struct an_tie, difference),
};
static const struct an_json_table tie = AN_TABLE(struct an_tie, tie_fields);

// An array of the first `count` units in the set's order.
static json_t *first_of(const struct an_set *set, int64_t count) {
    json_t *array = json_array();
    for (int64_t i = 0; i < count && i < set->choice.present && array; i++)
        array = an_json_append(array, json_integer(set->choice.order[i]));
    return array;
}

static json_t *make_members(const void *set, const void *context) {
    return first_of(set, ((const struct an_json_context *)context)->group->count);
}

static json_t *make_order(const void *set, const void *context) {
    (void)context;
    return first_of(set, ((const struct an_set *)set)->choice.present);
}

static json_t *make_set_probability(const void *set, const void *context) {
    const struct an_choice *choice = &((const struct an_set *)set)->choice;
    int64_t count = ((const struct an_json_context *)context)->group->count;
    return probability(choice->set[count < choice->present ? count : choice->present], context);
}

static json_t *make_inside(const void *set, const void *context) {
    const struct an_group_result *group = ((const struct an_json_context *)context)->group;
    const struct an_choice *choice = &((const struct an_set *)set)->choice;
    json_t *array = json_array();
    for (int64_t u = 0; u < group->units && array; u++)
        array = an_json_append(
            array, probability(an_choice_probability(choice, u, group->count), context));
    return array;
}

static json_t *make_cuts(const void *set, const void *context) {
    struct an_json_context here = *(const struct an_json_context *)context;
    here.set = set;
    return an_json_list(&cut, here.set->cut, here.set->choice.present - 1, &here);
}

static const struct an_json_field set_fields[] = {
    AN_MADE("units", make_members, "array"),
    AN_MADE("order", make_order, "array"),
    AN_MADE("probability", make_set_probability, NUMBER_OR_NULL),
    AN_MADE("inside", make_inside, "array"),
    AN_MADE_OF("cuts", make_cuts, "array", &cut),
    AN_LIST("ties", struct an_set, tie, ties, &tie),
    AN_FIELD("clean_below", SIZE, struct an_set, clean_below),
    AN_FIELD("clean_above", SIZE, struct an_set, clean_above),
};
static const struct an_json_table set = AN_TABLE(struct an_set, set_fields);

static const struct an_json_field sets_fields[] = {
    AN_OBJECT("mean", struct an_group_result, set[AN_MEAN], &set),
    AN_OBJECT("worst", struct an_group_result, set[AN_WORST], &set),
    AN_OBJECT("last", struct an_group_result, set[AN_LAST], &set),
};
static const struct an_json_table sets = AN_TABLE(struct an_group_result, sets_fields);

// ---- groups ----------------------------------------------------------------------------------

static const struct an_json_field agreement_fields[] = {
    AN_FIELD("spearman", NUMBER, struct an_agreement, spearman),
    AN_FIELD("tau_b", NUMBER, struct an_agreement, tau),
    AN_FIELD("jaccard", NUMBER, struct an_agreement, jaccard),
    AN_FIELD("rbo", NUMBER, struct an_agreement, rbo),
};
static const struct an_json_table agreement = AN_TABLE(struct an_agreement, agreement_fields);

static const struct an_json_field concordance_fields[] = {
    AN_FIELD("w", NUMBER, struct an_concordance, w),
    AN_FIELD("mean_spearman", NUMBER, struct an_concordance, mean_spearman),
    AN_FIELD("checkpoints", INTEGER, struct an_concordance, checkpoints),
    AN_FIELD("units", INTEGER, struct an_concordance, units),
    AN_FIELD("correlation_time", NUMBER, struct an_concordance, correlation_time),
    AN_FIELD("block_time", NUMBER, struct an_concordance, block_time),
    AN_FIELD("block", INTEGER, struct an_concordance, block),
    AN_FIELD("gap", INTEGER, struct an_concordance, gap),
    AN_FIELD("blocks", INTEGER, struct an_concordance, blocks),
    AN_FIELD("relabellings", INTEGER, struct an_concordance, relabellings),
    AN_FIELD("p", NUMBER, struct an_concordance, p),
};
static const struct an_json_table concordance = AN_TABLE(struct an_concordance, concordance_fields);

static json_t *make_persistence(const void *stability, const void *context) {
    (void)stability;
    (void)context;
    return json_real(AN_PERSISTENCE);
}

static json_t *make_with_last(const void *stability, const void *context) {
    return an_json_list(&agreement, ((const struct an_stability *)stability)->last,
                        an_json_checkpoints(context), context);
}

static json_t *make_with_previous(const void *stability, const void *context) {
    return an_json_list(&agreement, ((const struct an_stability *)stability)->previous,
                        an_json_checkpoints(context), context);
}

static json_t *make_overlap(const void *stability, const void *context) {
    return an_json_numbers(((const struct an_stability *)stability)->overlap,
                           an_json_checkpoints(context));
}

static const struct an_json_field stability_fields[] = {
    AN_OBJECT("concordance", struct an_stability, concordance, &concordance),
    AN_FIELD("share_threshold", NUMBER, struct an_stability, threshold),
    AN_FIELD("jaccard_chance", REAL, struct an_stability, jaccard_chance),
    AN_FIELD("rbo_chance", REAL, struct an_stability, rbo_chance),
    AN_MADE("rbo_persistence", make_persistence, "number"),
    AN_MADE_OF("with_last", make_with_last, "array", &agreement),
    AN_MADE_OF("with_previous", make_with_previous, "array", &agreement),
    AN_MADE("overlap_with_last", make_overlap, "array"),
    AN_FIELD("onset_most", PLACE, struct an_stability, onset_most),
    AN_FIELD("onset_all", PLACE, struct an_stability, onset_all),
};
static const struct an_json_table stability = AN_TABLE(struct an_stability, stability_fields);

// The importance of the group's units at a checkpoint, whatever is ranked by.
static json_t *importance_at(const struct an_group_result *group, const struct an_series *series,
                             int64_t checkpoint) {
    json_t *array = json_array();
    for (int64_t u = 0; u < group->units && array; u++)
        array = an_json_append(
            array, an_json_number(series->importance[an_series_cell(
                       series, checkpoint, group->unit[u].layer, (int)group->unit[u].module)]));
    return array;
}

static json_t *make_importance(const void *group, const void *context) {
    const struct an_json_context *c = context;
    json_t *array = json_array();
    for (int64_t i = 0; i < an_json_checkpoints(context) && array; i++)
        array = an_json_append(array, importance_at(group, &c->result->series, i));
    return array;
}

static json_t *make_values(const void *group, const void *context) {
    const struct an_group_result *g = group;
    json_t *array = json_array();
    for (int64_t c = 0; c < an_json_checkpoints(context) && array; c++)
        array = an_json_append(array, an_json_numbers(g->value + c * g->units, g->units));
    return array;
}

static json_t *make_trial(const void *group, const void *context) {
    const struct an_trial *trial = ((const struct an_group_result *)group)->trial;
    return trial ? an_json_object(&an_json_trial, trial, context) : json_null();
}

static json_t *make_text_name(const void *text, const void *context) {
    const struct an_json_context *c = context;
    return json_string(c->result->series.text[((const struct an_text *)text)->text]);
}

static json_t *make_text_mean(const void *text, const void *context) {
    const struct an_json_context *c = context;
    return an_json_numbers(((const struct an_text *)text)->mean, c->group->units);
}

static const struct an_json_field text_fields[] = {
    AN_MADE("name", make_text_name, "string"),
    AN_FIELD("rows", INTEGER, struct an_text, rows),
    AN_MADE("mean", make_text_mean, "array"),
    AN_FIELD("common", INTEGER, struct an_text, common),
    AN_FIELD("spearman_with_others", NUMBER, struct an_text, spearman),
};
static const struct an_json_table text = AN_TABLE(struct an_text, text_fields);

static const struct an_json_field group_fields[] = {
    AN_NAME("module", struct an_group_result, group, an_group_names, AN_GROUPS),
    AN_FIELD("count", INTEGER, struct an_group_result, count),
    AN_FIELD("absent", INTEGER, struct an_group_result, absent),
    AN_FIELD("with_gaps", INTEGER, struct an_group_result, gappy),
    AN_FIELD("below", PLACE, struct an_group_result, below),
    AN_LIST("units", struct an_group_result, unit, units, &unit),
    AN_MADE("importance", make_importance, "array"),
    AN_MADE("values", make_values, "array"),
    AN_OBJECT("stability", struct an_group_result, stability, &stability),
    AN_PART("sets", &sets),
    AN_LIST("texts", struct an_group_result, text, texts, &text),
    AN_MADE_OF("trial", make_trial, "object|null", &an_json_trial),
};
const struct an_json_table an_json_group = AN_TABLE(struct an_group_result, group_fields);

// SPDX-License-Identifier: Apache-2.0
#include "result_tables.h"

static json_t *integers(const int64_t *values, int64_t count) {
    json_t *array = json_array();
    for (int64_t i = 0; i < count && array; i++)
        array = an_json_append(array, json_integer(values[i]));
    return array;
}

static const struct an_trial *trial_of(const void *context) {
    return ((const struct an_json_context *)context)->group->trial;
}

// ---- verdicts --------------------------------------------------------------------------------

static json_t *make_shift(const void *verdict, const void *context) {
    return integers(((const struct an_verdict *)verdict)->shift, trial_of(context)->units);
}

static json_t *make_misjudged(const void *verdict, const void *context) {
    const struct an_trial *trial = trial_of(context);
    json_t *array = json_array();
    for (int64_t u = 0; u < trial->units && array; u++)
        if (an_misjudges(trial, verdict, u))
            array = an_json_append(array, json_integer(trial->unit[u]));
    return array;
}

static const struct an_json_field verdict_fields[] = {
    AN_FIELD("checkpoint", PLACE, struct an_verdict, checkpoint),
    AN_NAME("proxy", struct an_verdict, proxy, an_by_names, AN_CRITERIA),
    AN_NAME("cost", struct an_verdict, cost, an_by_names, AN_CRITERIA),
    AN_ESTIMATE("spearman", struct an_verdict, spearman),
    AN_FIELD("ceiling", NUMBER, struct an_verdict, ceiling),
    AN_ESTIMATE("tau_b", struct an_verdict, tau),
    AN_ESTIMATE("found", struct an_verdict, found),
    AN_ESTIMATE("regret", struct an_verdict, regret),
    AN_MADE("shift", make_shift, "array"),
    AN_MADE("misjudged", make_misjudged, "array"),
};
static const struct an_json_table verdict = AN_TABLE(struct an_verdict, verdict_fields);

// ---- forecasts -------------------------------------------------------------------------------

static const struct an_json_field forecast_fields[] = {
    AN_FIELD("checkpoint", INTEGER, struct an_forecast, checkpoint),
    AN_NAME("by", struct an_forecast, by, an_by_names, AN_CRITERIA),
    AN_NAME("cost", struct an_forecast, cost, an_by_names, AN_CRITERIA),
    AN_ESTIMATE("found", struct an_forecast, found),
    AN_ESTIMATE("regret", struct an_forecast, regret),
};
static const struct an_json_table forecast = AN_TABLE(struct an_forecast, forecast_fields);

static const struct an_json_field told_fields[] = {
    AN_NAME("by", struct an_told, by, an_by_names, AN_CRITERIA),
    AN_NAME("cost", struct an_told, cost, an_by_names, AN_CRITERIA),
    AN_FIELD("from", PLACE, struct an_told, from),
    AN_FIELD("itself", NUMBER, struct an_told, itself),
};
static const struct an_json_table told = AN_TABLE(struct an_told, told_fields);

static json_t *make_told(const void *trial, const void *context) {
    return an_json_list(&told, ((const struct an_trial *)trial)->told, AN_TRIED * AN_COSTS,
                        context);
}

static const struct an_json_field settled_fields[] = {
    AN_NAME("proxy", struct an_settled, proxy, an_by_names, AN_CRITERIA),
    AN_NAME("cost", struct an_settled, cost, an_by_names, AN_CRITERIA),
    AN_FIELD("from", PLACE, struct an_settled, from),
};
static const struct an_json_table settled = AN_TABLE(struct an_settled, settled_fields);

static json_t *make_settled(const void *trial, const void *context) {
    return an_json_list(&settled, ((const struct an_trial *)trial)->settled, AN_PROXIES * AN_COSTS,
                        context);
}

// ---- the trial -------------------------------------------------------------------------------

static json_t *make_units(const void *trial, const void *context) {
    const struct an_trial *t = trial;
    (void)context;
    return integers(t->unit, t->units);
}

static json_t *make_checkpoints(const void *trial, const void *context) {
    const struct an_trial *t = trial;
    (void)context;
    return integers(t->checkpoint, t->checkpoints);
}

// [checkpoint][cost][unit]
static json_t *make_costs(const void *trial, const void *context) {
    const struct an_trial *t = trial;
    json_t *array = json_array();
    for (int64_t at = 0; at < t->checkpoints && array; at++) {
        const struct an_estimate *priced = t->priced + at * AN_COSTS * t->units;
        json_t *here = json_array();
        for (int cost = 0; cost < AN_COSTS && here; cost++)
            here = an_json_append(
                here, an_json_list(&an_json_estimate, priced + cost * t->units, t->units, context));
        array = an_json_append(array, here);
    }
    return array;
}

static const struct an_json_field trial_fields[] = {
    AN_FIELD("rows", INTEGER, struct an_trial, rows),
    AN_FIELD("count", INTEGER, struct an_trial, count),
    AN_FIELD("chance", REAL, struct an_trial, chance),
    AN_FIELD("places", INTEGER, struct an_trial, least),
    AN_MADE("units", make_units, "array"),
    AN_MADE("checkpoints", make_checkpoints, "array"),
    AN_MADE_OF("costs", make_costs, "array", &an_json_estimate),
    AN_LIST("verdicts", struct an_trial, verdict, verdicts, &verdict),
    AN_LIST("forecasts", struct an_trial, forecast, forecasts, &forecast),
    AN_MADE_OF("told", make_told, "array", &told),
    AN_MADE_OF("settled", make_settled, "array", &settled),
};
const struct an_json_table an_json_trial = AN_TABLE(struct an_trial, trial_fields);

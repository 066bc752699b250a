// SPDX-License-Identifier: Apache-2.0
#include "result_tables.h"

#include "analysis/noise_floor.h"
#include "analysis/result_json.h"
#include "analysis/rule.h"

static const struct an_json_field estimate_fields[] = {
    AN_FIELD("value", NUMBER, struct an_estimate, value),
    AN_FIELD("low", NUMBER, struct an_estimate, low),
    AN_FIELD("high", NUMBER, struct an_estimate, high),
};
const struct an_json_table an_json_estimate = AN_TABLE(struct an_estimate, estimate_fields);

int64_t an_json_checkpoints(const struct an_json_context *context) {
    return context->result->series.checkpoints;
}

// ---- settings, series, faults ----------------------------------------------------------------

static json_t *make_from_step(const void *settings, const void *context) {
    int64_t from = ((const struct an_settings *)settings)->from;
    (void)context;
    return from == INT64_MIN ? json_null() : json_integer(from);
}

static json_t *make_seed(const void *settings, const void *context) {
    (void)context;
    return json_integer((json_int_t)((const struct an_settings *)settings)->seed);
}

static json_t *make_interval(const void *settings, const void *context) {
    (void)settings;
    return json_string(an_method_name(((const struct an_json_context *)context)->result->method));
}

static const struct an_json_field settings_fields[] = {
    AN_NAME("by", struct an_settings, by, an_by_names, AN_CRITERIA),
    AN_FIELD("count", SIZE, struct an_settings, count),
    AN_FIELD("below", NUMBER, struct an_settings, below),
    AN_MADE("from_step", make_from_step, "integer|null"),
    AN_FIELD("resamples", INTEGER, struct an_settings, resamples),
    AN_MADE("seed", make_seed, "integer"),
    AN_FIELD("level", REAL, struct an_settings, level),
    AN_NAME("over", struct an_settings, over, an_aggregate_names, AN_AGGREGATES),
    AN_FIELD("protect_first", FLAG, struct an_settings, protect_first),
    AN_FIELD("protect_last", FLAG, struct an_settings, protect_last),
    AN_FIELD("consecutive", FLAG, struct an_settings, consecutive),
    AN_MADE("interval", make_interval, "string"),
};
static const struct an_json_table settings = AN_TABLE(struct an_settings, settings_fields);

static const struct an_json_field checkpoint_fields[] = {
    AN_FIELD("label", TEXT, struct an_checkpoint, label),
    AN_FIELD("name", TEXT, struct an_checkpoint, name),
    AN_FIELD("stage", TEXT, struct an_checkpoint, stage),
    AN_FIELD("weights_digest", TEXT, struct an_checkpoint, digest),
    AN_FIELD("step", PLACE, struct an_checkpoint, step),
    AN_FIELD("tokens_seen", NUMBER, struct an_checkpoint, tokens),
    AN_FIELD("time", NUMBER, struct an_checkpoint, at),
    AN_FIELD("weight", REAL, struct an_checkpoint, weight),
    AN_FIELD("nll", NUMBER, struct an_checkpoint, nll),
};
static const struct an_json_table checkpoint = AN_TABLE(struct an_checkpoint, checkpoint_fields);

static json_t *make_path(const void *series, const void *context) {
    (void)series;
    return json_string(((const struct an_json_context *)context)->path);
}

static json_t *make_noise_floor(const void *series, const void *context) {
    (void)context;
    return an_json_number(an_noise_floor(((const struct an_series *)series)->dtype));
}

static const struct an_json_field series_fields[] = {
    AN_MADE("path", make_path, "string"),
    AN_FIELD("model", TEXT, struct an_series, model),
    AN_FIELD("scans", TEXT, struct an_series, scans),
    AN_FIELD("tokens_digest", TEXT, struct an_series, tokens_digest),
    AN_FIELD("dtype", TEXT, struct an_series, dtype),
    AN_MADE("kl_noise_floor", make_noise_floor, "number|null"),
    AN_FIELD("layers", INTEGER, struct an_series, layers),
    AN_FIELD("sequences", INTEGER, struct an_series, sequences),
    AN_FIELD("seq_len", INTEGER, struct an_series, seq_len),
    AN_FIELD("samples", INTEGER, struct an_series, sampled),
    AN_NAME("axis", struct an_series, axis, an_axis_names, AN_AXES),
    AN_FIELD("first", INTEGER, struct an_series, first),
    AN_FIELD("untrained", PLACE, struct an_series, untrained),
    AN_FIELD("unfinished", FLAG, struct an_series, unfinished),
    AN_FIELD("failed", INTEGER, struct an_series, failed),
    AN_LIST("checkpoints", struct an_series, checkpoint, checkpoints, &checkpoint),
};
static const struct an_json_table series = AN_TABLE(struct an_series, series_fields);

static const struct an_json_field fault_fields[] = {
    AN_NAME("kind", struct an_fault, kind, an_fault_names, AN_FAULT_KINDS),
    AN_FIELD("checkpoint", PLACE, struct an_fault, checkpoint),
    AN_FIELD("other", PLACE, struct an_fault, other),
    AN_FIELD("value", NUMBER, struct an_fault, value),
    AN_FIELD("text", TEXT, struct an_fault, text),
};
static const struct an_json_table fault = AN_TABLE(struct an_fault, fault_fields);

// ---- spans -----------------------------------------------------------------------------------

static const struct an_json_field span_fields[] = {
    AN_FIELD("length", INTEGER, struct an_span, length),
    AN_FIELD("start", INTEGER, struct an_span, start),
    AN_FIELD("importance", NUMBER, struct an_span, importance),
    AN_FIELD("worst", NUMBER, struct an_span, worst),
    AN_FIELD("last", NUMBER, struct an_span, last),
    AN_FIELD("share", REAL, struct an_span, share),
    AN_FIELD("last_start", PLACE, struct an_span, last_start),
};
static const struct an_json_table span = AN_TABLE(struct an_span, span_fields);

static const struct an_json_field drift_fields[] = {
    AN_ESTIMATE("cosine", struct an_drift, cosine),
    AN_FIELD("cka", NUMBER, struct an_drift, cka),
};
static const struct an_json_table drift = AN_TABLE(struct an_drift, drift_fields);

// The drift of all boundaries, [checkpoints, boundaries].
static json_t *drifts(const struct an_drift *list, int64_t boundaries, const void *context) {
    json_t *array = list ? json_array() : json_null();
    for (int64_t c = 0; list && c < an_json_checkpoints(context) && array; c++)
        array =
            an_json_append(array, an_json_list(&drift, list + c * boundaries, boundaries, context));
    return array;
}

static json_t *make_drift_previous(const void *spans, const void *context) {
    const struct an_spans *s = spans;
    return drifts(s->previous, s->boundaries, context);
}

static json_t *make_drift_last(const void *spans, const void *context) {
    const struct an_spans *s = spans;
    return drifts(s->last, s->boundaries, context);
}

static const struct an_json_field spans_fields[] = {
    AN_LIST("windows", struct an_spans, span, lengths, &span),
    AN_MADE_OF("drift_previous", make_drift_previous, "array|null", &drift),
    AN_MADE_OF("drift_last", make_drift_last, "array|null", &drift),
};
static const struct an_json_table spans = AN_TABLE(struct an_spans, spans_fields);

// ---- all -------------------------------------------------------------------------------------

static json_t *make_schema(const void *result, const void *context) {
    (void)result;
    (void)context;
    return json_string("trace-analyze");
}

static json_t *make_version(const void *result, const void *context) {
    (void)result;
    (void)context;
    return json_integer(AN_JSON_VERSION);
}

// By which rule the sets are the least important; NULL when memory is lacking.
static json_t *make_rule(const void *result, const void *context) {
    struct tr_string rule = {0};
    struct tr_err err;
    (void)context;
    enum tr_status status = an_rule_text(&rule, result, &err);
    json_t *text = status == TR_OK ? json_string(rule.data) : NULL;
    tr_string_free(&rule);
    return text;
}

static json_t *make_groups(const void *result, const void *context) {
    struct an_json_context here = *(const struct an_json_context *)context;
    json_t *array = json_array();
    for (int which = 0; which < AN_GROUPS && array; which++) {
        here.group = ((const struct an_result *)result)->group[which];
        if (here.group)
            array = an_json_append(array, an_json_object(&an_json_group, here.group, &here));
    }
    return array;
}

static json_t *make_spans(const void *result, const void *context) {
    const struct an_spans *measured = ((const struct an_result *)result)->spans;
    return measured ? an_json_object(&spans, measured, context) : json_null();
}

static json_t *make_comparison(const void *result, const void *context) {
    const struct an_comparison *made = ((const struct an_json_context *)context)->comparison;
    (void)result;
    return made ? an_json_object(&an_json_comparison, made, context) : json_null();
}

static const struct an_json_field set_cost_fields[] = {
    AN_FIELD("checkpoint", INTEGER, struct an_set_cost, checkpoint),
    AN_ESTIMATE("loss", struct an_set_cost, cost[0]),
    AN_FIELD("loss_sum", NUMBER, struct an_set_cost, sum[0]),
    AN_ESTIMATE("loss_excess", struct an_set_cost, excess[0]),
    AN_ESTIMATE("kl", struct an_set_cost, cost[1]),
    AN_FIELD("kl_sum", NUMBER, struct an_set_cost, sum[1]),
    AN_ESTIMATE("kl_excess", struct an_set_cost, excess[1]),
    AN_FIELD("agree", NUMBER, struct an_set_cost, agree),
};
static const struct an_json_table set_cost = AN_TABLE(struct an_set_cost, set_cost_fields);

static const struct an_json_field set_costs_fields[] = {
    AN_FIELD("name", TEXT, struct an_set_costs, name),
    AN_FIELD("drop", TEXT, struct an_set_costs, drop),
    AN_LIST("checkpoints", struct an_set_costs, at, checkpoints, &set_cost),
};
static const struct an_json_table set_costs = AN_TABLE(struct an_set_costs, set_costs_fields);

static const struct an_json_field point_fields[] = {
    AN_FIELD("left", REAL, struct an_budget_point, left),
    AN_FIELD("share", REAL, struct an_budget_point, share),
    AN_FIELD("sum", REAL, struct an_budget_point, sum),
    AN_FIELD("count", INTEGER, struct an_budget_point, count),
    AN_FIELD("drop", TEXT, struct an_budget_point, drop),
};
static const struct an_json_table point = AN_TABLE(struct an_budget_point, point_fields);

static const struct an_json_field budget_fields[] = {
    AN_NAME("module", struct an_budget, group, an_group_names, AN_GROUPS),
    AN_NAME("resource", struct an_budget, resource, an_resource_names, AN_RESOURCES),
    AN_FIELD("context", INTEGER, struct an_budget, context),
    AN_FIELD("whole", REAL, struct an_budget, whole),
    AN_FIELD("allowed", REAL, struct an_budget, allowed),
    AN_OBJECT("chosen", struct an_budget, chosen, &point),
    AN_LIST("front", struct an_budget, point, points, &point),
};
static const struct an_json_table budget = AN_TABLE(struct an_budget, budget_fields);

static json_t *make_budget(const void *result, const void *context) {
    const struct an_budget *made = ((const struct an_result *)result)->budget;
    return made ? an_json_object(&budget, made, context) : json_null();
}

static json_t *make_search(const void *result, const void *context) {
    const struct an_search *found = ((const struct an_result *)result)->search;
    return found ? an_json_object(&an_json_search, found, context) : json_null();
}

static json_t *make_shares(const void *item, const void *context) {
    const struct an_price *price = item;
    (void)context;
    return an_json_numbers(price->share, price->points);
}

static json_t *make_sums(const void *item, const void *context) {
    const struct an_price *price = item;
    (void)context;
    return an_json_numbers(price->sum, price->points);
}

static const struct an_json_field price_fields[] = {
    AN_NAME("module", struct an_price, group, an_group_names, AN_GROUPS),
    AN_NAME("resource", struct an_price, resource, an_resource_names, AN_RESOURCES),
    AN_FIELD("context", INTEGER, struct an_price, context),
    AN_FIELD("whole", REAL, struct an_price, whole),
    AN_MADE("share", make_shares, "array"),
    AN_MADE("sum", make_sums, "array"),
};
static const struct an_json_table price = AN_TABLE(struct an_price, price_fields);

static const struct an_json_field result_fields[] = {
    AN_MADE("schema", make_schema, "string"),
    AN_MADE("schema_version", make_version, "integer"),
    AN_OBJECT("settings", struct an_result, settings, &settings),
    AN_MADE("rule", make_rule, "string"),
    AN_OBJECT("series", struct an_result, series, &series),
    AN_LIST("faults", struct an_result, fault, faults, &fault),
    AN_MADE_OF("groups", make_groups, "array", &an_json_group),
    AN_LIST("sets", struct an_result, set, sets, &set_costs),
    AN_MADE_OF("budget", make_budget, "object|null", &budget),
    AN_LIST("prices", struct an_result, price, prices, &price),
    AN_MADE_OF("spans", make_spans, "object|null", &spans),
    AN_MADE_OF("search", make_search, "object|null", &an_json_search),
    AN_MADE_OF("comparison", make_comparison, "object|null", &an_json_comparison),
};
const struct an_json_table an_json_result = AN_TABLE(struct an_result, result_fields);

// SPDX-License-Identifier: Apache-2.0
#include "set_costs.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/drop_set.h"
#include "computation.h"
#include "statistics/interval.h"

// What is read of one checkpoint; means are over rows, in their order.
struct reading {
    const struct tr_layout *layout;
    double level;
    double *base;             // [rows]
    double *single[AN_COSTS]; // [layers, TR_MODULES, rows] drop_nll and drop_kl
    double *set[AN_COSTS];    // [sets, rows] set_nll and set_kl
    double *agree;            // [sets, rows]
    double *measured, *sum;   // [rows] of one set
};

static void free_reading(struct reading *r) {
    free(r->base);
    for (int cost = 0; cost < AN_COSTS; cost++) {
        free(r->single[cost]);
        free(r->set[cost]);
    }
    free(r->agree);
    free(r->measured);
    free(r->sum);
}

static enum tr_status allocate(struct reading *r, struct tr_err *err) {
    static const char what[] = "the costs of sets";
    int64_t rows = r->layout->cost_sequences;
    TR_TRY(TR_NEW(&r->base, rows, what, err));
    for (int cost = 0; cost < AN_COSTS; cost++) {
        TR_TRY(TR_NEW(&r->single[cost], r->layout->layers * TR_MODULES * rows, what, err));
        TR_TRY(TR_NEW(&r->set[cost], r->layout->drop_sets * rows, what, err));
    }
    TR_TRY(TR_NEW(&r->agree, r->layout->drop_sets * rows, what, err));
    TR_TRY(TR_NEW(&r->measured, rows, what, err));
    return TR_NEW(&r->sum, rows, what, err);
}

static enum tr_status read_row(struct reading *r, const struct tr_trace *trace, int64_t row,
                               struct tr_err *err) {
    static const enum tr_variable_id single[AN_COSTS] = {TR_V_DROP_NLL, TR_V_DROP_KL};
    static const enum tr_variable_id set[AN_COSTS] = {TR_V_SET_NLL, TR_V_SET_KL};
    TR_TRY(tr_trace_read(trace, TR_V_BASE_NLL, row, 1, r->base, err));
    for (int cost = 0; cost < AN_COSTS; cost++) {
        TR_TRY(tr_trace_read(trace, single[cost], row, 1, r->single[cost], err));
        TR_TRY(tr_trace_read(trace, set[cost], row, 1, r->set[cost], err));
    }
    return tr_trace_read(trace, TR_V_SET_AGREE, row, 1, r->agree, err);
}

// The interval over rows is Student's t with Hall's correction: nothing is resampled.
static enum tr_status estimate(struct an_estimate *to, const double *values,
                               const struct reading *r, struct an_range range, struct tr_err *err) {
    int64_t rows = r->layout->cost_sequences;
    struct an_interval interval = {(double)NAN, (double)NAN, AN_NO_INTERVAL};
    double sum = 0;
    for (int64_t s = 0; s < rows; s++)
        sum += values[s];
    struct an_sample sample = {.estimate = sum / (double)rows, .sequences = rows, .pseudo = values};
    if (isfinite(sum))
        TR_TRY(an_interval(&interval, &sample, r->level, err));
    *to = (struct an_estimate){sample.estimate, interval.low, interval.high};
    an_keep_within(to, range);
    return TR_OK;
}

// By row: what the set costs, and the sum of what its sublayers cost alone.
static void compare(const struct reading *r, const struct tr_drop_set *drop, int64_t set,
                    int cost) {
    int64_t rows = r->layout->cost_sequences;
    for (int64_t s = 0; s < rows; s++) {
        double base = cost == 0 ? r->base[s] : 0;
        r->measured[s] = r->set[cost][set * rows + s] - base;
        r->sum[s] = 0;
        for (int64_t layer = 0; layer < r->layout->layers; layer++)
            for (int module = TR_ATTN; module <= TR_MLP; module++)
                if (tr_drop_set_has(drop, (enum tr_module)module, layer))
                    r->sum[s] += r->single[cost][(layer * TR_MODULES + module) * rows + s] - base;
    }
}

static enum tr_status add_cost(struct an_set_cost *to, const struct reading *r,
                               const struct tr_drop_set *drop, int64_t set, int cost,
                               struct tr_err *err) {
    enum an_by by = (enum an_by)(AN_PROXIES + cost);
    struct an_estimate sum;
    compare(r, drop, set, cost);
    TR_TRY(estimate(&to->cost[cost], r->measured, r, an_value_range(by), err));
    TR_TRY(estimate(&sum, r->sum, r, an_value_range(by), err));
    to->sum[cost] = sum.value;
    for (int64_t s = 0; s < r->layout->cost_sequences; s++)
        r->measured[s] -= r->sum[s];
    return estimate(&to->excess[cost], r->measured, r, an_difference_range(by), err);
}

static enum tr_status add_set(struct an_set_costs *costs, int64_t set, int64_t checkpoint,
                              const struct reading *r, struct tr_err *err) {
    struct an_set_cost *to = &costs->at[checkpoint];
    struct an_estimate agree = {(double)NAN, (double)NAN, (double)NAN};
    struct tr_drop_set drop = {0};
    TR_TRY(tr_drop_set_parse(&drop, costs->drop, err));
    enum tr_status status = estimate(&agree, r->agree + set * r->layout->cost_sequences, r,
                                     (struct an_range){0.0, 1.0}, err);
    for (int cost = 0; cost < AN_COSTS && status == TR_OK; cost++)
        status = add_cost(to, r, &drop, set, cost, err);
    to->checkpoint = checkpoint;
    to->agree = agree.value;
    tr_drop_set_free(&drop);
    return status;
}

static enum tr_status name_sets(struct an_result *result, const struct tr_run_info *info,
                                struct tr_err *err) {
    int64_t sets = info->layout.drop_sets;
    TR_TRY(TR_NEW(&result->set, sets, "the costs of sets", err));
    for (; result->sets < sets; result->sets++) {
        struct an_set_costs *costs = &result->set[result->sets];
        costs->checkpoints = result->series.checkpoints;
        TR_TRY(tr_strdup(&costs->name, info->set_name[result->sets], err));
        TR_TRY(tr_strdup(&costs->drop, info->set_drop[result->sets], err));
        TR_TRY(TR_NEW(&costs->at, costs->checkpoints, "the costs of sets", err));
    }
    return TR_OK;
}

enum tr_status an_set_costs_make(struct an_result *result, const struct tr_trace *trace,
                                 struct tr_err *err) {
    const struct tr_run_info *info = tr_trace_info(trace);
    struct reading r = {.layout = &info->layout, .level = result->settings.level};
    if (!info->layout.drop_sets)
        return TR_OK;
    TR_TRY(name_sets(result, info, err));
    enum tr_status status = allocate(&r, err);
    for (int64_t c = 0; c < result->series.checkpoints && status == TR_OK; c++) {
        status = read_row(&r, trace, result->series.checkpoint[c].row, err);
        for (int64_t set = 0; set < result->sets && status == TR_OK; set++)
            status = add_set(&result->set[set], set, c, &r, err);
    }
    free_reading(&r);
    return status;
}

void an_set_costs_free(struct an_result *result) {
    for (int64_t i = 0; result->set && i < result->sets; i++) {
        free(result->set[i].name);
        free(result->set[i].drop);
        free(result->set[i].at);
    }
    free(result->set);
    result->set = NULL;
    result->sets = 0;
}

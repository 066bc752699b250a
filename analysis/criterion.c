// SPDX-License-Identifier: Apache-2.0
#include "analysis/criterion.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "statistics/panel.h"

#define NOTHING TR_VARIABLES

const struct an_criterion an_criteria[AN_CRITERIA] = {
    [AN_BY_IMPORTANCE] = {"importance", "importance", "no unit", "1 - cos",
                          "Importance is 1 - cos (no unit), the mean over tokens: how far a layer "
                          "turns the residual stream. Near 0, it hardly does.",
                          TR_V_IMPORTANCE_SEQ, TR_V_IMPORTANCE, NOTHING, 0.0, 1.0, 2.0, false, true,
                          false},
    [AN_BY_UPDATE_RATIO] = {"update_ratio", "update ratio", "no unit", "|delta| / |x|",
                            "Ranked by the update ratio, |delta| / |x| (no unit), the mean over "
                            "tokens: how long what a layer writes is against the residual stream. "
                            "Near 0, it writes hardly anything.",
                            TR_V_UPDATE_RATIO_SEQ, TR_V_UPDATE_RATIO, NOTHING, 0.0, 1.0, INFINITY,
                            false, true, false},
    [AN_BY_ALIGNMENT] = {"alignment", "misalignment", "no unit", "1 - cos(x, delta)",
                         "Ranked by misalignment, 1 - cos(x, delta) (no unit), the mean over "
                         "tokens. Near 0, a layer writes along the residual stream and only "
                         "strengthens what is there, which is taken for the least important; at 1 "
                         "it writes at right angles, above 1 it erases.",
                         TR_V_ALIGNMENT_SEQ, TR_V_ALIGNMENT, NOTHING, 1.0, -1.0, 2.0, false, false,
                         false},
    [AN_BY_COST_NLL] = {"cost-nll", "cost in loss", "nats", "nats of loss",
                        "Ranked by the cost in loss (cost-nll, nats per token): the loss with that "
                        "sublayer or block alone left out less the loss of the whole model, by row "
                        "of text. Below 0 the model is better without it.",
                        TR_V_DROP_NLL, NOTHING, TR_V_BASE_NLL, 0.0, 1.0, INFINITY, true, false,
                        true},
    [AN_BY_COST_KL] = {"cost-kl", "cost in KL", "nats", "nats of KL",
                       "Ranked by the cost in KL (cost-kl, nats per token): the Kullback-Leibler "
                       "divergence of the next token's distribution with that sublayer or block "
                       "alone left out from that of the whole model. At 0 nothing changes.",
                       TR_V_DROP_KL, NOTHING, NOTHING, 0.0, 1.0, INFINITY, true, true, false},
    [AN_BY_COST_AGREE] = {"cost-agree", "cost in agreement", "no unit", "share of tokens",
                          "Ranked by the cost in agreement (cost-agree, no unit): the share of "
                          "tokens whose most likely successor changes when that sublayer or block "
                          "alone is left out.",
                          TR_V_DROP_AGREE, NOTHING, NOTHING, 1.0, -1.0, 1.0, true, false, false},
};

const char *const an_by_names[AN_CRITERIA] = {"importance", "update_ratio", "alignment",
                                              "cost-nll",   "cost-kl",      "cost-agree"};

enum an_by an_criterion_find(const char *name) {
    enum an_by by = 0;
    if (strcmp(name, "cost") == 0)
        return AN_BY_COST_NLL;
    while (by < AN_CRITERIA && strcmp(name, an_criteria[by].name) != 0)
        by++;
    return by;
}

struct an_range an_value_range(enum an_by by) {
    return (struct an_range){an_criteria[by].is_signed ? -INFINITY : 0.0, an_criteria[by].most};
}

struct an_range an_difference_range(enum an_by by) {
    struct an_range range = an_value_range(by);
    return (struct an_range){range.low - range.high, range.high - range.low};
}

int64_t an_criterion_rows(const struct an_criterion *criterion, const struct tr_layout *layout) {
    return criterion->of_cost ? layout->cost_sequences : layout->sequences;
}

static enum tr_status subtract_base(double *values, int64_t units, int64_t rows,
                                    const struct an_criterion *criterion,
                                    const struct tr_trace *trace, int64_t row, struct tr_err *err) {
    double *base;
    TR_TRY(TR_NEW(&base, rows, "the whole model's values", err));
    enum tr_status status = tr_trace_read(trace, criterion->base, row, 1, base, err);
    for (int64_t i = 0; i < units * rows && status == TR_OK; i++)
        values[i] -= base[i % rows];
    free(base);
    return status;
}

enum tr_status an_criterion_read(double *values, const struct an_criterion *criterion,
                                 const struct tr_trace *trace, int64_t row, struct tr_err *err) {
    const struct tr_layout *layout = &tr_trace_info(trace)->layout;
    int64_t units = layout->layers * TR_MODULES, rows = an_criterion_rows(criterion, layout);
    TR_TRY(tr_trace_read(trace, criterion->variable, row, 1, values, err));
    for (int64_t i = 0; i < units * rows; i++)
        values[i] = criterion->from + criterion->factor * values[i];
    return criterion->base == NOTHING
               ? TR_OK
               : subtract_base(values, units, rows, criterion, trace, row, err);
}

enum tr_status an_criterion_means(double *means, const double *values,
                                  const struct an_criterion *criterion,
                                  const struct tr_trace *trace, int64_t row, struct tr_err *err) {
    const struct tr_layout *layout = &tr_trace_info(trace)->layout;
    int64_t units = layout->layers * TR_MODULES;
    const struct an_panel panel = {1, units, an_criterion_rows(criterion, layout), values, NULL};
    if (criterion->mean == NOTHING) {
        an_checkpoint_means(means, &panel);
        return TR_OK;
    }
    TR_TRY(tr_trace_read(trace, criterion->mean, row, 1, means, err));
    for (int64_t u = 0; u < units; u++)
        means[u] = criterion->from + criterion->factor * means[u];
    return TR_OK;
}

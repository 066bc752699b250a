// SPDX-License-Identifier: Apache-2.0
// Whether the texts that a store's rows are of would rank the units alike.
#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "computation.h"
#include "statistics/correlation.h"
#include "statistics/order.h"

// mean[units] of a group over training: of the rows of a text, or of all others.
static void average(double *mean, const struct an_group_result *group, const struct an_work *work,
                    int64_t text, bool others) {
    const struct an_panel *panel = &work->claimed;
    for (int64_t u = 0; u < group->units; u++) {
        int64_t index = group->unit[u].layer * TR_MODULES + group->unit[u].module;
        double sum = 0.0, weights = 0.0;
        for (int64_t c = 0; c < panel->checkpoints; c++) {
            int64_t at = (c * panel->units + index) * panel->sequences;
            double values = 0.0, tokens = 0.0;
            for (int64_t s = 0; s < panel->sequences; s++) {
                double count = panel->tokens ? panel->tokens[at + s] : 1.0;
                if ((work->series->text_of[s] == text) == others ||
                    !isfinite(panel->values[at + s]))
                    continue;
                values += count * panel->values[at + s];
                tokens += count;
            }
            sum += tokens > 0.0 ? work->weight[c] * values / tokens : 0.0;
            weights += tokens > 0.0 ? work->weight[c] : 0.0;
        }
        mean[u] = weights > 0.0 ? sum / weights : NAN;
    }
}

// How many of the `count` lowest are those of all rows.
static int64_t count_common(const struct an_group_result *group, const int64_t *order) {
    int64_t common = 0;
    for (int64_t i = 0; i < group->count; i++)
        for (int64_t j = 0; j < group->count; j++)
            common += order[i] == group->set[AN_MEAN].choice.order[j];
    return common;
}

static enum tr_status make_text(struct an_group_result *group, const struct an_work *work,
                                int64_t text, double *others, int64_t *order, struct tr_err *err) {
    struct an_text *to = &group->text[text];
    TR_TRY(TR_NEW(&to->mean, group->units, "the means of a text", err));
    group->texts++;
    to->text = text;
    for (int64_t s = 0; s < work->series->sampled; s++)
        to->rows += work->series->text_of[s] == text;
    average(to->mean, group, work, text, false);
    average(others, group, work, text, true);
    an_order(order, to->mean, group->units);
    to->common = count_common(group, order);
    return an_spearman(&to->spearman, to->mean, others, group->units, err);
}

enum tr_status an_texts_make(struct an_group_result *group, const struct an_work *work,
                             struct tr_err *err) {
    double *others = NULL;
    int64_t *order = NULL;
    enum tr_status status;
    if (!work->series->text_of)
        return TR_OK;
    TR_GO(status, TR_NEW(&group->text, work->series->texts, "texts", err), out);
    TR_GO(status, TR_NEW(&others, group->units, "texts", err), out);
    TR_GO(status, TR_NEW(&order, group->units, "texts", err), out);
    for (int64_t text = 0; text < work->series->texts && status == TR_OK; text++)
        status = make_text(group, work, text, others, order, err);
out:
    free(others);
    free(order);
    return status;
}

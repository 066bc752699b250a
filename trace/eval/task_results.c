// SPDX-License-Identifier: Apache-2.0
#include "eval/task_results.h"

#include <stdlib.h>

#include "base/alloc.h"

// What cells of one task and metric are measured from.
struct measuring {
    struct tr_task_results *results;
    const struct tr_task_plan *plan;
    const struct tr_metric *metric;
    struct tr_measurement whole; // of the checkpoint
};

static enum tr_status measure(struct tr_measurement *to, const struct measuring *m,
                              const struct tr_likelihood *likelihoods, struct tr_err *err) {
    return tr_measurement_make(to, m->metric, m->plan->task, likelihoods, m->plan->first, err);
}

static enum tr_status add_cell(const struct measuring *m, int64_t checkpoint, int64_t set,
                               const struct tr_measurement *of,
                               const struct tr_measurement *against, struct tr_err *err) {
    struct tr_task_results *results = m->results;
    TR_TRY(tr_grow((void **)&results->cells, &results->capacity, (uint64_t)results->count + 1,
                   sizeof *results->cells, "results", err));
    struct tr_task_cell *cell = &results->cells[results->count++];
    *cell = (struct tr_task_cell){.checkpoint = checkpoint,
                                  .set = set,
                                  .task = m->plan->task,
                                  .metric = m->metric,
                                  .documents = of->documents,
                                  .near_ties = of->near_ties,
                                  .value = of->estimate,
                                  .error = of->error,
                                  .is_compared = against != NULL};
    return against ? tr_task_difference_make(&cell->difference, m->metric, of, against,
                                             results->level, err)
                   : TR_OK;
}

static enum tr_status add_whole(struct measuring *m, int64_t checkpoint,
                                const struct tr_likelihood *before, struct tr_err *err) {
    struct tr_measurement earlier = {0};
    if (before)
        TR_TRY(measure(&earlier, m, before, err));
    enum tr_status status = add_cell(m, checkpoint, 0, &m->whole, before ? &earlier : NULL, err);
    tr_measurement_free(&earlier);
    return status;
}

static enum tr_status add_set(struct measuring *m, int64_t checkpoint, int64_t set,
                              const struct tr_likelihood *likelihoods, struct tr_err *err) {
    struct tr_measurement without;
    TR_TRY(measure(&without, m, likelihoods + set * m->plan->requests, err));
    enum tr_status status = add_cell(m, checkpoint, set, &without, &m->whole, err);
    tr_measurement_free(&without);
    return status;
}

static int64_t scored(const struct tr_task *task) {
    int64_t count = 0;
    for (int64_t d = 0; d < task->count; d++)
        count += !task->documents[d].fault;
    return count;
}

enum tr_status tr_task_results_add(struct tr_task_results *results, int64_t checkpoint,
                                   const struct tr_task_plan *plan,
                                   const struct tr_likelihood *likelihoods,
                                   const struct tr_likelihood *before, struct tr_err *err) {
    for (int i = 0; i < tr_metric_count && scored(plan->task); i++) {
        struct measuring m = {results, plan, &tr_metrics[i], {0}};
        if (!tr_metric_applies(m.metric, plan->task))
            continue;
        TR_TRY(measure(&m.whole, &m, likelihoods, err));
        enum tr_status status = add_whole(&m, checkpoint, before, err);
        for (int64_t set = 1; set <= results->sets->count && status == TR_OK; set++)
            status = add_set(&m, checkpoint, set, likelihoods, err);
        tr_measurement_free(&m.whole);
        TR_TRY(status);
    }
    return TR_OK;
}

void tr_task_results_free(struct tr_task_results *results) {
    free(results->cells);
    tr_task_means_free(&results->means);
    results->cells = NULL;
    results->count = 0;
}

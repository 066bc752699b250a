// SPDX-License-Identifier: Apache-2.0
// Which costs, drop sets and search a job measures beside the trace, and what that adds to its
// work.
#include "job_costs.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

// Side by side, so that they are micro-batches of the same rows as in the calibration.
static enum tr_status gather_cost_rows(struct tr_job *job, struct tr_err *err) {
    const struct tr_calibration *c = &job->calibration;
    const struct tr_layout *layout = &job->info.layout;
    int64_t count;
    if (__builtin_mul_overflow(layout->cost_sequences, c->seq_len, &count))
        return tr_fail(err, TR_EUSAGE, "costs on too many tokens");
    TR_TRY(TR_NEW(&job->cost_ids, count, "the rows of the costs", err));
    for (int64_t i = 0; i < layout->cost_sequences; i++)
        memcpy(job->cost_ids + i * c->seq_len, c->ids + tr_cost_sequence(layout, i) * c->seq_len,
               (size_t)c->seq_len * sizeof *c->ids);
    return TR_OK;
}

enum tr_status tr_job_plan_costs(struct tr_job *job, struct tr_err *err) {
    const struct tr_run_settings *o = job->settings;
    struct tr_layout *layout = &job->info.layout;
    if (!o->cost && !job->sets.count)
        return TR_OK;
    struct tr_cost_wishes wishes = {.text = o->cost,
                                    .sets = &job->sets,
                                    .samples =
                                        o->cost_samples ? o->cost_samples : layout->cost_sequences,
                                    .micro_batch = job->micro_batch};
    TR_TRY(tr_cost_plan_new(&job->cost, &wishes, &job->first.config, &job->drop, layout, err));
    return gather_cost_rows(job, err);
}

enum tr_status tr_job_plan_search(struct tr_job *job, struct tr_err *err) {
    const struct tr_search_wishes *wishes = job->settings->search;
    return wishes ? tr_search_plan_new(&job->search, wishes, &job->first.config, &job->drop, err)
                  : TR_OK;
}

// What the search may leave out, and how many rounds it has, are dimensions of the store.
static enum tr_status label_candidates(struct tr_job *job, struct tr_err *err) {
    const struct tr_search_plan *plan = &job->search;
    struct tr_string text = {0};
    job->info.layout.rounds = plan->rounds;
    job->info.layout.candidates = plan->count;
    enum tr_status status = tr_run_info_candidates(&job->info, err);
    for (int64_t i = 0; i < plan->count && status == TR_OK; i++) {
        tr_string_free(&text);
        status = tr_search_candidate_text(&plan->candidates[i], &text, err);
        if (status == TR_OK)
            status = tr_run_info_candidate(&job->info, i, text.data, err);
    }
    tr_string_free(&text);
    return status;
}

static enum tr_status label_sets(struct tr_job *job, struct tr_err *err) {
    struct tr_string text = {0};
    job->info.layout.drop_sets = job->sets.count;
    job->info.layout.set_distances = job->settings->set_distances;
    enum tr_status status = tr_run_info_sets(&job->info, err);
    for (int64_t i = 0; i < job->sets.count && status == TR_OK; i++) {
        const struct tr_named_set *set = &job->sets.sets[i];
        tr_string_free(&text);
        status = tr_string_append(&text, "", 0, err);
        if (status == TR_OK)
            status = tr_drop_set_text(&set->drop, &text, err);
        if (status == TR_OK)
            status = tr_run_info_set(&job->info, i, set->name, text.data, err);
    }
    tr_string_free(&text);
    return status;
}

enum tr_status tr_job_meet_costs(struct tr_job *job, struct tr_err *err) {
    const struct tr_run_settings *o = job->settings;
    if (o->drop_sets)
        TR_TRY(tr_as_usage(tr_named_sets_read(&job->sets, o->drop_sets, err)));
    if (o->drop_sets_text)
        TR_TRY(tr_as_usage(tr_named_sets_parse(&job->sets, o->drop_sets_text, "--drop", err)));
    if (job->sets.count)
        TR_TRY(label_sets(job, err));
    TR_TRY(tr_as_usage(tr_job_plan_search(job, err)));
    if (job->search.count)
        TR_TRY(label_candidates(job, err));
    if (o->out && !o->fresh)
        TR_TRY(tr_store_adopt_costs(o->out, &job->info, err));
    job->wanted.comparisons = job->sets.count && job->info.layout.set_distances;
    return tr_job_plan_costs(job, err);
}

int64_t tr_job_units(const struct tr_job *job) {
    return job->micro_batches + job->cost.batches * job->cost.count;
}

double tr_job_tokens(const struct tr_job *job, bool traced) {
    const struct tr_calibration *c = &job->calibration;
    double seq_len = (double)c->seq_len, tokens = traced ? 0 : (double)c->sequences * seq_len;
    if (!job->cost.count)
        return tokens;
    double rows = (double)job->info.layout.cost_sequences;
    struct tr_cost_flops flops = tr_cost_plan_flops(&job->cost, &job->first.config, 0,
                                                    job->cost.count, 1, c->seq_len, &job->wanted);
    return tokens + rows * seq_len * flops.done * (double)job->cost.count / flops.whole;
}

// SPDX-License-Identifier: Apache-2.0
#include "run/fit.h"

#include <math.h>

#include "cost_pass.h"
#include "measure/measures.h"

struct tr_forward_options tr_fit_options(const struct tr_job *job, const struct tr_fit *fit) {
    return (struct tr_forward_options){.seq_len = job->calibration.seq_len,
                                       .max_sequences = fit->wave,
                                       .micro_batch = job->micro_batch,
                                       .head = job->info.layout.nll,
                                       .per_token = job->info.layout.per_token,
                                       .divergences = job->cost.count > 0};
}

// ---- what it takes -----------------------------------------------------------------------------

static void add_bytes(struct tr_forward_bytes *sum, struct tr_forward_bytes bytes, double times) {
    sum->backend += times * bytes.backend;
    sum->host += times * bytes.host;
}

// A forward pass with its streams and the slabs on their way to it.
static struct tr_forward_bytes pass_bytes(const struct tr_job *job, const struct kn_backend *kn,
                                          const struct tr_config *config, const struct tr_fit *fit,
                                          size_t slab_bytes, size_t converted_bytes) {
    struct tr_forward_options options = tr_fit_options(job, fit);
    struct tr_forward_options costs = tr_cost_stream_options(job, fit->cost_batches);
    struct tr_forward_bytes sum = tr_forward_bytes(kn, config, &options);
    add_bytes(&sum, tr_streams_bytes(kn, config, &options), 1);
    if (fit->cost_candidates)
        add_bytes(&sum, tr_streams_bytes(kn, config, &costs), (double)fit->cost_candidates);
    sum.backend += tr_streamed_bytes(kn, slab_bytes, converted_bytes);
    return sum;
}

double tr_fit_device_bytes(const struct tr_job *job, const struct kn_backend *kn,
                           const struct tr_config *config, const struct tr_fit *fit,
                           size_t slab_bytes, size_t converted_bytes) {
    return kn->unified ? 0 : pass_bytes(job, kn, config, fit, slab_bytes, converted_bytes).backend;
}

struct tr_rank_bytes tr_fit_bytes(const struct tr_job *job, const struct kn_backend *kn,
                                  const struct tr_fit *fit) {
    double ring = (double)fit->slabs * (double)job->first.largest_slab;
    struct tr_forward_bytes forward =
        pass_bytes(job, kn, &job->first.config, fit, job->first.largest_slab,
                   job->first.converted[kn->activation_type]);
    double host = ring + tr_measured_room(&job->info.layout, job->threads) + forward.host;
    return kn->unified ? (struct tr_rank_bytes){.host = host + forward.backend}
                       : (struct tr_rank_bytes){host, forward.backend};
}

// ---- what fits ---------------------------------------------------------------------------------

static bool fits(const struct tr_job *job, const struct kn_backend *kn, const struct tr_fit *fit,
                 struct tr_rank_bytes memory) {
    struct tr_rank_bytes needed = tr_fit_bytes(job, kn, fit);
    return needed.host <= memory.host && needed.device <= memory.device;
}

struct tr_fit tr_fit_least(const struct tr_job *job) {
    int64_t all = job->calibration.sequences, costs = job->cost.count > 0;
    return (struct tr_fit){.wave = job->micro_batch < all ? job->micro_batch : all,
                           .cost_candidates = costs,
                           .cost_batches = costs};
}

// The most steps that *value_p, a member of the fit, can be long between `low`, which have to do,
// and `high`.
static void enlarge(const struct tr_job *job, const struct kn_backend *kn, struct tr_fit *fit,
                    int64_t *value_p, int64_t step, int64_t low, int64_t high,
                    struct tr_rank_bytes memory) {
    while (low < high) {
        int64_t middle = high - (high - low) / 2;
        *value_p = middle * step;
        if (fits(job, kn, fit, memory))
            low = middle;
        else
            high = middle - 1;
    }
    *value_p = low * step;
}

static struct tr_rank_bytes half_of(struct tr_rank_bytes memory) {
    return (struct tr_rank_bytes){memory.host / 2, memory.device / 2};
}

// All candidates on one micro-batch before a long wave, because those that do not run together
// compute the whole model again.
static void fit_candidates(const struct tr_job *job, const struct kn_backend *kn,
                           struct tr_fit *fit, struct tr_rank_bytes memory) {
    if (job->cost.count)
        enlarge(job, kn, fit, &fit->cost_candidates, 1, 1, job->cost.count, half_of(memory));
}

// In micro-batches, so that it ends where one does, but for a wave of all sequences.
static void fit_wave(const struct tr_job *job, const struct kn_backend *kn, struct tr_fit *fit,
                     struct tr_rank_bytes memory) {
    int64_t all = job->calibration.sequences;
    fit->wave = all;
    if (fits(job, kn, fit, memory) || all <= job->micro_batch)
        return;
    enlarge(job, kn, fit, &fit->wave, job->micro_batch, 1, job->micro_batches - 1, memory);
}

static void fit_cost_batches(const struct tr_job *job, const struct kn_backend *kn,
                             struct tr_fit *fit, struct tr_rank_bytes memory) {
    int64_t most = (fit->wave + job->micro_batch - 1) / job->micro_batch;
    most = most < job->cost.batches ? most : job->cost.batches;
    if (!job->cost.count)
        return;
    enlarge(job, kn, fit, &fit->cost_candidates, 1, fit->cost_candidates, job->cost.count, memory);
    enlarge(job, kn, fit, &fit->cost_batches, 1, 1, most, memory);
}

struct tr_fit tr_fit_make(const struct tr_job *job, const struct kn_backend *kn,
                          struct tr_rank_bytes memory) {
    struct tr_fit fit = tr_fit_least(job);
    int64_t least = tr_slab_reader_least(kn),
            most = tr_slab_reader_most(kn, job->first.largest_slab);
    fit.slabs = least;
    fit.device = memory.device;
    fit_candidates(job, kn, &fit, memory);
    fit_wave(job, kn, &fit, memory);
    fit_cost_batches(job, kn, &fit, memory);
    enlarge(job, kn, &fit, &fit.slabs, 1, least, most > least ? most : least, memory);
    return fit;
}

// SPDX-License-Identifier: Apache-2.0
#ifndef TR_FIT_H
#define TR_FIT_H

#include <stdint.h>

#include "kernels/backend.h"
#include "model/forward.h"
#include "run/job.h"

// How a rank makes do with its memory.

// Bytes of a rank: of its host, and of its device if it has one.
struct tr_rank_bytes {
    double host, device;
};

struct tr_fit {
    int64_t wave;  // sequences whose streams it holds; longer items go through in waves
    int64_t slabs; // of weights that its reader holds
    int64_t
        cost_candidates;  // of the costs, how many it runs at a time: at least 1, 0 without costs
    int64_t cost_batches; // on how many of the costs' micro-batches at a time, likewise
    double device;        // bytes it may take of its device
};

// Finds the longest wave that fits into `memory` beside scratch and the fewest slabs: all
// sequences, or a multiple of the micro-batch, at least one of them. Of costs all candidates are
// run at a time where that fits into half of the memory, and as many micro-batches as fit beside
// the wave; at least one of each. The rest of the host's memory goes to as many slabs as are of
// use.
struct tr_fit tr_fit_make(const struct tr_job *job, const struct kn_backend *kn,
                          struct tr_rank_bytes memory);

// The least that a rank can do with: one micro-batch, one candidate, no slab beside those in use.
struct tr_fit tr_fit_least(const struct tr_job *job);

// What a rank takes by such a fit.
struct tr_rank_bytes tr_fit_bytes(const struct tr_job *job, const struct kn_backend *kn,
                                  const struct tr_fit *fit);

// The forward pass of a job, and what of a device it takes with streams and slabs of such sizes.
struct tr_forward_options tr_fit_options(const struct tr_job *job, const struct tr_fit *fit);
double tr_fit_device_bytes(const struct tr_job *job, const struct kn_backend *kn,
                           const struct tr_config *config, const struct tr_fit *fit,
                           size_t slab_bytes, size_t converted_bytes);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef TR_PLAN_H
#define TR_PLAN_H

#include "job.h"
#include "text.h"
#include "worker.h"

// The job on paper: one paragraph at the start of a run, a page for --dry-run.
struct tr_plan {
    int ranks;
    int64_t items;
    int64_t sequences;           // of the largest item
    int64_t wave;                // sequences a rank keeps in memory at a time
    struct tr_rank_bytes memory; // a rank keeps to
    double bytes_read;           // all checkpoints, from disk
    double bytes_stored;         // of their weight files
    double flops;                // all checkpoints
    double product_rate;         // FLOP/s of all ranks' sgemm, 0: unknown
};

// Memory a rank may use: 70 % of what the node or the job's limit leaves, and `device_memory` of
// the device (0, or more than that: 90 % of what it has free), each shared by the ranks that have
// it in common.
struct tr_rank_bytes tr_plan_memory(const struct kn_backend *kn, double device_memory,
                                    int node_size);

struct tr_plan tr_plan_make(const struct tr_job *job, const struct kn_backend *kn, int ranks,
                            struct tr_rank_bytes memory, double product_rate);

// Appends the paragraph, or with `whole` the page.
enum tr_status tr_plan_text(const struct tr_plan *plan, const struct tr_job *job,
                            const struct kn_backend *kn, bool whole, struct tr_string *text,
                            struct tr_err *err);

#endif

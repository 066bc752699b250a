// SPDX-License-Identifier: Apache-2.0
#ifndef TR_PLAN_H
#define TR_PLAN_H

#include "job.h"
#include "text.h"

// The job on paper: one paragraph at the start of a run, a page for --dry-run.
struct tr_plan {
    int ranks;
    int64_t items;
    int64_t sequences;   // of the largest item
    int64_t wave;        // sequences a rank keeps in memory at a time
    double memory;       // bytes a rank keeps to
    double bytes_read;   // all checkpoints, from disk
    double bytes_stored; // of their weight files
    double flops;        // all checkpoints
    double product_rate; // FLOP/s of all ranks' sgemm, 0: unknown
};

// Memory a rank may use, bytes: 70 % of what the node or the job's limit leaves, shared by
// the ranks of the node.
double tr_plan_memory(int node_size);

struct tr_plan tr_plan_make(const struct tr_job *job, int ranks, double memory,
                            double product_rate);

// Appends the paragraph, or with `whole` the page.
enum tr_status tr_plan_text(const struct tr_plan *plan, const struct tr_job *job, bool whole,
                            struct tr_string *text, struct tr_err *err);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef TR_PLAN_H
#define TR_PLAN_H

#include "base/strings.h"
#include "mpi/work_forecast.h"
#include "run/affinity.h"
#include "run/fit.h"
#include "run/job.h"

// The job on paper: one paragraph at the start of a run, a page for --dry-run.
struct tr_plan {
    int ranks, nodes;
    int64_t items;
    int64_t sequences;           // of the largest item
    struct tr_fit fit;           // what a rank keeps in memory at a time
    struct tr_rank_bytes memory; // a rank keeps to
    struct tr_device device;     // of rank 0; nothing on the CPU
    int node_ranks;              // of its node
    double bytes_read;           // all checkpoints, from disk
    double bytes_stored;         // of their weight files
    double flops;                // all checkpoints
    double product_rate;         // FLOP/s of all ranks' sgemm, 0: unknown
    struct dist_machine machine; // that the job is thought on; no ranks: none
    struct dist_forecast forecast;
};

// Bytes of a device that a rank has beside what is planned: the process's context, of about 600 MB,
// kernels, which are loaded when they are first used, the libraries' workspaces, an op's own
// scratch.
extern const double tr_plan_device_reserve;

// Memory a rank may plan with: of the host 70 % of what the node or the job's limit leaves, shared
// by its `node_ranks`; of a device `device_memory` (0, or more than that: 90 % of what it has
// free), shared by its `sharers`, less tr_plan_device_reserve.
struct tr_rank_bytes tr_plan_memory(const struct kn_backend *kn, double device_memory,
                                    int node_ranks, int sharers);

// Fills in all of the plan but the device, which is the caller's.
struct tr_plan tr_plan_make(const struct tr_job *job, const struct kn_backend *kn, int ranks,
                            int nodes, struct tr_rank_bytes memory, double product_rate);

// How the job would go on the machine that the settings speak of, if they do. `rank_rate`: FLOP/s
// of a rank here.
enum tr_status tr_plan_forecast(struct tr_plan *plan, const struct tr_job *job, double rank_rate,
                                struct tr_err *err);

// Appends the paragraph, or with `whole` the page.
enum tr_status tr_plan_text(const struct tr_plan *plan, const struct tr_job *job,
                            const struct kn_backend *kn, bool whole, struct tr_string *text,
                            struct tr_err *err);

#endif

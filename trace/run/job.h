// SPDX-License-Identifier: Apache-2.0
#ifndef TR_JOB_H
#define TR_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/strings.h"
#include "ckpt/series.h"
#include "model/config.h"
#include "model/slab_reader.h"
#include "mpi/dist.h"
#include "run/cost_plan.h"
#include "run/search_plan.h"
#include "run/settings.h"
#include "store/run_info.h"
#include "store/store.h"
#include "text/calibration.h"

struct tr_follow;

// What all ranks of a job agree on before work starts: rank 0 finds it out, the others receive it.
struct tr_job {
    const struct tr_run_settings *settings; // borrowed
    struct tr_series series;
    struct tr_loaded first;            // the first checkpoint that can be read: the plan's measure
    struct tr_calibration calibration; // ids on every rank
    struct tr_run_info info;           // layout and attributes of the store
    struct tr_drop_set drop;           // sublayers that are left out of every model
    struct tr_wanted wanted;           // what of a checkpoint is read
    char shape[256];                   // every checkpoint's model must read like this
    struct tr_named_sets sets;         // whose costs are measured
    struct tr_cost_plan cost;          // what removal costs is measured of; zeros: nothing
    struct tr_search_plan search;      // of a greedy search; zeros: none
    int32_t *cost_ids; // [layout.cost_sequences, seq_len]: the rows it is measured on
    int64_t *todo;     // [todo_count] indices into the series, in order
    bool *traced;      // [todo_count]: the store has all but its costs; NULL: none
    int64_t todo_count;
    int64_t done_count;  // of the series, already in the store
    enum kn_kind device; // where all ranks compute, and with operands of which type
    enum kn_type type;
    int64_t micro_batch;      // sequences
    int64_t micro_batches;    // of the calibration
    int threads;              // of this rank's processors; not shared
    int ranks;                // not shared
    struct tr_follow *follow; // of rank 0, with --follow; not shared
};

// Whether the store has entry i of the list but for its costs.
static inline bool tr_job_is_traced(const struct tr_job *job, int64_t i) {
    return job->traced && job->traced[i];
}

// The work of a checkpoint in units that ranks can share: its micro-batches, and behind them those
// of struct tr_cost_plan.
int64_t tr_job_units(const struct tr_job *job);
// The same in tokens that go through the whole model, for progress; `traced`: of its costs alone.
double tr_job_tokens(const struct tr_job *job, bool traced);

// "llama layers=10 hidden=64 heads=4/2 head_dim=16 ffn=160 vocabulary=768"
void tr_shape_text(const struct tr_config *config, char out[256]);

// Rank 0 only: series, first readable checkpoint, device and type, calibration. Of the store
// only what it says of costs is read. Notes for the user (plain files skipped, the order, the text)
// are appended to `notes`, one per line.
enum tr_status tr_job_prepare(struct tr_job *job, const struct tr_run_settings *settings,
                              struct tr_string *notes, struct tr_err *err);

// Any rank, when the layout of a trace, the micro-batch and the first model are known: which costs
// are measured, if any.
enum tr_status tr_job_plan_costs(struct tr_job *job, struct tr_err *err);
// The same of what a search leaves out, if there is one.
enum tr_status tr_job_plan_search(struct tr_job *job, struct tr_err *err);

// Rank 0 only, when the backend is open: the attributes of the store.
enum tr_status tr_job_describe(struct tr_job *job, const struct kn_backend *kn, struct tr_err *err);

// What ranks have to agree on, as bytes that are appended, and back: a job of the same program with
// these settings; `threads` are the caller's to set. TR_EFORMAT, and zeros, when the bytes are no
// such job.
enum tr_status tr_job_pack(const struct tr_job *job, struct tr_string *bytes, struct tr_err *err);
enum tr_status tr_job_unpack(struct tr_job *job, const struct tr_run_settings *settings,
                             const void *bytes, size_t size, struct tr_err *err);

// Collective. Rank 0's job to everyone.
enum tr_status tr_job_share(struct tr_job *job, const struct tr_run_settings *settings,
                            struct dist *dist, struct tr_err *err);

void tr_job_free(struct tr_job *job);

#endif

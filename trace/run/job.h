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
#include "run/settings.h"
#include "store/run_info.h"
#include "store/store.h"
#include "text/calibration.h"

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
    int64_t *todo;                     // [todo_count] indices into the series, in order
    int64_t todo_count;
    int64_t done_count;  // of the series, already in the store
    enum kn_kind device; // where all ranks compute, and with operands of which type
    enum kn_type type;
    int64_t micro_batch;   // sequences
    int64_t micro_batches; // of the calibration
    int threads;           // of this rank's processors; not shared
};

// "llama layers=10 hidden=64 heads=4/2 head_dim=16 ffn=160 vocabulary=768"
void tr_shape_text(const struct tr_config *config, char out[256]);

// Rank 0 only: series, first readable checkpoint, device and type, calibration. Does not touch the
// store. Notes for the user (plain files skipped, the order, the text) are appended to `notes`,
// one per line.
enum tr_status tr_job_prepare(struct tr_job *job, const struct tr_run_settings *settings,
                              struct tr_string *notes, struct tr_err *err);

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

// SPDX-License-Identifier: Apache-2.0
#ifndef TR_DROP_JOB_H
#define TR_DROP_JOB_H

#include <jansson.h>

#include "base/drop_set.h"
#include "ckpt/checkpoint.h"
#include "drop/write.h"
#include "model/config.h"
#include "model/drop_config.h"

// The source of one tr_drop_write, and what shall become of its layers. Private to this folder.
struct tr_drop_job {
    const struct tr_drop_write_options *options;
    struct tr_checkpoint *checkpoint;
    const char *config_path; // opens sentences
    json_t *root;            // of its config.json
    struct tr_config config;
    struct tr_drop_set drop;      // as asked for
    struct tr_drop_lists dropped; // and with what config.json leaves out already
    int64_t kept[TR_MAX_LAYERS];  // [kept_count], ascending: layers that keep a sublayer
    int64_t kept_count;
    int64_t number[TR_MAX_LAYERS]; // of a layer among those; -1: it is not
};

// On failure *job holds what must still be closed.
enum tr_status tr_drop_job_open(struct tr_drop_job *job,
                                const struct tr_drop_write_options *options, struct tr_err *err);
void tr_drop_job_close(struct tr_drop_job *job);

// Whether a sublayer is left out; TR_BLOCK: both are.
bool tr_job_drops(const struct tr_drop_job *job, enum tr_module module, int64_t layer);

// TR_EIO once the job shall stop.
enum tr_status tr_job_goes_on(const struct tr_drop_job *job, struct tr_err *err);

#endif

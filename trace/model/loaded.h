// SPDX-License-Identifier: Apache-2.0
#ifndef TR_LOADED_H
#define TR_LOADED_H

#include "ckpt/checkpoint.h"
#include "model/slab_reader.h"
#include "model/weights.h"

// A checkpoint whose headers are read and whose slabs are planned. Private to this folder.
struct tr_opened {
    struct tr_checkpoint *checkpoint;
    struct tr_loaded loaded;
    struct tr_weight_plan plan; // borrows tensors from the checkpoint
};

// On failure *opened holds what must still be closed, and `loaded` as far as it is known.
enum tr_status tr_opened_open(struct tr_opened *opened, const char *folder,
                              const struct tr_wanted *wanted, struct tr_err *err);
void tr_opened_close(struct tr_opened *opened);

#endif

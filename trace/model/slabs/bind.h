// SPDX-License-Identifier: Apache-2.0
#ifndef TR_BIND_H
#define TR_BIND_H

#include "model/weights.h"

// How the tensors of a checkpoint are bound to the slots of one slab. Private to trace/model, as is
// all of this folder.
struct tr_binder {
    const struct tr_config *config;
    struct tr_checkpoint *checkpoint;
    const char *folder;
    const struct tr_wanted *wanted;
    struct tr_weight_plan *plan;
    struct tr_err *err;
};

// Finds the tensors of a slab whose kind, layer and ids are set, checks their shapes, and lays the
// slab out.
enum tr_status tr_bind_slab(const struct tr_binder *binder, struct tr_slab_plan *slab);

// Whether the head is a table of its own. config.json says so, except where it ties the head to the
// embedding and the files hold another tensor for it: then that tensor counts, as in transformers
// 5.
enum tr_status tr_has_own_head(const struct tr_binder *binder, bool *own_p);

#endif

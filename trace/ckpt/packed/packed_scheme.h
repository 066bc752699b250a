// SPDX-License-Identifier: Apache-2.0
#ifndef TR_PACKED_SCHEME_H
#define TR_PACKED_SCHEME_H

#include <jansson.h>

#include "ckpt/packed_layout.h"

// What config.json says about weights in few bits ("quantization_config"). One scheme holds for all
// of a checkpoint's packed weights; which weights are packed, the tensors' names say.
struct tr_packed_scheme {
    const struct tr_packed_layout *layout; // NULL: weights are stored as they are
    int bits;
    int64_t group_size; // -1: one group a row
    bool symmetric;     // false where that is not said
    bool ordered;       // groups are not in the order of inputs: each weight has a map of them
    bool floats;        // MXFP4, see float_blocks.h; the rest is 0
};

// Reads it from config.json's object. TR_EUNSUPPORTED, naming the method, for what is not one of
// the layouts, and for what changes values beside them (activations or caches in few bits, sparse
// or rotated weights, bits that differ by module); TR_EFORMAT for values that cannot be.
enum tr_status tr_packed_scheme_read(struct tr_packed_scheme *scheme, const json_t *root,
                                     const char *path, struct tr_err *err);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef TR_NANOTRON_SLICES_H
#define TR_NANOTRON_SLICES_H

#include "ckpt/checkpoint.h"

// What nanotron says in a safetensors file's __metadata__ of the part of a tensor that it holds:
// "unsharded_shape" "(128, 64)" and "local_global_slices_pairs", pairs "local#global" with ';'
// between them, each side with '|' between its axes, an axis being "start,stop,step" or
// "None,None,None". (Source: src/nanotron/serialize/metadata.py.) Internal.

struct tr_slices {
    int dims;
    int64_t shape[TR_MAX_DIMS]; // of the whole tensor
    struct tr_slice_pair {
        int64_t from[TR_MAX_DIMS], to[TR_MAX_DIMS], count[TR_MAX_DIMS];
    } pairs[64]; // [count]: so many elements from there go to
    int count;
};

// Reads both texts; `local`: the shape of the part. False where they are not so, or a slice leaves
// the part or the whole.
bool tr_slices_parse(struct tr_slices *slices, const char *shape, const char *pairs,
                     const int64_t *local);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef TR_PACKING_H
#define TR_PACKING_H

#include <jansson.h>

#include "ckpt/packed_layout.h"

// Weights that are written in few bits, and where their codes come from.

// What becomes of a tensor of the source.
enum tr_packing_fate {
    TR_PACKING_STAYS,
    TR_PACKING_CODES,  // a weight [out, in] whose name ends in ".weight": it is packed
    TR_PACKING_VALUES, // it has other values, of its own type and shape
};

struct tr_packing {
    const struct tr_packed_layout *layout;
    int bits;                  // 4 or 8
    int64_t group_size;        // inputs; -1: one group a row
    bool symmetric;            // of all weights
    bool ordered;              // groups are not in the order of inputs
    enum tr_dtype scale_dtype; // of all weights
    const char *method;        // how codes were found, "gptq" ...
    json_t *meta; // how, in detail, where config.json can say that (GPTQ's "meta"); NULL: nothing.
                  // Borrowed
    void *user;
    // Of a tensor of the source, under the source's name. Asked several times.
    enum tr_packing_fate (*fate)(void *user, const struct tr_tensor *tensor);
    // Makes *codes of a weight, in the form that is said above; the writer frees them. Asked at
    // most twice for a weight, in the order in which files hold tensors.
    enum tr_status (*codes)(void *user, const struct tr_tensor *tensor, struct tr_codes *codes,
                            struct tr_err *err);
    // Fills values[elements], which are rounded to the tensor's type.
    enum tr_status (*values)(void *user, const struct tr_tensor *tensor, float *values,
                             struct tr_err *err);
};

// Whether a weight can be packed so: TR_EUNSUPPORTED with the sentence. To be asked before codes
// are looked for; the writer asks for all weights before it writes.
enum tr_status tr_packing_check(const struct tr_packing *packing, const struct tr_tensor *tensor,
                                struct tr_err *err);

#endif

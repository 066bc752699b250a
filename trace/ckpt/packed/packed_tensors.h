// SPDX-License-Identifier: Apache-2.0
#ifndef TR_PACKED_TENSORS_H
#define TR_PACKED_TENSORS_H

#include "ckpt/packed_scheme.h"
#include "reader.h"

// A weight in few bits as it lies in files: the tensors that it is made of. Internal.
struct tr_packed {
    struct tr_packed_scheme scheme;
    struct tr_codes form;                    // of the whole weight; its arrays are NULL
    struct tr_tensor parts[TR_PACKED_PARTS]; // [count], those that it has, in the order of parts
    int count;
    int place[TR_PACKED_PARTS]; // of a part among those; -1: it has none
};

// Rows [first, first + rows) of a packed weight as codes, freed by the caller; `first` is a
// multiple of 8. TR_EFORMAT where a group is none of its groups, or a symmetric weight's zero is
// not in the middle.
enum tr_status tr_packed_codes(struct tr_checkpoint *checkpoint, const struct tr_tensor *tensor,
                               int64_t first, int64_t rows, struct tr_codes *codes,
                               struct tr_err *err);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef TR_PACKER_H
#define TR_PACKER_H

#include "drop/packing.h"

// Bytes of tensors that are packed or have other values. Holds one weight at a time. Private to
// this folder.
struct tr_packer {
    const struct tr_packing *packing;
    const struct tr_tensor *weight; // whose codes are there; NULL: none
    struct tr_codes codes;
    const struct tr_tensor *tensor; // of which `bytes` is a part
    enum tr_packed_part part;       // TR_PACKED_PARTS: all of its values
    char *bytes;                    // [size]
    uint64_t size;
};

void tr_packer_free(struct tr_packer *packer); // accepts one that is zero

// A weight's form: what its codes have beside their arrays; group_of is not NULL where groups are
// not in order.
struct tr_codes tr_packing_form(const struct tr_packing *packing, const struct tr_tensor *tensor);

// Bytes [begin, begin + size) of a part of a packed weight, or, with TR_PACKED_PARTS, of a tensor's
// other values. Each part is unpacked again and compared. TR_EUSAGE where codes are not as the
// packing says, or values are not finite.
enum tr_status tr_packer_read(struct tr_packer *packer, const struct tr_tensor *tensor,
                              enum tr_packed_part part, uint64_t begin, void *bytes, size_t size,
                              struct tr_err *err);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef TR_PACKER_H
#define TR_PACKER_H

#include "drop/packing.h"

// One of the parts in which a weight is stored, or with TR_PACKED_PARTS all of a tensor's values.
struct tr_packed_bytes {
    const struct tr_tensor *tensor; // NULL: none
    enum tr_packed_part part;
    char *bytes; // [size]
    uint64_t size;
};

// Bytes of tensors that are packed or have other values. Holds the codes of one weight at a time.
// A file has all weights' codes, and behind them all weights' scales: what is small beside the
// codes is packed with them and kept until it is asked for. Private to this folder.
struct tr_packer {
    const struct tr_packing *packing;
    const struct tr_tensor *weight; // whose codes are there; NULL: none
    struct tr_codes codes;
    struct tr_packed_bytes now;   // what was asked for last
    struct tr_packed_bytes *kept; // [kept_count]
    int64_t kept_count;
    uint64_t kept_capacity;
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

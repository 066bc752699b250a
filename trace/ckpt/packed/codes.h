// SPDX-License-Identifier: Apache-2.0
#ifndef TR_CODES_H
#define TR_CODES_H

#include <stdint.h>

#include "ckpt/checkpoint.h"

// One weight [out, in] in few bits, as every layout of packed weights stores it. Of output o and
// input i, with g = group_of[i]:
//
//     w[o][i] = scale[o][g] * (code[o][i] - zero[o][g])        (one product, rounded to f32)
//
// Codes and zeros are unsigned here, whatever a layout does: one that stores signed values holds
// each less 2^(bits - 1).
struct tr_codes {
    int64_t out, in;
    int bits;           // 4 or 8
    bool symmetric;     // every zero is 2^(bits - 1), and a layout need not store it
    int64_t group_size; // inputs of a group, the last of which may be shorter; `in`: one for a row
    int64_t groups;     // ceil(in / group_size)
    uint8_t *code;      // [out, in], 0 ... 2^bits - 1
    float *scale;       // [out, groups], values that scale_dtype holds exactly
    uint8_t *zero;      // [out, groups], 0 ... 2^bits - 1; filled where symmetric, too
    int32_t *group_of;  // [in], 0 ... groups - 1; NULL: input i is of group i / group_size
    enum tr_dtype scale_dtype; // TR_F16, TR_BF16 or TR_F32
};

// Makes a weight of that shape whose arrays are zero but for the codes, which are for the caller to
// write, all of them; `ordered`: with group_of.
// `what` names it in the sentence of TR_ENOMEM. group_size is at least 1 and at most `in`.
enum tr_status tr_codes_new(struct tr_codes *codes, int64_t out, int64_t in, int bits,
                            int64_t group_size, bool ordered, const char *what, struct tr_err *err);
void tr_codes_free(struct tr_codes *codes); // accepts one that is zero

// Its values [out, in], as the formula above has them.
void tr_codes_values(const struct tr_codes *codes, float *values);

#endif

// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "ckpt/checkpoint.h"

size_t tr_dtype_size(enum tr_dtype dtype) {
    static const size_t sizes[] = {
        [TR_F64] = 8, [TR_F32] = 4, [TR_F16] = 2, [TR_BF16] = 2, [TR_OTHER_DTYPE] = 0};
    return sizes[dtype];
}

char *tr_index_text(int dims, const int64_t *shape, char out[TR_INDEX_MAX]) {
    int at = snprintf(out, TR_INDEX_MAX, "[");
    for (int i = 0; i < dims && at < TR_INDEX_MAX - 28; i++)
        at += snprintf(out + at, TR_INDEX_MAX - (size_t)at, i ? ", %lld" : "%lld",
                       (long long)shape[i]);
    snprintf(out + at, TR_INDEX_MAX - (size_t)at, "]");
    return out;
}

const struct tr_piece *tr_tensor_pieces(const struct tr_tensor *tensor, int64_t *count_p) {
    *count_p = tensor->pieces ? tensor->piece_count : 1;
    return tensor->pieces ? tensor->pieces : &tensor->piece;
}

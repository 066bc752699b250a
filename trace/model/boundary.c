// SPDX-License-Identifier: Apache-2.0
// The residual stream of chosen tokens at the boundaries between blocks: gathered on the backend,
// so that only the rows that are kept leave it.
#include "forward_state.h"

// How many of the chosen tokens lie before `token`.
static int64_t chosen_before(const struct tr_taps *taps, int64_t token) {
    int64_t low = 0, high = taps->token_count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (taps->tokens[middle] < token)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

enum tr_status tr_keep_boundary(struct tr_forward *f, const struct tr_batch *b, int64_t boundary,
                                struct tr_err *err) {
    const struct tr_taps *taps = b->taps;
    int64_t begin = b->first_sequence * f->calibration->seq_len, hidden = f->config.hidden;
    int64_t first = chosen_before(taps, begin);
    int64_t count = chosen_before(taps, begin + b->rows) - first;
    if (!count)
        return TR_OK;
    int32_t *rows = f->host_rows;
    for (int64_t i = 0; i < count; i++)
        rows[i] = (int32_t)(taps->tokens[first + i] - begin);
    struct kn_gather gather = {.y = kn_matrix(f->branch, KN_F32, count, hidden),
                               .x = tr_stream(f, b, f->x),
                               .rows = f->kept_rows};
    float *to = taps->boundary(taps->user, boundary, first, count);
    const struct kn_ops *ops = f->kn->ops;
    KN_TRY(ops->upload(f->kn, f->kept_rows, rows, (size_t)count * 4), "copying chosen tokens");
    KN_TRY(ops->gather(f->kn, &gather), "gathering chosen tokens");
    KN_TRY(ops->download(f->kn, to, f->branch, (size_t)(count * hidden) * 4),
           "copying the residual stream");
    KN_TRY(ops->sync(f->kn), "the residual stream of chosen tokens");
    return TR_OK;
}

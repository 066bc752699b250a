// SPDX-License-Identifier: Apache-2.0
// The residual stream of chosen tokens at the boundaries between blocks. It is gathered on the
// backend, so that only the rows that are kept leave the device; where the backend's memory is the
// host's, they are gathered straight into their place.
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

static enum tr_status gather(struct tr_forward *f, const struct tr_batch *b, float *y,
                             const int32_t *rows, int64_t count, struct tr_err *err) {
    struct kn_gather op = {.y = kn_matrix(y, KN_F32, count, f->config.hidden),
                           .x = tr_stream(f, b, b->streams->x),
                           .rows = rows};
    KN_TRY(f->kn->ops->gather(f->kn, &op), "gathering chosen tokens");
    return TR_OK;
}

static enum tr_status gather_and_copy(struct tr_forward *f, const struct tr_batch *b, float *to,
                                      int64_t count, struct tr_err *err) {
    const struct kn_ops *ops = f->kn->ops;
    size_t bytes = (size_t)(count * f->config.hidden) * sizeof *to;
    KN_TRY(ops->upload(f->kn, f->kept_rows, f->host_rows, (size_t)count * 4),
           "copying chosen tokens");
    TR_TRY(gather(f, b, f->branch, f->kept_rows, count, err));
    KN_TRY(ops->download(f->kn, to, f->branch, bytes), "copying the residual stream");
    KN_TRY(ops->sync(f->kn), "the residual stream of chosen tokens");
    return TR_OK;
}

enum tr_status tr_keep_boundary(struct tr_forward *f, const struct tr_batch *b, int64_t boundary,
                                struct tr_err *err) {
    const struct tr_taps *taps = b->taps;
    int64_t begin = b->first_sequence * f->options.seq_len;
    int64_t first = chosen_before(taps, begin);
    int64_t count = chosen_before(taps, begin + b->rows) - first;
    if (!count)
        return TR_OK;
    for (int64_t i = 0; i < count; i++)
        f->host_rows[i] = (int32_t)(taps->tokens[first + i] - begin);
    float *to = taps->boundary(taps->user, boundary, first, count);
    return f->kn->unified ? gather(f, b, to, f->host_rows, count, err)
                          : gather_and_copy(f, b, to, count, err);
}

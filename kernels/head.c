// SPDX-License-Identifier: Apache-2.0
// The state of the head's running sums before the first panel.
#include "head.h"

#include <math.h>
#include <stdlib.h>

#include "check.h"

static const double zero = 0, lowest = (double)-INFINITY;
static const int32_t no_id = -1;

// What the sums begin with, on the host, for `rows` rows: filled once for all streams.
struct beginning {
    double *zeros, *lowest; // [rows]
    int32_t *no_ids;        // [rows]
    int64_t rows;
};

static void end_beginning(struct beginning *b) {
    free(b->zeros);
    free(b->lowest);
    free(b->no_ids);
}

static bool make_beginning(struct beginning *b, int64_t rows) {
    size_t count = rows > 0 ? (size_t)rows : 1;
    *b = (struct beginning){.zeros = malloc(count * sizeof zero),
                            .lowest = malloc(count * sizeof lowest),
                            .no_ids = malloc(count * sizeof no_id),
                            .rows = rows};
    bool made = b->zeros && b->lowest && b->no_ids;
    for (int64_t i = 0; made && i < rows; i++) {
        b->zeros[i] = zero;
        b->lowest[i] = lowest;
        b->no_ids[i] = no_id;
    }
    return made;
}

static enum kn_status copy_doubles(struct kn_backend *kn, double *to, const double *from,
                                   const struct beginning *b) {
    return kn->ops->upload(kn, to, from, (size_t)b->rows * sizeof *to);
}

static enum kn_status begin_loss(struct kn_backend *kn, const struct kn_head_candidate *stream,
                                 const struct beginning *b) {
    KN_TRY(copy_doubles(kn, stream->maximum, b->lowest, b));
    KN_TRY(copy_doubles(kn, stream->sum, b->zeros, b));
    return copy_doubles(kn, stream->target, b->zeros, b);
}

static enum kn_status begin_stream(struct kn_backend *kn, const struct kn_head_candidate *stream,
                                   const struct beginning *b) {
    KN_TRY(begin_loss(kn, stream, b));
    KN_TRY(kn->ops->upload(kn, stream->best, b->no_ids, (size_t)b->rows * sizeof no_id));
    KN_TRY(copy_doubles(kn, stream->best_logit, b->lowest, b));
    return stream->cross ? copy_doubles(kn, stream->cross, b->zeros, b) : KN_OK;
}

enum kn_status kn_loss_begin(struct kn_backend *kn, const struct kn_loss *op) {
    struct kn_divergence alone = {.base = *op};
    struct kn_head_candidate stream = kn_head_stream(&alone, 0);
    struct beginning b;
    enum kn_status status = make_beginning(&b, op->x.rows) ? KN_OK : KN_ENOMEM;
    if (status == KN_OK)
        status = begin_loss(kn, &stream, &b);
    if (status == KN_OK)
        status = kn->ops->sync(kn);
    end_beginning(&b);
    return status;
}

enum kn_status kn_divergence_begin(struct kn_backend *kn, const struct kn_divergence *op) {
    struct beginning b;
    enum kn_status status = make_beginning(&b, op->base.x.rows) ? KN_OK : KN_ENOMEM;
    for (int64_t i = 0; i <= op->candidates && status == KN_OK; i++) {
        struct kn_head_candidate stream = kn_head_stream(op, i);
        status = begin_stream(kn, &stream, &b);
    }
    if (status == KN_OK)
        status = kn->ops->sync(kn);
    end_beginning(&b);
    return status;
}

enum kn_status kn_comparison_begin(struct kn_backend *kn, const struct kn_comparison *op) {
    struct beginning b;
    enum kn_status status = make_beginning(&b, op->base.x.rows) ? KN_OK : KN_ENOMEM;
    for (int64_t i = 0; i < op->candidates; i++)
        for (int s = 0; s < KN_COMPARED && status == KN_OK; s++)
            status = copy_doubles(kn, op->candidate[i].compared + s * b.rows, b.zeros, &b);
    if (status == KN_OK)
        status = kn->ops->sync(kn);
    end_beginning(&b);
    return status;
}

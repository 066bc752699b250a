// SPDX-License-Identifier: Apache-2.0
// The state of the head's running sums before the first panel.
#include "head.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

// `count` copies of a value of `size` bytes at `to`, memory of the backend. Waits.
static enum kn_status fill(struct kn_backend *kn, void *to, const void *value, size_t size,
                           int64_t count) {
    size_t bytes = (size_t)count * size;
    char *host = malloc(bytes ? bytes : 1);
    if (!host)
        return KN_ENOMEM;
    for (size_t at = 0; at < bytes; at += size)
        memcpy(host + at, value, size);
    enum kn_status status = kn->ops->upload(kn, to, host, bytes);
    if (status == KN_OK)
        status = kn->ops->sync(kn);
    free(host);
    return status;
}

static const double zero = 0, lowest = (double)-INFINITY;
static const int32_t no_id = -1;

enum kn_status kn_loss_begin(struct kn_backend *kn, const struct kn_loss *op) {
    KN_TRY(fill(kn, op->maximum, &lowest, sizeof lowest, op->x.rows));
    KN_TRY(fill(kn, op->sum, &zero, sizeof zero, op->x.rows));
    return fill(kn, op->target, &zero, sizeof zero, op->x.rows);
}

enum kn_status kn_divergence_begin(struct kn_backend *kn, const struct kn_divergence *op) {
    for (int64_t i = 0; i <= op->candidates; i++) {
        struct kn_head_candidate stream = kn_head_stream(op, i);
        struct kn_loss loss = op->base;
        loss.maximum = stream.maximum;
        loss.sum = stream.sum;
        loss.target = stream.target;
        KN_TRY(kn_loss_begin(kn, &loss));
        KN_TRY(fill(kn, stream.best, &no_id, sizeof no_id, loss.x.rows));
        KN_TRY(fill(kn, stream.best_logit, &lowest, sizeof lowest, loss.x.rows));
        if (i > 0)
            KN_TRY(fill(kn, stream.cross, &zero, sizeof zero, loss.x.rows));
    }
    return KN_OK;
}

// SPDX-License-Identifier: Apache-2.0
#include "buffers.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/assert.h"

enum tr_status tr_kernel_failed(const struct kn_backend *kn, enum kn_status status,
                                const char *doing, struct tr_err *err) {
    TR_ASSERT(status != KN_ESHAPE); // operands that disagree were put together here, whatever came
    return tr_fail(err, status == KN_ENOMEM ? TR_ENOMEM : TR_ENVIRONMENT, "%s on %s failed: %s%s%s",
                   doing, kn->ops->name, kn_status_text(status), *kn->error ? ": " : "", kn->error);
}

struct tr_forward_bytes tr_buffers_bytes(const struct tr_buffer *buffers, int count) {
    struct tr_forward_bytes bytes = {0};
    for (int i = 0; i < count; i++)
        *(buffers[i].place == TR_ON_BACKEND ? &bytes.backend : &bytes.host) += buffers[i].bytes;
    return bytes;
}

static enum tr_status allocate(struct kn_backend *kn, const struct tr_buffer *buffer,
                               struct tr_err *err) {
    size_t bytes = (size_t)buffer->bytes;
    const char *doing = "allocating the residual stream and scratch";
    if (!bytes)
        return TR_OK;
    if (buffer->place == TR_ON_HOST)
        return tr_alloc(buffer->memory_p, bytes, 1, "the forward pass", err);
    if (buffer->place == TR_FOR_COPIES)
        KN_TRY_ON(kn, kn->ops->host_alloc(kn, buffer->memory_p, bytes), doing);
    else
        KN_TRY_ON(kn, kn->ops->alloc(kn, buffer->memory_p, bytes), doing);
    return TR_OK;
}

enum tr_status tr_buffers_allocate(struct kn_backend *kn, const struct tr_buffer *buffers,
                                   int count, struct tr_err *err) {
    for (int i = 0; i < count; i++)
        TR_TRY(allocate(kn, &buffers[i], err));
    return TR_OK;
}

void tr_buffers_free(struct kn_backend *kn, const struct tr_buffer *buffers, int count) {
    for (int i = 0; i < count; i++)
        if (buffers[i].place == TR_ON_HOST)
            free(*buffers[i].memory_p);
        else if (buffers[i].place == TR_FOR_COPIES && *buffers[i].memory_p)
            kn->ops->host_free(kn, *buffers[i].memory_p);
        else if (buffers[i].place == TR_ON_BACKEND)
            kn->ops->free(kn, *buffers[i].memory_p);
}

// SPDX-License-Identifier: Apache-2.0
// The reference: every op as its formula reads, one loop a sum, f64 inside, f32 in memory. What the
// fast backends are compared with, and what they fall back on. Its memory is the host's.
#include "reference.h"

#include <stdlib.h>
#include <string.h>

#include "reference_entries.h"

static enum kn_status reference_alloc(struct kn_backend *self, void **memory_p, size_t bytes) {
    (void)self;
    if (bytes > SIZE_MAX - 63)
        return KN_ENOMEM;
    void *memory = aligned_alloc(64, bytes ? (bytes + 63) / 64 * 64 : 64);
    if (!memory)
        return KN_ENOMEM;
    *memory_p = memory;
    return KN_OK;
}

static void reference_free(struct kn_backend *self, void *memory) {
    (void)self;
    free(memory);
}

static enum kn_status reference_copy(struct kn_backend *self, void *to, const void *from,
                                     size_t bytes) {
    (void)self;
    if (bytes)
        memcpy(to, from, bytes);
    return KN_OK;
}

static enum kn_status reference_sync(struct kn_backend *self) {
    (void)self;
    return KN_OK;
}

static enum kn_status reference_event(struct kn_backend *self, enum kn_lane lane, int event) {
    (void)self;
    (void)lane;
    (void)event;
    return KN_OK; // all is done in order
}

static double reference_lag(struct kn_backend *self, int from, int to) {
    (void)self;
    (void)from;
    (void)to;
    return 0;
}

// Calling ops costs nothing here.
static enum kn_status reference_graph_begin(struct kn_backend *self) {
    (void)self;
    return KN_EUNSUPPORTED;
}

static enum kn_status reference_graph_end(struct kn_backend *self, struct kn_graph **graph_p) {
    (void)self;
    (void)graph_p;
    return KN_EUNSUPPORTED;
}

static enum kn_status reference_graph_run(struct kn_backend *self, struct kn_graph *graph) {
    (void)self;
    (void)graph;
    return KN_EUNSUPPORTED;
}

static void reference_graph_free(struct kn_backend *self, struct kn_graph *graph) {
    (void)self;
    (void)graph;
}

static void reference_close(struct kn_backend *self) {
    free(self);
}

const struct kn_ops kn_reference_ops = {
    .name = "reference",
    .alloc = reference_alloc,
    .free = reference_free,
    .upload = reference_copy,
    .download = reference_copy,
    .sync = reference_sync,
    .host_alloc = reference_alloc,
    .host_free = reference_free,
    .copy_ahead = reference_copy,
    .record = reference_event,
    .await = reference_event,
    .lag = reference_lag,
    .graph_begin = reference_graph_begin,
    .graph_end = reference_graph_end,
    .graph_run = reference_graph_run,
    .graph_free = reference_graph_free,
    .close = reference_close,
    .product = kn_reference_product,
    .grouped_product = kn_reference_grouped_product,
    .norm = kn_reference_norm,
    .head_norm = kn_reference_head_norm,
    .rope = kn_reference_rope,
    .attention = kn_reference_attention,
    .decode_attention = kn_reference_decode_attention,
    .keep = kn_reference_keep,
    .head_product = kn_reference_head_product,
    .copy_heads = kn_reference_copy_heads,
    .convolution = kn_reference_convolution,
    .scan = kn_reference_scan,
    .gate = kn_reference_gate,
    .scale = kn_reference_scale,
    .route = kn_reference_route,
    .gather = kn_reference_gather,
    .combine = kn_reference_combine,
    .convert = kn_reference_convert,
    .embed = kn_reference_embed,
    .block_end = kn_reference_block_end,
    .summary = kn_reference_summary,
    .gram = kn_reference_gram,
    .inner_products = kn_reference_inner_products,
    .second_moment = kn_reference_second_moment,
    .diagonal = kn_reference_diagonal,
    .inverse_factor = kn_reference_inverse_factor,
    .compensation = kn_reference_compensation,
    .squared_outputs = kn_reference_squared_outputs,
    .loss = kn_reference_loss,
    .divergence = kn_reference_divergence,
    .comparison = kn_reference_comparison,
    .advance = kn_reference_advance,
};

enum kn_status kn_reference_open(struct kn_backend **kn_p, const struct kn_options *options) {
    (void)options;
    struct kn_backend *kn = calloc(1, sizeof *kn);
    if (!kn)
        return KN_ENOMEM;
    *kn = (struct kn_backend){.ops = &kn_reference_ops,
                              .activation_type = KN_F32,
                              .unified = true,
                              .threads = 1,
                              .description = "plain C reference, f64 sums"};
    *kn_p = kn;
    return KN_OK;
}

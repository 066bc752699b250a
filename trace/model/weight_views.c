// SPDX-License-Identifier: Apache-2.0
// A slab's memory as the matrices and vectors that steps see.
#include <math.h>

#include "weight_views.h"

// xIELU's parameters from its two stored scalars: softplus of each, beta, and the bound of expm1.
static void fill_xielu(float out[4], const float *alphas) {
    out[0] = (float)log1p(exp((double)alphas[0]));
    out[1] = (float)log1p(exp((double)alphas[1]));
    out[2] = 0.5f;
    out[3] = -1e-6f;
}

void tr_weights_view(struct tr_weights *w, const struct tr_slab *slab, char *memory) {
    *w = (struct tr_weights){.plan = slab->plan};
    for (int s = 0; s < TR_SLOTS; s++) {
        const struct tr_slot_plan *slot = &slab->plan->slots[s];
        if (!slot->rows)
            continue;
        w->matrix[s] = kn_matrix(memory + slot->offset, slot->type, slot->rows, slot->cols);
        w->vector[s] = (const float *)(const void *)(memory + slot->offset);
    }
    if (w->vector[TR_SLOT_ALPHAS]) {
        size_t at = slab->plan->slots[TR_SLOT_ALPHAS].offset;
        fill_xielu(w->xielu, (const float *)(const void *)(slab->memory + at));
    }
}

enum tr_status tr_weights_convert(struct kn_backend *kn, struct tr_weights *w, char *memory,
                                  struct tr_err *err) {
    enum kn_type type = kn->activation_type;
    size_t at = 0;
    for (int s = 0; s < TR_SLOTS; s++) {
        struct kn_matrix *m = &w->matrix[s];
        if (m->type == type || !tr_slab_multiplies(w->plan, (enum tr_slot)s))
            continue;
        struct kn_conversion op = {.to = memory + at,
                                   .from = m->data,
                                   .to_type = type,
                                   .from_type = m->type,
                                   .count = m->rows * m->cols};
        KN_TRY_ON(kn, kn->ops->convert(kn, &op), "converting weights");
        *m = kn_matrix(op.to, type, m->rows, m->cols);
        at += ((size_t)op.count * kn_type_size(type) + 255) & ~(size_t)255;
    }
    return TR_OK;
}

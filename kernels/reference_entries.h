// SPDX-License-Identifier: Apache-2.0
#ifndef KN_REFERENCE_ENTRIES_H
#define KN_REFERENCE_ENTRIES_H

#include <math.h>

#include "kernels/convert.h"
#include "kernels/few_bits.h"
#include "reference.h"

// What the files of the reference share: its entries of the table, and how they reach rows and
// heads of f32 matrices.

// NULL where the matrix is absent.
static inline float *kn_reference_row(const struct kn_matrix *m, int64_t row) {
    return m->data ? (float *)m->data + row * m->stride : NULL;
}

static inline float *kn_reference_head(const struct kn_heads *h, int64_t row, int64_t head) {
    return kn_reference_row(&h->x, row) + h->first_col + head * h->pitch;
}

// x . row `w_row` of w, in f64.
static inline double kn_reference_dot(const float *x, const struct kn_matrix *w, int64_t w_row) {
    double sum = 0;
    for (int64_t i = 0; i < w->cols; i++)
        sum += (double)x[i] * (double)kn_load(w->data, w->type, w_row * w->stride + i);
    return sum;
}

// softcap 0: none.
static inline double kn_reference_cap(double z, float softcap) {
    return softcap > 0 ? (double)softcap * tanh(z / (double)softcap) : z;
}

enum kn_status kn_reference_product(struct kn_backend *self, const struct kn_product *op);
enum kn_status kn_reference_grouped_product(struct kn_backend *self,
                                            const struct kn_grouped_product *op);
enum kn_status kn_reference_norm(struct kn_backend *self, const struct kn_norm *op);
enum kn_status kn_reference_head_norm(struct kn_backend *self, const struct kn_head_norm *op);
enum kn_status kn_reference_rope(struct kn_backend *self, const struct kn_rope *op);
enum kn_status kn_reference_attention(struct kn_backend *self, const struct kn_attention *op);
enum kn_status kn_reference_decode_attention(struct kn_backend *self,
                                             const struct kn_decode_attention *op);
enum kn_status kn_reference_head_product(struct kn_backend *self, const struct kn_head_product *op);
enum kn_status kn_reference_convolution(struct kn_backend *self, const struct kn_convolution *op);
enum kn_status kn_reference_scan(struct kn_backend *self, const struct kn_scan *op);
enum kn_status kn_reference_copy_heads(struct kn_backend *self, const struct kn_copy_heads *op);
enum kn_status kn_reference_gate(struct kn_backend *self, const struct kn_gate *op);
enum kn_status kn_reference_scale(struct kn_backend *self, const struct kn_scale *op);
enum kn_status kn_reference_route(struct kn_backend *self, const struct kn_route *op);
enum kn_status kn_reference_gather(struct kn_backend *self, const struct kn_gather *op);
enum kn_status kn_reference_combine(struct kn_backend *self, const struct kn_combine *op);
enum kn_status kn_reference_convert(struct kn_backend *self, const struct kn_conversion *op);
enum kn_status kn_reference_embed(struct kn_backend *self, const struct kn_embed *op);
enum kn_status kn_reference_loss(struct kn_backend *self, const struct kn_loss *op);
enum kn_status kn_reference_divergence(struct kn_backend *self, const struct kn_divergence *op);
enum kn_status kn_reference_comparison(struct kn_backend *self, const struct kn_comparison *op);
enum kn_status kn_reference_advance(struct kn_backend *self, const struct kn_advance *op);
enum kn_status kn_reference_block_end(struct kn_backend *self, const struct kn_block_end *op);
enum kn_status kn_reference_summary(struct kn_backend *self, const struct kn_summary *op);
enum kn_status kn_reference_second_moment(struct kn_backend *self,
                                          const struct kn_second_moment *op);
enum kn_status kn_reference_gram(struct kn_backend *self, const struct kn_gram *op);
enum kn_status kn_reference_inner_products(struct kn_backend *self,
                                           const struct kn_inner_products *op);
enum kn_status kn_reference_diagonal(struct kn_backend *self, const struct kn_diagonal *op);
enum kn_status kn_reference_inverse_factor(struct kn_backend *self,
                                           const struct kn_inverse_factor *op);
enum kn_status kn_reference_compensation(struct kn_backend *self, const struct kn_compensation *op);
enum kn_status kn_reference_squared_outputs(struct kn_backend *self,
                                            const struct kn_squared_outputs *op);

#endif

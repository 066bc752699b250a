// SPDX-License-Identifier: Apache-2.0
#include "check.h"

static bool is_matrix(const struct kn_matrix *m) {
    return m->rows >= 0 && m->cols >= 0 && m->stride >= m->cols &&
           (m->data || m->rows == 0 || m->cols == 0) && m->type >= KN_F32 && m->type <= KN_BF16;
}

static bool is_typed(const struct kn_matrix *m, enum kn_type type) {
    return is_matrix(m) && m->type == type;
}

static bool is_alike(const struct kn_matrix *a, const struct kn_matrix *b) {
    return a->rows == b->rows && a->cols == b->cols;
}

// An f32 matrix of x's shape, or absent.
static bool is_addend(const struct kn_matrix *m, const struct kn_matrix *x) {
    return !m->data || (is_typed(m, KN_F32) && is_alike(m, x));
}

static enum kn_status status_of(bool agrees) {
    return agrees ? KN_OK : KN_ESHAPE;
}

enum kn_status kn_check_product(const struct kn_product *op, enum kn_type type) {
    return status_of(is_typed(&op->y, type) && is_typed(&op->x, type) && is_matrix(&op->w) &&
                     op->y.rows == op->x.rows && op->y.cols == op->w.rows &&
                     op->x.cols == op->w.cols);
}

enum kn_status kn_check_norm(const struct kn_norm *op, enum kn_type type) {
    return status_of(is_typed(&op->y, type) && is_typed(&op->x, KN_F32) &&
                     is_addend(&op->addend, &op->x) && is_alike(&op->y, &op->x));
}

enum kn_status kn_check_rope(const struct kn_rope *op, enum kn_type type) {
    return status_of(is_typed(&op->x, type) && op->first_col >= 0 && op->heads >= 0 &&
                     op->head_dim >= 1 && op->pairs >= 0 && op->pairs <= op->head_dim / 2 &&
                     op->seq_len >= 1 && op->first_col <= op->x.cols &&
                     op->heads <= (op->x.cols - op->first_col) / op->head_dim);
}

enum kn_status kn_check_attention(const struct kn_attention *op, enum kn_type type) {
    int64_t heads = op->heads, kv_heads = op->kv_heads, head_dim = op->head_dim;
    return status_of(is_typed(&op->y, type) && is_typed(&op->qkv, type) && heads >= 1 &&
                     kv_heads >= 1 && head_dim >= 1 && op->seq_len >= 1 && heads % kv_heads == 0 &&
                     op->y.rows == op->qkv.rows && op->y.rows % op->seq_len == 0 &&
                     heads <= op->y.cols / head_dim && op->y.cols == heads * head_dim &&
                     op->qkv.cols == (heads + 2 * kv_heads) * head_dim);
}

enum kn_status kn_check_gate(const struct kn_gate *op, enum kn_type type) {
    return status_of(is_typed(&op->y, type) && is_typed(&op->x, type) && op->y.rows == op->x.rows &&
                     op->x.cols % 2 == 0 && op->y.cols == op->x.cols / 2);
}

enum kn_status kn_check_statistics(const struct kn_statistics *op) {
    return status_of(is_typed(&op->x, KN_F32) && is_addend(&op->x_addend, &op->x) &&
                     is_typed(&op->delta, KN_F32) && is_alike(&op->delta, &op->x) &&
                     is_addend(&op->delta_addend, &op->x));
}

enum kn_status kn_check_add(const struct kn_add *op) {
    return status_of(is_typed(&op->x, KN_F32) && is_typed(&op->delta, KN_F32) &&
                     is_alike(&op->delta, &op->x) && is_addend(&op->delta_addend, &op->x));
}

enum kn_status kn_check_embed(const struct kn_embed *op) {
    return status_of(is_typed(&op->y, KN_F32) && is_matrix(&op->table) &&
                     op->y.cols == op->table.cols);
}

enum kn_status kn_check_loss(const struct kn_loss *op, enum kn_type type) {
    return status_of(is_typed(&op->x, type) && is_matrix(&op->w) && op->x.cols == op->w.cols);
}

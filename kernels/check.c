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

// Of the activation type or f32.
static bool is_activation(const struct kn_matrix *m, enum kn_type type) {
    return is_matrix(m) && (m->type == type || m->type == KN_F32);
}

static bool is_heads(const struct kn_heads *h) {
    int64_t room = h->x.cols - h->first_col - h->dim;
    return is_matrix(&h->x) && h->first_col >= 0 && h->first_col <= h->x.cols && h->count >= 0 &&
           h->dim >= 1 && (h->pitch == 0 || h->pitch >= h->dim) && (h->count == 0 || room >= 0) &&
           (h->count == 0 || h->pitch == 0 || h->count - 1 <= room / h->pitch);
}

// Heads that may be written: no two of them are the same columns.
static bool is_apart(const struct kn_heads *h) {
    return is_heads(h) && (h->count <= 1 || h->pitch > 0);
}

// A factor's bound or a cap's: 0 or more, and a number.
static bool is_bound(float value) {
    return value >= 0;
}

static enum kn_status status_of(bool agrees) {
    return agrees ? KN_OK : KN_ESHAPE;
}

enum kn_status kn_check_product(const struct kn_product *op, enum kn_type type) {
    return status_of(is_activation(&op->y, type) && is_typed(&op->x, type) && is_matrix(&op->w) &&
                     op->y.rows == op->x.rows && op->y.cols == op->w.rows &&
                     op->x.cols == op->w.cols && (op->activation != KN_XIELU || op->parameters));
}

enum kn_status kn_check_grouped_product(const struct kn_grouped_product *op, enum kn_type type) {
    struct kn_product one = op->product;
    if (op->groups < 0 || (!op->first && op->groups != 1) || !is_matrix(&one.w) ||
        one.w.rows != op->groups * one.y.cols)
        return KN_ESHAPE;
    one.w.rows = one.y.cols;
    KN_TRY(kn_check_product(&one, type));
    if (!op->gated.data)
        return status_of(!one.bias || one.activation == KN_IDENTITY);
    struct kn_gate gate = {.y = op->gated, .x = one.y, .activation = op->gate};
    KN_TRY(kn_check_gate(&gate, type));
    return status_of(one.activation == KN_IDENTITY && !one.bias);
}

enum kn_status kn_check_groups(const struct kn_grouped_product *op) {
    bool ascends = true;
    if (!op->first)
        return KN_OK;
    for (int64_t g = 0; ascends && g < op->groups; g++)
        ascends = op->first[g] <= op->first[g + 1];
    return status_of(ascends && op->first[op->groups] - op->first[0] <= op->product.y.rows);
}

// An f32 matrix of experts' logits, so many of them chosen, from groups that divide them.
enum kn_status kn_check_route(const struct kn_route *op) {
    int64_t experts = op->logits.cols;
    bool agrees = is_typed(&op->logits, KN_F32) && op->used >= 1 && op->used <= experts &&
                  op->groups >= 0 && op->first && op->rows && op->positions && op->weights;
    if (agrees && op->groups > 1)
        agrees = experts % op->groups == 0 && op->groups_used >= 1 &&
                 op->groups_used <= op->groups && (op->sigmoid || !op->correction);
    if (agrees && (experts > KN_MAX_EXPERTS || op->groups > KN_MAX_EXPERT_GROUPS))
        return KN_EUNSUPPORTED;
    return status_of(agrees);
}

enum kn_status kn_check_norm(const struct kn_norm *op, enum kn_type type) {
    return status_of(is_activation(&op->y, type) && is_typed(&op->x, KN_F32) &&
                     is_addend(&op->addend, &op->x) && is_alike(&op->y, &op->x));
}

static bool is_sequences(const struct kn_sequences *s) {
    return s->queries >= 1 && s->first >= 0;
}

// Whether queries and keys are rows of the same number of sequences, the keys reaching to the last
// query.
static bool is_cached(const struct kn_sequences *s, int64_t queries, int64_t keys) {
    return is_sequences(s) && s->keys >= s->queries && s->first <= s->keys - s->queries &&
           queries % s->queries == 0 && keys % s->keys == 0 &&
           queries / s->queries == keys / s->keys;
}

enum kn_status kn_check_rope(const struct kn_rope *op, enum kn_type type) {
    return status_of(is_apart(&op->heads) && op->heads.x.type == type && op->pairs >= 0 &&
                     op->pairs <= op->heads.dim / 2 && is_sequences(&op->sequences));
}

enum kn_status kn_check_head_norm(const struct kn_head_norm *op, enum kn_type type) {
    return status_of(is_apart(&op->heads) && op->heads.x.type == type &&
                     (op->weight_pitch == 0 || op->weight_pitch == op->heads.dim));
}

enum kn_status kn_check_copy_heads(const struct kn_copy_heads *op) {
    const struct kn_heads *y = &op->y, *x = &op->x;
    return status_of(is_apart(y) && is_heads(x) && y->x.type == x->x.type &&
                     (op->rows || y->x.rows == x->x.rows) && y->dim == x->dim &&
                     (x->count == y->count || x->count == 1));
}

// All but how rows of queries and of keys belong together.
static bool is_attention(const struct kn_attention *op, enum kn_type type) {
    const struct kn_heads *q = &op->q, *k = &op->k, *v = &op->v;
    bool is_grouped = is_heads(q) && is_heads(k) && is_heads(v) && k->count >= 1 && q->count >= 1 &&
                      q->count % k->count == 0 && v->count == k->count && q->dim == k->dim;
    bool is_same_type = q->x.type == type && k->x.type == type && v->x.type == type;
    return is_grouped && is_same_type && is_typed(&op->y, type) && op->y.rows == q->x.rows &&
           k->x.rows == v->x.rows && q->count <= op->y.cols / v->dim &&
           op->y.cols == q->count * v->dim && op->window >= 0 && is_bound(op->softcap);
}

enum kn_status kn_check_keep(const struct kn_keep *op, enum kn_type type) {
    const struct kn_heads *k = &op->k.heads, *x = &op->keys.x;
    bool agrees = kn_check_rope(&op->q, type) == KN_OK && kn_check_rope(&op->k, type) == KN_OK &&
                  kn_check_copy_heads(&op->keys) == KN_OK &&
                  kn_check_copy_heads(&op->values) == KN_OK;
    return status_of(agrees && op->q.heads.x.rows == k->x.rows && k->x.data == x->x.data &&
                     k->first_col == x->first_col && k->count == x->count && k->pitch == x->pitch &&
                     x->dim >= k->dim && op->values.x.x.rows == k->x.rows);
}

enum kn_status kn_check_attention(const struct kn_attention *op, enum kn_type type) {
    return status_of(is_attention(op, type) &&
                     is_cached(&op->sequences, op->q.x.rows, op->k.x.rows));
}

enum kn_status kn_check_decode_attention(const struct kn_decode_attention *op, enum kn_type type) {
    const struct kn_attention *a = &op->attention;
    return status_of(is_attention(a, type) && op->keys >= 1 && a->k.x.rows % op->keys == 0 &&
                     (a->y.rows == 0 || (op->positions && op->sequences)));
}

enum kn_status kn_check_head_product(const struct kn_head_product *op, enum kn_type type) {
    const struct kn_heads *y = &op->y, *x = &op->x;
    int64_t rows = op->transposed ? y->dim : x->dim, cols = op->transposed ? x->dim : y->dim;
    int64_t room = op->w.rows - op->first_row - rows, count = y->count;
    return status_of(is_apart(y) && is_heads(x) && y->x.type == type && x->x.type == type &&
                     y->x.rows == x->x.rows && count == x->count && is_matrix(&op->w) &&
                     op->w.cols == cols && op->first_row >= 0 && op->row_pitch >= 0 &&
                     (count == 0 || room >= 0) &&
                     (count <= 1 || op->row_pitch == 0 || count - 1 <= room / op->row_pitch));
}

enum kn_status kn_check_convolution(const struct kn_convolution *op, enum kn_type type) {
    if (op->activation == KN_XIELU)
        return KN_EUNSUPPORTED;
    return status_of(is_typed(&op->y, type) && is_typed(&op->x, type) && is_alike(&op->y, &op->x) &&
                     op->weight && op->taps >= 1 && op->length >= 1 &&
                     op->y.rows % op->length == 0);
}

// Heads of activations, so many of such a size over so many rows.
static bool is_heads_of(const struct kn_heads *h, enum kn_type type, int64_t rows, int64_t count,
                        int64_t dim) {
    return is_heads(h) && h->x.type == type && h->x.rows == rows && h->count == count &&
           h->dim == dim;
}

enum kn_status kn_check_scan(const struct kn_scan *op, enum kn_type type) {
    const struct kn_heads *x = &op->x, *b = &op->b;
    int64_t rows = x->x.rows;
    bool is_grouped = x->count >= 1 && b->count >= 1 && x->count % b->count == 0;
    return status_of(is_grouped && is_heads_of(x, type, rows, x->count, x->dim) &&
                     is_heads_of(&op->y, type, rows, x->count, x->dim) && is_apart(&op->y) &&
                     is_heads_of(b, type, rows, b->count, b->dim) &&
                     is_heads_of(&op->c, type, rows, b->count, b->dim) &&
                     is_heads_of(&op->dt, type, rows, x->count, 1) && op->a_log && op->d &&
                     op->dt_bias && op->low <= op->high && op->length >= 1 &&
                     rows % op->length == 0);
}

enum kn_status kn_check_gate(const struct kn_gate *op, enum kn_type type) {
    if (op->activation == KN_XIELU)
        return KN_EUNSUPPORTED;
    return status_of(is_typed(&op->y, type) && is_typed(&op->x, type) && op->y.rows == op->x.rows &&
                     op->x.cols % 2 == 0 && op->y.cols == op->x.cols / 2);
}

enum kn_status kn_check_block_end(const struct kn_block_end *op) {
    return status_of(is_typed(&op->x, KN_F32) && is_addend(&op->attention, &op->x) &&
                     is_addend(&op->mlp, &op->x));
}

enum kn_status kn_check_summary(const struct kn_summary *op) {
    return status_of(op->sequences >= 0 && op->seq_len >= 1 && op->seq_len <= INT32_MAX &&
                     op->bins >= 1 && op->position_bins >= 1);
}

enum kn_status kn_check_gram(const struct kn_gram *op) {
    return status_of(op->cols >= 0 && op->row >= 0 && op->rows >= 0 && op->col >= 0 &&
                     op->width >= 0);
}

enum kn_status kn_check_inner_products(const struct kn_inner_products *op) {
    return status_of(op->count >= 0 && op->pitch >= 0 && op->length >= 0);
}

enum kn_status kn_check_second_moment(const struct kn_second_moment *op, enum kn_type type) {
    return status_of(is_activation(&op->x, type) && (op->y || !op->x.cols));
}

enum kn_status kn_check_diagonal(const struct kn_diagonal *op) {
    return status_of(op->n >= 0 && op->n <= INT32_MAX && (!op->n || (op->y && op->h)));
}

enum kn_status kn_check_inverse_factor(const struct kn_inverse_factor *op) {
    return status_of(op->n >= 1 && op->n <= INT32_MAX && op->u && op->scratch && op->h &&
                     op->order && op->factored);
}

enum kn_status kn_check_compensation(const struct kn_compensation *op) {
    const struct kn_grid *grid = &op->grid;
    return status_of(op->rows >= 0 && op->n >= 1 && op->n <= INT32_MAX && op->code && op->scale &&
                     op->zero && op->w && op->u && op->order &&
                     (grid->bits == 4 || grid->bits == 8) && grid->group_size >= 0 &&
                     grid->scale_type >= KN_F32 && grid->scale_type <= KN_BF16 &&
                     op->input_order >= KN_ORDER_FILE && op->input_order <= KN_ORDER_GROUPS);
}

enum kn_status kn_check_squared_outputs(const struct kn_squared_outputs *op) {
    return status_of(op->rows >= 0 && op->n >= 1 && op->n <= INT32_MAX &&
                     (!op->rows || (op->y && op->x && op->h)));
}

enum kn_status kn_check_conversion(const struct kn_conversion *op) {
    return status_of(op->count >= 0 && op->to_type != op->from_type && op->to_type >= KN_F32 &&
                     op->to_type <= KN_BF16 && op->from_type >= KN_F32 && op->from_type <= KN_BF16);
}

enum kn_status kn_check_embed(const struct kn_embed *op) {
    return status_of(is_typed(&op->y, KN_F32) && is_matrix(&op->table) &&
                     op->y.cols == op->table.cols);
}

enum kn_status kn_check_scale(const struct kn_scale *op, enum kn_type type) {
    return status_of(is_activation(&op->x, type) && is_bound(op->limit));
}

enum kn_status kn_check_gather(const struct kn_gather *op) {
    return status_of(is_matrix(&op->y) && is_typed(&op->x, op->y.type) &&
                     op->y.cols == op->x.cols && !op->range.begin == !op->range.end &&
                     (!op->weights || (op->positions && op->used > 0)));
}

enum kn_status kn_check_combine(const struct kn_combine *op) {
    return status_of(is_typed(&op->y, KN_F32) && is_typed(&op->x, KN_F32) &&
                     op->y.cols == op->x.cols && op->used >= 0 &&
                     !op->range.begin == !op->range.end);
}

enum kn_status kn_check_loss(const struct kn_loss *op, enum kn_type type) {
    return status_of(is_typed(&op->x, type) && is_matrix(&op->w) && op->x.cols == op->w.cols &&
                     is_bound(op->softcap));
}

enum kn_status kn_check_divergence(const struct kn_divergence *op, enum kn_type type) {
    bool agrees = op->candidates >= 0 && (op->candidates == 0 || op->candidate);
    for (int64_t i = 0; agrees && i < op->candidates; i++)
        agrees = is_typed(&op->candidate[i].x, type) && is_alike(&op->candidate[i].x, &op->base.x);
    return agrees ? kn_check_loss(&op->base, type) : KN_ESHAPE;
}

enum kn_status kn_check_comparison(const struct kn_comparison *op, enum kn_type type) {
    bool agrees = op->candidates >= 0 && (op->candidates == 0 || op->candidate);
    for (int64_t i = 0; agrees && i < op->candidates; i++)
        agrees = is_typed(&op->candidate[i].x, type) && is_alike(&op->candidate[i].x, &op->base.x);
    return agrees ? kn_check_loss(&op->base, type) : KN_ESHAPE;
}

enum kn_status kn_check_advance(const struct kn_advance *op) {
    return status_of(op->rows >= 0 && op->ahead >= 1 && op->slots[0] >= 0 && op->slots[1] >= 0);
}

// SPDX-License-Identifier: Apache-2.0
// Every op as its formula reads: one loop a sum, f64 inside, f32 in memory. What the fast backends
// are compared with, and what they fall back on.
#include "reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "convert.h"

static const float *row_of(const struct kn_matrix *m, int64_t row) {
    return m->data ? (const float *)m->data + row * m->stride : NULL;
}

static float *out_row(const struct kn_matrix *m, int64_t row) {
    return (float *)m->data + row * m->stride;
}

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

static void reference_close(struct kn_backend *self) {
    free(self);
}

static double xielu(const float *p, double v) {
    double alpha_p = (double)p[0], alpha_n = (double)p[1], beta = (double)p[2], eps = (double)p[3];
    if (v > 0)
        return alpha_p * v * v + beta * v;
    return (expm1(v > eps ? eps : v) - v) * (beta + alpha_n) + beta * v;
}

double kn_reference_activate(enum kn_activation activation, const float *parameters, double v) {
    const double sqrt_half = 0.70710678118654752440, sqrt_2_over_pi = 0.79788456080286535588;
    switch (activation) {
    case KN_SILU:
        return v / (1 + exp(-v));
    case KN_GELU_ERF:
        return 0.5 * v * erfc(-v * sqrt_half);
    case KN_GELU_TANH: // (1 + tanh z) / 2 = 1 / (1 + exp(-2 z)), without cancellation
        return v / (1 + exp(-2 * sqrt_2_over_pi * (v + 0.044715 * v * v * v)));
    case KN_RELU:
        return v < 0 ? 0 : v;
    case KN_XIELU:
        return xielu(parameters, v);
    case KN_IDENTITY:
        break;
    }
    return v;
}

static double dot(const float *x, const struct kn_matrix *w, int64_t w_row) {
    double sum = 0;
    for (int64_t i = 0; i < w->cols; i++)
        sum += (double)x[i] * (double)kn_load(w->data, w->type, w_row * w->stride + i);
    return sum;
}

static enum kn_status reference_product(struct kn_backend *self, const struct kn_product *op) {
    enum kn_status status = kn_check_product(op, self->activation_type);
    for (int64_t r = 0; status == KN_OK && r < op->y.rows; r++) {
        for (int64_t c = 0; c < op->y.cols; c++) {
            double sum = dot(row_of(&op->x, r), &op->w, c) + (op->bias ? (double)op->bias[c] : 0);
            out_row(&op->y, r)[c] =
                (float)kn_reference_activate(op->activation, op->parameters, sum);
        }
    }
    return status;
}

// In place; weight and bias may be NULL.
static void normalise(float *y, int64_t count, enum kn_norm_kind kind, const float *weight,
                      const float *bias, float epsilon) {
    if (kind == KN_NO_NORM)
        return;
    double sum = 0, squares = 0;
    for (int64_t c = 0; c < count; c++)
        sum += (double)y[c];
    double mean = kind == KN_LAYER_NORM ? sum / (double)count : 0;
    for (int64_t c = 0; c < count; c++)
        squares += ((double)y[c] - mean) * ((double)y[c] - mean);
    double scale = 1 / sqrt(squares / (double)count + (double)epsilon);
    for (int64_t c = 0; c < count; c++) {
        double v = ((double)y[c] - mean) * scale * (weight ? (double)weight[c] : 1);
        y[c] = (float)(v + (bias ? (double)bias[c] : 0));
    }
}

// `rows` rows of m from `first` on; those of no rows keep m's address, which may be NULL.
static struct kn_matrix rows_of(const struct kn_matrix *m, int64_t first, int64_t rows) {
    struct kn_matrix part = *m;
    if (rows > 0)
        part.data = (char *)m->data + (size_t)(first * m->stride) * kn_type_size(m->type);
    part.rows = rows;
    return part;
}

struct kn_product kn_product_of_group(const struct kn_grouped_product *op, int64_t group) {
    struct kn_product product = op->product;
    int64_t first = op->first[group] - op->first[0], rows = op->first[group + 1] - op->first[group];
    product.y = rows_of(&op->product.y, first, rows);
    product.x = rows_of(&op->product.x, first, rows);
    product.w = rows_of(&op->product.w, group * product.y.cols, product.y.cols);
    return product;
}

// The groups one after the other, by the backend's own product.
static enum kn_status reference_grouped_product(struct kn_backend *self,
                                                const struct kn_grouped_product *op) {
    enum kn_status status = kn_check_grouped_product(op, self->activation_type);
    for (int64_t g = 0; status == KN_OK && g < op->groups; g++) {
        struct kn_product product = kn_product_of_group(op, g);
        status = self->ops->product(self, &product);
    }
    return status;
}

static enum kn_status reference_norm(struct kn_backend *self, const struct kn_norm *op) {
    enum kn_status status = kn_check_norm(op, self->activation_type);
    for (int64_t r = 0; status == KN_OK && r < op->x.rows; r++) {
        const float *x = row_of(&op->x, r), *addend = row_of(&op->addend, r);
        float *y = out_row(&op->y, r);
        for (int64_t c = 0; c < op->x.cols; c++)
            y[c] = addend ? x[c] + addend[c] : x[c];
        normalise(y, op->x.cols, op->kind, op->weight, op->bias, op->epsilon);
    }
    return status;
}

static int64_t head_col(const struct kn_heads *h, int64_t head) {
    return h->first_col + head * h->pitch;
}

static float *head_of(const struct kn_heads *h, int64_t row, int64_t head) {
    return out_row(&h->x, row) + head_col(h, head);
}

static enum kn_status reference_rope(struct kn_backend *self, const struct kn_rope *op) {
    enum kn_status status = kn_check_rope(op, self->activation_type);
    bool half_split = op->kind == KN_ROPE_HALF_SPLIT;
    int64_t step = half_split ? 1 : 2, distance = half_split ? op->pairs : 1;
    for (int64_t r = 0; status == KN_OK && r < op->heads.x.rows; r++) {
        int64_t position = op->sequences.first + r % op->sequences.queries;
        const float *cos_row = op->cos + position * op->pairs;
        const float *sin_row = op->sin + position * op->pairs;
        for (int64_t h = 0; h < op->heads.count; h++) {
            float *head = head_of(&op->heads, r, h);
            for (int64_t i = 0; i < op->pairs; i++) {
                double a = (double)head[i * step], b = (double)head[i * step + distance];
                double cosine = (double)cos_row[i], sine = (double)sin_row[i];
                head[i * step] = (float)(a * cosine - b * sine);
                head[i * step + distance] = (float)(b * cosine + a * sine);
            }
        }
    }
    return status;
}

static enum kn_status reference_head_norm(struct kn_backend *self, const struct kn_head_norm *op) {
    enum kn_status status = kn_check_head_norm(op, self->activation_type);
    for (int64_t r = 0; status == KN_OK && r < op->heads.x.rows; r++) {
        for (int64_t h = 0; h < op->heads.count; h++) {
            int64_t own = h * op->weight_pitch;
            normalise(head_of(&op->heads, r, h), op->heads.dim, op->kind,
                      op->weight ? op->weight + own : NULL, op->bias ? op->bias + own : NULL,
                      op->epsilon);
        }
    }
    return status;
}

// `count` elements of row y_row of y from column y_col on; y and x have the same type.
static void copy(const struct kn_matrix *y, int64_t y_row, int64_t y_col, const struct kn_matrix *x,
                 int64_t x_row, int64_t x_col, int64_t count) {
    size_t size = kn_type_size(y->type);
    char *to = (char *)y->data + (size_t)(y_row * y->stride + y_col) * size;
    const char *from = (const char *)x->data + (size_t)(x_row * x->stride + x_col) * size;
    if (count)
        memcpy(to, from, (size_t)count * size);
}

static enum kn_status reference_copy_heads(struct kn_backend *self,
                                           const struct kn_copy_heads *op) {
    (void)self;
    enum kn_status status = kn_check_copy_heads(op);
    for (int64_t r = 0; status == KN_OK && r < op->y.x.rows; r++)
        for (int64_t h = 0; h < op->y.count; h++)
            copy(&op->y.x, r, head_col(&op->y, h), &op->x.x, r,
                 head_col(&op->x, op->x.count == 1 ? 0 : h), op->y.dim);
    return status;
}

enum { SUMS = 64 }; // columns of y summed at a time

static double cap(double z, float softcap) {
    return softcap > 0 ? (double)softcap * tanh(z / (double)softcap) : z;
}

// ALiBi's term of the score of a key: `position` and `key` are positions in the sequence.
static double bias(const struct kn_attention *op, float slope, int64_t position, int64_t key) {
    if (!op->slopes_bf16)
        return (double)slope * (double)(key - position);
    double here = (double)kn_slope_bf16(slope, position);
    return (double)op->scale * ((double)kn_slope_bf16(slope, key) - here);
}

// A query row of the batch, its position, and the row of its sequence's first key.
struct query {
    int64_t row, head, position, first_key;
};

static double score(const struct kn_attention *op, const struct query *at, int64_t key) {
    const float *q = head_of(&op->q, at->row, at->head);
    const float *k = head_of(&op->k, at->first_key + key, at->head / (op->q.count / op->k.count));
    double sum = 0;
    for (int64_t i = 0; i < op->q.dim; i++)
        sum += (double)q[i] * (double)k[i];
    sum *= (double)op->scale;
    if (op->slopes)
        sum += bias(op, op->slopes[at->head], at->position, key);
    return cap(sum, op->softcap);
}

void kn_reference_attend(const struct kn_attention *op, int64_t row, int64_t head) {
    const struct kn_sequences *s = &op->sequences;
    const struct query at = {row, head, s->first + row % s->queries, row / s->queries * s->keys};
    int64_t group = head / (op->q.count / op->k.count), last = at.position, first = 0;
    float *y = out_row(&op->y, row) + head * op->v.dim;
    if (op->window > 0 && op->window < last + 1)
        first = last - op->window + 1;
    double maximum = -INFINITY;
    for (int64_t j = first; j <= last; j++)
        maximum = fmax(maximum, score(op, &at, j));
    for (int64_t c = 0; c < op->v.dim; c += SUMS) {
        int64_t count = op->v.dim - c < SUMS ? op->v.dim - c : SUMS;
        double total = 0, sums[SUMS] = {0};
        for (int64_t j = first; j <= last; j++) {
            double weight = exp(score(op, &at, j) - maximum);
            const float *v = head_of(&op->v, at.first_key + j, group) + c;
            total += weight;
            for (int64_t i = 0; i < count; i++)
                sums[i] += weight * (double)v[i];
        }
        for (int64_t i = 0; i < count; i++)
            y[c + i] = (float)(sums[i] / total);
    }
}

static enum kn_status reference_attention(struct kn_backend *self, const struct kn_attention *op) {
    enum kn_status status = kn_check_attention(op, self->activation_type);
    for (int64_t r = 0; status == KN_OK && r < op->y.rows; r++)
        for (int64_t h = 0; h < op->q.count; h++)
            kn_reference_attend(op, r, h);
    return status;
}

static enum kn_status reference_gate(struct kn_backend *self, const struct kn_gate *op) {
    enum kn_status status = kn_check_gate(op, self->activation_type);
    for (int64_t r = 0; status == KN_OK && r < op->y.rows; r++) {
        const float *x = row_of(&op->x, r);
        for (int64_t c = 0; c < op->y.cols; c++) {
            double gate = kn_reference_activate(op->activation, NULL, (double)x[c]);
            out_row(&op->y, r)[c] = (float)(gate * (double)x[op->y.cols + c]);
        }
    }
    return status;
}

static enum kn_status reference_convert(struct kn_backend *self, const struct kn_conversion *op) {
    (void)self;
    enum kn_status status = kn_check_conversion(op);
    if (status != KN_OK)
        return status;
    for (int64_t i = 0; i < op->count; i++)
        kn_store(op->to, op->to_type, i, kn_load(op->from, op->from_type, i));
    return KN_OK;
}

static enum kn_status reference_embed(struct kn_backend *self, const struct kn_embed *op) {
    (void)self;
    enum kn_status status = kn_check_embed(op);
    for (int64_t r = 0; status == KN_OK && r < op->y.rows; r++) {
        int64_t id = op->ids[r] - op->first_id;
        if (id < 0 || id >= op->table.rows)
            continue;
        for (int64_t c = 0; c < op->y.cols; c++) {
            int64_t from = id * op->table.stride + c;
            float *y = out_row(&op->y, r) + c;
            float value = op->scale * kn_load(op->table.data, op->table.type, from);
            *y = op->accumulate ? *y + value : value;
        }
    }
    return status;
}

static enum kn_status reference_scale(struct kn_backend *self, const struct kn_scale *op) {
    enum kn_status status = kn_check_scale(op, self->activation_type);
    for (int64_t r = 0; status == KN_OK && r < op->x.rows; r++) {
        float *x = out_row(&op->x, r);
        for (int64_t c = 0; c < op->x.cols; c++) {
            float v = op->factor == 0 ? 0 : op->factor * x[c];
            v = v > op->limit ? op->limit : v;
            x[c] = v < -op->limit ? -op->limit : v;
        }
    }
    return status;
}

static enum kn_status reference_gather(struct kn_backend *self, const struct kn_gather *op) {
    (void)self;
    enum kn_status status = kn_check_gather(op);
    for (int64_t r = 0; status == KN_OK && r < op->y.rows; r++)
        copy(&op->y, r, 0, &op->x, op->rows[r], 0, op->y.cols);
    return status;
}

static enum kn_status reference_combine(struct kn_backend *self, const struct kn_combine *op) {
    (void)self;
    enum kn_status status = kn_check_combine(op);
    for (int64_t i = 0; status == KN_OK && i < op->y.rows * op->used; i++) {
        int64_t row = op->positions[i] - op->first;
        if (row < 0 || row >= op->x.rows)
            continue;
        float *y = out_row(&op->y, i / op->used);
        for (int64_t c = 0; c < op->x.cols; c++)
            y[c] = (float)((double)y[c] + (double)op->weights[i] * (double)row_of(&op->x, row)[c]);
    }
    return status;
}

static void loss_add(double *maximum, double *sum, double z) {
    if (z > *maximum) {
        *sum = *sum * exp(*maximum - z) + 1;
        *maximum = z;
    } else if (z != -INFINITY) {
        *sum += exp(z - *maximum);
    }
}

static enum kn_status reference_loss(struct kn_backend *self, const struct kn_loss *op) {
    enum kn_status status = kn_check_loss(op, self->activation_type);
    for (int64_t r = 0; status == KN_OK && r < op->x.rows; r++) {
        int64_t target = op->targets[r] < 0 ? -1 : op->targets[r] - op->first_id;
        for (int64_t c = 0; c < op->w.rows; c++) {
            double z = dot(row_of(&op->x, r), &op->w, c) + (op->bias ? (double)op->bias[c] : 0);
            z = cap(z * (double)op->scale, op->softcap);
            loss_add(&op->maximum[r], &op->sum[r], z);
            if (c == target)
                op->target[r] = z;
        }
    }
    return status;
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
    .close = reference_close,
    .product = reference_product,
    .grouped_product = reference_grouped_product,
    .norm = reference_norm,
    .head_norm = reference_head_norm,
    .rope = reference_rope,
    .attention = reference_attention,
    .copy_heads = reference_copy_heads,
    .gate = reference_gate,
    .scale = reference_scale,
    .gather = reference_gather,
    .combine = reference_combine,
    .convert = reference_convert,
    .embed = reference_embed,
    .loss = reference_loss,
    .block_end = kn_reference_block_end,
    .summary = kn_reference_summary,
    .gram = kn_reference_gram,
    .inner_products = kn_reference_inner_products,
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

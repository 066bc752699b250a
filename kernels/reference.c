// SPDX-License-Identifier: Apache-2.0
// Every op as its formula reads: one loop a sum, f64 inside, f32 in memory. What the fast backends
// are compared with, and what they fall back on.
#include "reference.h"

#include "check.h"
#include "convert.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const float *row_of(const struct kn_matrix *m, int64_t row) {
    return m->data ? (const float *)m->data + row * m->stride : NULL;
}

static float *out_row(const struct kn_matrix *m, int64_t row) {
    return (float *)m->data + row * m->stride;
}

static enum kn_status reference_alloc(struct kn_backend *self, void **memory_p, size_t bytes) {
    (void)self;
    if (bytes > SIZE_MAX - 63) {
        return KN_ENOMEM;
    }
    void *memory = aligned_alloc(64, bytes ? (bytes + 63) / 64 * 64 : 64);
    if (!memory) {
        return KN_ENOMEM;
    }
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
    if (bytes) {
        memcpy(to, from, bytes);
    }
    return KN_OK;
}

static enum kn_status reference_sync(struct kn_backend *self) {
    (void)self;
    return KN_OK;
}

static void reference_close(struct kn_backend *self) {
    free(self);
}

double kn_reference_activate(enum kn_activation activation, double v) {
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
    case KN_IDENTITY:
        break;
    }
    return v;
}

static double dot(const float *x, const struct kn_matrix *w, int64_t w_row) {
    double sum = 0;
    for (int64_t i = 0; i < w->cols; i++) {
        sum += (double)x[i] * (double)kn_load(w->data, w->type, w_row * w->stride + i);
    }
    return sum;
}

static enum kn_status reference_product(struct kn_backend *self, const struct kn_product *op) {
    enum kn_status status = kn_check_product(op, self->activation_type);
    for (int64_t r = 0; status == KN_OK && r < op->y.rows; r++) {
        for (int64_t c = 0; c < op->y.cols; c++) {
            double sum = dot(row_of(&op->x, r), &op->w, c) + (op->bias ? (double)op->bias[c] : 0);
            out_row(&op->y, r)[c] = (float)kn_reference_activate(op->activation, sum);
        }
    }
    return status;
}

static void normalise_row(const struct kn_norm *op, float *y, const float *x, const float *addend) {
    int64_t cols = op->x.cols;
    double sum = 0, squares = 0;
    for (int64_t c = 0; c < cols; c++) {
        y[c] = addend ? x[c] + addend[c] : x[c];
        sum += (double)y[c];
    }
    double mean = op->kind == KN_LAYER_NORM ? sum / (double)cols : 0;
    for (int64_t c = 0; c < cols; c++) {
        squares += ((double)y[c] - mean) * ((double)y[c] - mean);
    }
    double scale = 1 / sqrt(squares / (double)cols + (double)op->epsilon);
    for (int64_t c = 0; c < cols; c++) {
        double v = ((double)y[c] - mean) * scale * (op->weight ? (double)op->weight[c] : 1);
        y[c] = (float)(v + (op->bias ? (double)op->bias[c] : 0));
    }
}

static enum kn_status reference_norm(struct kn_backend *self, const struct kn_norm *op) {
    enum kn_status status = kn_check_norm(op, self->activation_type);
    for (int64_t r = 0; status == KN_OK && r < op->x.rows; r++) {
        normalise_row(op, out_row(&op->y, r), row_of(&op->x, r), row_of(&op->addend, r));
    }
    return status;
}

static enum kn_status reference_rope(struct kn_backend *self, const struct kn_rope *op) {
    enum kn_status status = kn_check_rope(op, self->activation_type);
    bool half_split = op->kind == KN_ROPE_HALF_SPLIT;
    int64_t step = half_split ? 1 : 2, distance = half_split ? op->pairs : 1;
    for (int64_t r = 0; status == KN_OK && r < op->x.rows; r++) {
        const float *cos_row = op->cos + r % op->seq_len * op->pairs;
        const float *sin_row = op->sin + r % op->seq_len * op->pairs;
        for (int64_t h = 0; h < op->heads; h++) {
            float *head = out_row(&op->x, r) + op->first_col + h * op->head_dim;
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

enum { SUMS = 64 }; // columns of y summed at a time

void kn_reference_attend(const struct kn_attention *op, int64_t row, int64_t head) {
    int64_t head_dim = op->head_dim, first = row - row % op->seq_len;
    int64_t group = head / (op->heads / op->kv_heads);
    const float *q = row_of(&op->qkv, row) + head * head_dim;
    struct kn_matrix k = op->qkv;
    k.cols = head_dim;
    k.data = (float *)op->qkv.data + (op->heads + group) * head_dim;
    const float *v = (const float *)k.data + op->kv_heads * head_dim;
    float *y = out_row(&op->y, row) + head * head_dim;

    double maximum = -INFINITY;
    for (int64_t j = first; j <= row; j++) {
        maximum = fmax(maximum, dot(q, &k, j) * (double)op->scale);
    }
    for (int64_t c = 0; c < head_dim; c += SUMS) {
        int64_t count = head_dim - c < SUMS ? head_dim - c : SUMS;
        double total = 0, sums[SUMS] = {0};
        for (int64_t j = first; j <= row; j++) {
            double weight = exp(dot(q, &k, j) * (double)op->scale - maximum);
            total += weight;
            for (int64_t i = 0; i < count; i++) {
                sums[i] += weight * (double)v[j * k.stride + c + i];
            }
        }
        for (int64_t i = 0; i < count; i++) {
            y[c + i] = (float)(sums[i] / total);
        }
    }
}

static enum kn_status reference_attention(struct kn_backend *self, const struct kn_attention *op) {
    enum kn_status status = kn_check_attention(op, self->activation_type);
    for (int64_t r = 0; status == KN_OK && r < op->y.rows; r++) {
        for (int64_t h = 0; h < op->heads; h++) {
            kn_reference_attend(op, r, h);
        }
    }
    return status;
}

static enum kn_status reference_gate(struct kn_backend *self, const struct kn_gate *op) {
    enum kn_status status = kn_check_gate(op, self->activation_type);
    for (int64_t r = 0; status == KN_OK && r < op->y.rows; r++) {
        const float *x = row_of(&op->x, r);
        for (int64_t c = 0; c < op->y.cols; c++) {
            double gate = kn_reference_activate(op->activation, (double)x[c]);
            out_row(&op->y, r)[c] = (float)(gate * (double)x[op->y.cols + c]);
        }
    }
    return status;
}

static enum kn_status reference_statistics(struct kn_backend *self,
                                           const struct kn_statistics *op) {
    (void)self;
    enum kn_status status = kn_check_statistics(op);
    for (int64_t r = 0; status == KN_OK && r < op->x.rows; r++) {
        const float *x = row_of(&op->x, r), *x_addend = row_of(&op->x_addend, r);
        const float *d = row_of(&op->delta, r), *d_addend = row_of(&op->delta_addend, r);
        double xx = 0, xd = 0, dd = 0;
        for (int64_t c = 0; c < op->x.cols; c++) {
            float v = x_addend ? x[c] + x_addend[c] : x[c];
            float e = d_addend ? d[c] + d_addend[c] : d[c];
            xx += (double)v * (double)v;
            xd += (double)v * (double)e;
            dd += (double)e * (double)e;
        }
        op->xx[r] = xx;
        op->xd[r] = xd;
        op->dd[r] = dd;
    }
    return status;
}

static enum kn_status reference_add(struct kn_backend *self, const struct kn_add *op) {
    (void)self;
    enum kn_status status = kn_check_add(op);
    for (int64_t r = 0; status == KN_OK && r < op->x.rows; r++) {
        const float *delta = row_of(&op->delta, r), *addend = row_of(&op->delta_addend, r);
        for (int64_t c = 0; c < op->x.cols; c++) {
            out_row(&op->x, r)[c] += addend ? delta[c] + addend[c] : delta[c];
        }
    }
    return status;
}

static enum kn_status reference_embed(struct kn_backend *self, const struct kn_embed *op) {
    (void)self;
    enum kn_status status = kn_check_embed(op);
    for (int64_t r = 0; status == KN_OK && r < op->y.rows; r++) {
        int64_t id = op->ids[r] - op->first_id;
        if (id < 0 || id >= op->table.rows) {
            continue;
        }
        for (int64_t c = 0; c < op->y.cols; c++) {
            int64_t from = id * op->table.stride + c;
            out_row(&op->y, r)[c] = kn_load(op->table.data, op->table.type, from);
        }
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
            loss_add(&op->maximum[r], &op->sum[r], z);
            if (c == target) {
                op->target[r] = z;
            }
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
    .product = reference_product,
    .norm = reference_norm,
    .rope = reference_rope,
    .attention = reference_attention,
    .gate = reference_gate,
    .statistics = reference_statistics,
    .add = reference_add,
    .embed = reference_embed,
    .loss = reference_loss,
    .close = reference_close,
};

enum kn_status kn_reference_open(struct kn_backend **kn_p) {
    struct kn_backend *kn = calloc(1, sizeof *kn);
    if (!kn) {
        return KN_ENOMEM;
    }
    *kn = (struct kn_backend){.ops = &kn_reference_ops,
                              .activation_type = KN_F32,
                              .unified = true,
                              .threads = 1,
                              .description = "plain C reference, f64 sums"};
    *kn_p = kn;
    return KN_OK;
}

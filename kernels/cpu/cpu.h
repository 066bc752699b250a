// SPDX-License-Identifier: Apache-2.0
#ifndef KN_CPU_H
#define KN_CPU_H

#include <cblas.h>

#include "blocks.h"
#include "kernels/few_bits.h"
#include "kernels/measure.h"

// Row ops are compiled for several instruction sets; the loader picks one.
#ifdef KN_HAS_TARGET_CLONES
#define KN_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define KN_CLONES
#endif

// The handle: the public part first, then the table and the scratch, grown when an op needs more.
struct cpu_backend {
    struct kn_backend public;
    struct kn_ops table;
    void *scratch;
    size_t scratch_size;
    struct kn_blocks blocks;
};

// Products run on our threads, and the BLAS is to start none of its own; and where it would take
// slow kernels for a processor that it misjudges, it is told of better ones. Before any product.
void cpu_prepare_blas(void);

// Library and version, for what is recorded.
void cpu_describe_blas(struct kn_backend *kn);

// Scratch of an op: `common` bytes for all and `each` bytes a thread, both 64-byte aligned, valid
// until the next call. NULL when there is no memory.
struct cpu_scratch {
    char *common, *each;
    size_t each_size;
};
enum kn_status cpu_reserve(struct kn_backend *self, struct cpu_scratch *scratch_p, size_t common,
                           size_t each);

// The calling OpenMP thread's share.
void *cpu_thread_scratch(const struct cpu_scratch *scratch);

static inline int64_t cpu_min(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static inline int64_t cpu_divide_up(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

// The threads for an op of about `work` elements of a row op (a product's 16 multiplications cost
// as much as one of those): a small op is done sooner by one than a team is woken up and awaited,
// and far sooner where other programs hold the cores. Never in between: a team that shrinks has to
// be built again.
enum { CPU_SMALL_WORK = 32768, CPU_MULTIPLICATIONS = 16 };
static inline int cpu_threads(const struct kn_backend *self, int64_t work) {
    return work < CPU_SMALL_WORK ? 1 : self->threads;
}

// The same for ops that pass over the rows of m.
static inline int cpu_row_threads(const struct kn_backend *self, const struct kn_matrix *m) {
    return m->rows > 1 ? cpu_threads(self, m->rows * m->cols) : 1;
}

static inline float *cpu_row(const struct kn_matrix *m, int64_t row) {
    return m->data ? (float *)m->data + row * m->stride : NULL;
}

static inline float *cpu_head(const struct kn_heads *h, int64_t row, int64_t head) {
    return cpu_row(&h->x, row) + h->first_col + head * h->pitch;
}

// Does every dimension of m fit the BLAS's integers?
bool cpu_fits_blas(const struct kn_matrix *m);

// y[rows, w_rows] = x[rows, k] * w[first_row + (0 ... w_rows - 1), k]^T by one BLAS call, or, of
// few rows, without one. w is widened into `wide` [w_rows, k] unless it is f32.
void cpu_tile_product(float *y, int64_t y_stride, const float *x, int64_t x_stride, int64_t rows,
                      const struct kn_matrix *w, int64_t first_row, int64_t w_rows, float *wide);

// The same for no more than CPU_FEW_ROWS rows.
enum { CPU_FEW_ROWS = 4 };
void cpu_few_rows(float *y, int64_t y_stride, const float *x, int64_t x_stride, int64_t rows,
                  const struct kn_matrix *w, int64_t first_row, int64_t w_rows);

// to[count] = from[first ...], any type to f32.
void cpu_widen(float *to, const void *from, enum kn_type type, int64_t first, int64_t count);

// y[count] = activation(y + bias), bias may be NULL; parameters as in struct kn_product.
void cpu_activate(float *y, const float *bias, int64_t count, enum kn_activation activation,
                  const float *parameters);

// The sum of a[i] b[i], in lanes; and y[count] += weight * x.
float cpu_dot(const float *a, const float *b, int64_t count);
void cpu_add_weighted(float *y, const float *x, float weight, int64_t count);

// x[count] += delta + addend, the deltas summed first; addend may be NULL.
void cpu_add_row(float *x, const float *delta, const float *addend, int64_t count);

enum kn_status cpu_product(struct kn_backend *self, const struct kn_product *op);
enum kn_status cpu_grouped_product(struct kn_backend *self, const struct kn_grouped_product *op);
enum kn_status cpu_norm(struct kn_backend *self, const struct kn_norm *op);
enum kn_status cpu_head_norm(struct kn_backend *self, const struct kn_head_norm *op);
enum kn_status cpu_copy_heads(struct kn_backend *self, const struct kn_copy_heads *op);
enum kn_status cpu_scale(struct kn_backend *self, const struct kn_scale *op);
enum kn_status cpu_route(struct kn_backend *self, const struct kn_route *op);
enum kn_status cpu_gather(struct kn_backend *self, const struct kn_gather *op);
enum kn_status cpu_combine(struct kn_backend *self, const struct kn_combine *op);
enum kn_status cpu_rope(struct kn_backend *self, const struct kn_rope *op);
enum kn_status cpu_attention(struct kn_backend *self, const struct kn_attention *op);
enum kn_status cpu_decode_attention(struct kn_backend *self, const struct kn_decode_attention *op);
enum kn_status cpu_head_product(struct kn_backend *self, const struct kn_head_product *op);
enum kn_status cpu_convolution(struct kn_backend *self, const struct kn_convolution *op);
enum kn_status cpu_scan(struct kn_backend *self, const struct kn_scan *op);
enum kn_status cpu_gate(struct kn_backend *self, const struct kn_gate *op);
enum kn_status cpu_block_end(struct kn_backend *self, const struct kn_block_end *op);
enum kn_status cpu_summary(struct kn_backend *self, const struct kn_summary *op);
enum kn_status cpu_gram(struct kn_backend *self, const struct kn_gram *op);
enum kn_status cpu_second_moment(struct kn_backend *self, const struct kn_second_moment *op);
enum kn_status cpu_inner_products(struct kn_backend *self, const struct kn_inner_products *op);
enum kn_status cpu_convert(struct kn_backend *self, const struct kn_conversion *op);
enum kn_status cpu_embed(struct kn_backend *self, const struct kn_embed *op);
enum kn_status cpu_loss(struct kn_backend *self, const struct kn_loss *op);
enum kn_status cpu_divergence(struct kn_backend *self, const struct kn_divergence *op);
enum kn_status cpu_comparison(struct kn_backend *self, const struct kn_comparison *op);
enum kn_status cpu_inverse_factor(struct kn_backend *self, const struct kn_inverse_factor *op);
enum kn_status cpu_compensation(struct kn_backend *self, const struct kn_compensation *op);
enum kn_status cpu_squared_outputs(struct kn_backend *self, const struct kn_squared_outputs *op);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef KN_KERNELS_H
#define KN_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The ops a transformer's forward pass is made of, behind one table per backend. A backend is a
// filled table: plain-C reference entries are always present, a backend overrides what it does
// better. This folder knows no layer, no model and no MPI.
//
// Conventions for every op:
//  - output first, as in y = f(x); outputs must not alias inputs unless the op says "in place";
//  - every pointer is memory of the backend (its alloc), matrices are row-major, one token a row;
//  - rows of activations are tokens: row r of a batch is position r % seq_len of sequence
//    r / seq_len;
//  - all calls are asynchronous where the backend is; its sync waits. None is thread-safe per
//    backend handle;
//  - results depend neither on the number of threads nor on timing: work is cut on a fixed grid,
//    each cell computed by one thread, partial results combined in a fixed order.

enum kn_status {
    KN_OK = 0,
    KN_ENOMEM = -1,       // the backend has no memory left
    KN_ESHAPE = -2,       // operands disagree in shape or type
    KN_EUNSUPPORTED = -3, // the backend does not offer this type or option
    KN_EDEVICE = -4,      // the device or its library failed; the handle's error says how
};

enum kn_type { KN_F32, KN_F16, KN_BF16 };

// Bytes of one element, and "f32", "f16", "bf16".
size_t kn_type_size(enum kn_type type);
const char *kn_type_name(enum kn_type type);

// Converts `count` elements between types in host memory, rounding to nearest even.
void kn_convert(void *to, enum kn_type to_type, const void *from, enum kn_type from_type,
                int64_t count);

// A row-major matrix in the backend's memory; `stride` is the distance of rows in elements.
struct kn_matrix {
    void *data;
    enum kn_type type;
    int64_t rows, cols, stride;
};

static inline struct kn_matrix kn_matrix(void *data, enum kn_type type, int64_t rows,
                                         int64_t cols) {
    return (struct kn_matrix){data, type, rows, cols, cols};
}

// y[n,m] = activation(x[n,k] * w[m,k]^T + bias[m]), accumulated in f32.
// x has the backend's activation type (the CPU: f32), y that or f32, w any type (fastest in the
// activation type), bias f32 or NULL. w of another type than x is rounded to x's
// where that is of 16 bits. Where y is of 16 bits, the bias is rounded to them first and
// the activation sees the rounded sum, as in other implementations.
// KN_XIELU (Huang & Schlag 2024, arXiv 2411.13010) has parameters p = {alpha_p, alpha_n, beta,
// eps}, alpha_p and alpha_n already through their softplus:
//   v > 0: alpha_p v^2 + beta v;   else: (expm1(min(v, eps)) - v) (beta + alpha_n) + beta v
enum kn_activation { KN_IDENTITY, KN_SILU, KN_GELU_ERF, KN_GELU_TANH, KN_RELU, KN_XIELU };
struct kn_product {
    struct kn_matrix y, x, w;
    const float *bias;
    enum kn_activation activation;
    const float *parameters; // [4] of KN_XIELU, NULL otherwise; host memory
};

// A product per group, as the experts of a layer are: product.w is `groups` matrices of
// product.y.cols rows, one below the other, and group g's meets the rows first[g] - first[0] ...
// first[g + 1] - first[0] of product.x and product.y, no rows if they are equal. product.bias is
// NULL. Groups are computed side by side where the backend has room for them.
struct kn_grouped_product {
    struct kn_product product;
    const int64_t *first; // [groups + 1], ascending; host memory
    int64_t groups;
};

// y[n,d] = normalise(x[n,d] + addend[n,d]) * weight[d] + bias[d]; the sum in f32.
//   RMSNorm   (Zhang & Sennrich 2019): v / sqrt(mean(v^2) + epsilon)
//   LayerNorm (Ba et al. 2016):        (v - mean(v)) / sqrt(var(v) + epsilon), population variance
//   no norm:                           v as it is, weight and bias unused
// addend.data may be NULL (no addend); weight and bias f32, NULL = ones and zeros. x and addend
// are f32 (the residual stream), y has the activation type or is f32.
enum kn_norm_kind { KN_RMS_NORM, KN_LAYER_NORM, KN_NO_NORM };
struct kn_norm {
    struct kn_matrix y, x, addend;
    enum kn_norm_kind kind;
    const float *weight, *bias;
    float epsilon;
};

// Heads lying side by side in a matrix: head h of a row is the columns first_col + h * pitch +
// [0, dim). pitch >= dim; a pitch of 0 means that all heads are the same columns, which only ops
// that read them take (KN_ESHAPE where two heads would be written).
struct kn_heads {
    struct kn_matrix x;
    int64_t first_col, count, pitch, dim;
};

// In place: rotates heads (Su et al. 2021, RoFormer, eq. 34). The first 2*pairs entries of each
// head turn, the rest pass. cos, sin: f32 [seq_len, pairs]. Half-split pairs entry i with i +
// pairs, interleaved pairs 2i with 2i + 1.
enum kn_rope_kind { KN_ROPE_HALF_SPLIT, KN_ROPE_INTERLEAVED };
struct kn_rope {
    struct kn_heads heads;
    int64_t pairs, seq_len;
    const float *cos, *sin;
    enum kn_rope_kind kind;
};

// In place: normalises each head of each row on its own, with weight and bias [dim] shared by all
// heads or, where weight_pitch == dim, one per head (f32; NULL = ones and zeros).
struct kn_head_norm {
    struct kn_heads heads;
    enum kn_norm_kind kind;
    const float *weight, *bias;
    int64_t weight_pitch; // 0 or dim
    float epsilon;
};

// y's heads = x's heads, entry by entry; where x has one head and y several, all get it. y and x
// are different matrices of one type, any; the counts of rows and dim agree.
struct kn_copy_heads {
    struct kn_heads y, x;
};

// Causal grouped-query attention (Vaswani et al. 2017; Ainslie et al. 2023), sequence by sequence:
//   s_ij = scale * q[i,h] . k[j,g] + slopes[h] * (j - i),   g = h / (q.count / k.count)
//   s_ij = softcap * tanh(s_ij / softcap)                   where softcap > 0 (Gemma 2)
//   y[i,h] = sum_j softmax_j(s_ij) v[j,g],   j <= i and, where window > 0, j > i - window
// slopes: ALiBi (Press et al. 2022), f32 [q.count] in host memory, NULL = none. With
// slopes_bf16 (Falcon), slopes[h] * (j - i) is scale * (b(j) - b(i)), where b(p) = slopes[h] * p,
// p and the product rounded to bf16. y[n, q.count * v.dim]; q.dim == k.dim, v.dim may differ
// (multi-head latent attention). Scores exist only as a tile per thread (online softmax, Milakov &
// Gimelshein 2018); n is a multiple of seq_len. Keys that no query of a tile sees are not computed.
struct kn_attention {
    struct kn_matrix y;
    struct kn_heads q, k, v;
    int64_t seq_len, window; // window 0: none
    float scale, softcap;    // softcap 0: none
    const float *slopes;
    bool slopes_bf16;
};

// y[n,f] = activation(x[n, 0:f]) * x[n, f:2f]  (GLU variants, Shazeer 2020). y may be x's first
// half in place. Not KN_XIELU.
struct kn_gate {
    struct kn_matrix y, x;
    enum kn_activation activation;
};

// The sufficient statistics of a residual add, per token, f64 accumulation of f32 values:
//   v = x + x_addend,  e = delta + delta_addend  (each sum rounded to f32 as the stream itself is)
//   xx[n] = v.v,  xd[n] = v.e,  dd[n] = e.e
// addends may have data == NULL. x f32; delta f32.
struct kn_statistics {
    double *xx, *xd, *dd; // [n]
    struct kn_matrix x, x_addend, delta, delta_addend;
};

// In place: x[n,d] += delta[n,d] + delta_addend[n,d] (data == NULL: absent); delta is summed first.
struct kn_add {
    struct kn_matrix x, delta, delta_addend;
};

// The end of a block in one pass over its streams: the statistics of its three residual adds, then
// x += attention + mlp. Row r of add a has its statistics at [a * n + r]:
//   KN_ADD_ATTENTION: x, attention   KN_ADD_MLP: x + attention (parallel: x), mlp
//   KN_ADD_BLOCK: x, attention + mlp
// Sums are rounded to f32 as in kn_statistics and kn_add: the same bits as those ops one by one.
enum kn_residual_add { KN_ADD_ATTENTION, KN_ADD_MLP, KN_ADD_BLOCK, KN_RESIDUAL_ADDS };
struct kn_block_end {
    double *xx, *xd, *dd; // [KN_RESIDUAL_ADDS, n]
    struct kn_matrix x, attention, mlp;
    bool parallel;
};

// What the statistics of residual adds say, summed over the tokens of each sequence. Per token,
// with a = xx, b = xd, e = dd and y = x + delta:
//   cos(x, y)      = (a + b) / sqrt(a (a + 2b + e))
//   importance     = 1 - cos, without cancellation: sin^2 / (1 + cos) where cos >= 0, with
//                    sin^2 = (a e - b^2) / (a (a + 2b + e))
//   update ratio   = sqrt(e / a)
//   alignment      = b / sqrt(a e); 0 where delta is exactly 0
// Tokens with a non-finite statistic, or with x = 0 or y = 0, where there is no angle, are counted
// as non-finite and left out of everything else. Histograms: a value belongs to the last bin that
// starts at or below it, to bin 0 when there is none.
enum {
    KN_SUM_COS,
    KN_SUM_IMPORTANCE,
    KN_SUM_RATIO,
    KN_SUM_ALIGNMENT,
    KN_SUM_XX,
    KN_SUM_XD,
    KN_SUM_DD,
    KN_SUM_NORM, // of x: sqrt(a)
    KN_SUMS
};
enum {
    KN_COUNT_FINITE,
    KN_COUNT_NONFINITE,
    KN_COUNT_FIRST, // position of the first non-finite token; seq_len: none
    KN_COUNTS
};
struct kn_summary {
    double *sums;      // [sequences, KN_SUMS + position_bins]: then importance by position bin
    uint32_t *counts;  // [sequences, KN_COUNTS + bins + position_bins]: then the histogram of
                       // importance and the finite tokens by position bin
    float *importance; // [sequences * seq_len], NaN where non-finite; or NULL
    const double *xx, *xd, *dd; // [sequences * seq_len]
    int64_t sequences, seq_len;
    const double *bin_starts;    // [bins], ascending
    const int32_t *position_bin; // [seq_len], not descending
    int64_t bins, position_bins;
};

// to[i] = from[i] for i < count, rounded to nearest even. The types differ.
struct kn_conversion {
    void *to;
    const void *from;
    enum kn_type to_type, from_type;
    int64_t count;
};

// y[r,:] = scale * table[ids[r] - first_id, :] for the rows whose id lies in [first_id, first_id +
// table.rows), or y[r,:] += that where `accumulate`; other rows are left as they are. y f32.
struct kn_embed {
    struct kn_matrix y, table;
    const int32_t *ids; // [n]
    int64_t first_id;
    float scale;
    bool accumulate;
};

// In place: x = min(max(factor * x, -limit), limit); limit INFINITY: no clamp. NaN stays NaN, but a
// factor of 0 gives 0 whatever x was. x has the activation type or is f32.
struct kn_scale {
    struct kn_matrix x;
    float factor, limit;
};

// y[i,:] = x[rows[i],:] for i < y.rows (experts: the tokens routed to them). Any one type.
struct kn_gather {
    struct kn_matrix y, x;
    const int32_t *rows; // [y.rows], backend memory
};

// In place, what experts add to their tokens: y[r,:] += weights[r,k] * x[positions[r,k] - first,:]
// for k = 0, 1, ... used - 1, one after the other, where first <= positions[r,k] < first + x.rows;
// other positions are left out. y and x f32.
struct kn_combine {
    struct kn_matrix y, x;
    const int32_t *positions; // [y.rows, used], backend memory
    const float *weights;     // [y.rows, used], backend memory
    int64_t used, first;
};

// One panel of the head, for the loss without ever holding all logits:
//   z[r, c] = scale * (x[r,:] . w[c,:] + bias[c]),  c in the panel's vocabulary rows [first_id,
//   first_id + w.rows);  z = softcap * tanh(z / softcap) where softcap > 0
//   maximum[r], sum[r]: running max and sum of exp(z - max) over the panels so far
//   target[r]: z of targets[r] once its panel has passed; targets[r] < 0: no target
// kn_loss_begin sets maximum = -infinity, sum = 0, target = 0; after all panels
//   loss = maximum + log(sum) - target.
struct kn_loss {
    double *maximum, *sum, *target; // [n]
    struct kn_matrix x, w;
    const float *bias;      // [w.rows] or NULL
    const int32_t *targets; // [n]
    int64_t first_id;
    float scale, softcap; // softcap 0: none
};

// Orders in which work is done. Ops, uploads and downloads form one; copies ahead another, so that
// weights arrive while ops compute; the host is the third. Events, small integers, tie them:
// `record` marks what a lane has been given so far, `await` lets a lane go on only when that is
// done. An event that was never recorded is not waited for.
enum kn_lane { KN_LANE_OPS, KN_LANE_COPIES, KN_LANE_HOST };
enum { KN_EVENTS = 16 };

struct kn_backend;

// The table. `self` is the handle; entries are never NULL.
struct kn_ops {
    const char *name;
    // Memory of the backend, 64-byte aligned; upload and download copy from and to host memory.
    enum kn_status (*alloc)(struct kn_backend *self, void **memory_p, size_t bytes);
    void (*free)(struct kn_backend *self, void *memory);
    enum kn_status (*upload)(struct kn_backend *self, void *to, const void *from, size_t bytes);
    enum kn_status (*download)(struct kn_backend *self, void *to, const void *from, size_t bytes);
    enum kn_status (*sync)(struct kn_backend *self);
    // Host memory for copies that overlap with ops: page-locked where the backend has a device.
    // From any thread.
    enum kn_status (*host_alloc)(struct kn_backend *self, void **memory_p, size_t bytes);
    void (*host_free)(struct kn_backend *self, void *memory);
    // An upload in KN_LANE_COPIES; `from` is host_alloc's and stays as it is until the copy is
    // done.
    enum kn_status (*copy_ahead)(struct kn_backend *self, void *to, const void *from, size_t bytes);
    enum kn_status (*record)(struct kn_backend *self, enum kn_lane lane, int event);
    enum kn_status (*await)(struct kn_backend *self, enum kn_lane lane, int event);
    // Seconds from event `from` to event `to`, which is done; 0 where `from` is not done yet or
    // came later, and where no times are kept.
    double (*lag)(struct kn_backend *self, int from, int to);

    enum kn_status (*product)(struct kn_backend *self, const struct kn_product *op);
    enum kn_status (*grouped_product)(struct kn_backend *self, const struct kn_grouped_product *op);
    enum kn_status (*norm)(struct kn_backend *self, const struct kn_norm *op);
    enum kn_status (*rope)(struct kn_backend *self, const struct kn_rope *op);
    enum kn_status (*attention)(struct kn_backend *self, const struct kn_attention *op);
    enum kn_status (*head_norm)(struct kn_backend *self, const struct kn_head_norm *op);
    enum kn_status (*copy_heads)(struct kn_backend *self, const struct kn_copy_heads *op);
    enum kn_status (*scale)(struct kn_backend *self, const struct kn_scale *op);
    enum kn_status (*gather)(struct kn_backend *self, const struct kn_gather *op);
    enum kn_status (*combine)(struct kn_backend *self, const struct kn_combine *op);
    enum kn_status (*gate)(struct kn_backend *self, const struct kn_gate *op);
    enum kn_status (*statistics)(struct kn_backend *self, const struct kn_statistics *op);
    enum kn_status (*add)(struct kn_backend *self, const struct kn_add *op);
    enum kn_status (*block_end)(struct kn_backend *self, const struct kn_block_end *op);
    enum kn_status (*summary)(struct kn_backend *self, const struct kn_summary *op);
    enum kn_status (*convert)(struct kn_backend *self, const struct kn_conversion *op);
    enum kn_status (*embed)(struct kn_backend *self, const struct kn_embed *op);
    enum kn_status (*loss)(struct kn_backend *self, const struct kn_loss *op);
    void (*close)(struct kn_backend *self);
};

// A handle: the table first, so that callers write kn->ops->product(kn, &op).
struct kn_backend {
    const struct kn_ops *ops;
    enum kn_type activation_type;     // what norm, product, attention and gate write
    bool unified;                     // backend memory is host memory: no upload needed
    int threads;                      // host threads used, 1 on a device
    size_t memory_free, memory_total; // bytes of the device when it was opened; 0: the host's own
    char description[128];            // library, kernel family, version: recorded with the results
    char error[256];                  // the last KN_EDEVICE in words, "" if none
};

enum kn_kind { KN_REFERENCE, KN_CPU, KN_CUDA };

struct kn_options {
    int threads;       // of the host; 0: as many as the affinity mask allows
    enum kn_type type; // of activations; host backends know KN_F32 alone
    int device;        // index among the visible ones
    char *error;       // [256], why opening failed, in words; or NULL
};

// Devices that this build and this machine offer; 0 without CUDA or without a driver.
int kn_device_count(void);

// One of them. `identity` is its UUID (of a part of a divided device, the part's), the same in
// every process that sees it, whatever its index there.
struct kn_device {
    char name[64];
    unsigned char identity[16];
};
enum kn_status kn_device_describe(struct kn_device *device, int index);

// Opens a backend; options may be NULL: all zero. KN_EUNSUPPORTED when this build lacks the kind or
// the type. Close with kn->ops->close(kn).
enum kn_status kn_open(struct kn_backend **kn_p, enum kn_kind kind,
                       const struct kn_options *options);

// The state of a loss before its first panel; reads op->x.rows and the three pointers. Waits.
enum kn_status kn_loss_begin(struct kn_backend *kn, const struct kn_loss *op);

// Seconds that one product y[n,m] = x[n,k] w[m,k]^T of this backend takes, all in the activation
// type, the best of several on random data: the ceiling that runs are compared with. Negative when
// it fails.
double kn_product_seconds(struct kn_backend *kn, int64_t n, int64_t m, int64_t k);

const char *kn_status_text(enum kn_status status);

#endif

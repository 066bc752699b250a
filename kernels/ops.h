// SPDX-License-Identifier: Apache-2.0
#ifndef KN_OPS_H
#define KN_OPS_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/backend.h"

// The ops a transformer's forward pass is made of: kn->ops->NAME(kn, &operands).
//
// Conventions for every op, those of kernels/measure.h included:
//  - output first, as in y = f(x); outputs must not alias inputs unless the op says "in place";
//  - every pointer is memory of the backend (its alloc) unless host memory is said, and stays the
//    caller's; matrices are row-major, one token a row;
//  - "activations" are matrices of the backend's activation type (the CPU: f32);
//  - KN_ESHAPE before anything is written where shapes or types are not as said, where an option
//    is out of its range, or where heads reach over their matrix; KN_EUNSUPPORTED where a size is
//    beyond what the backend computes; KN_ENOMEM where it has no scratch; KN_EDEVICE;
//  - all calls are asynchronous where the backend is; its sync waits. None is thread-safe per
//    backend handle;
//  - results depend neither on the number of threads nor on timing: work is cut on a fixed grid,
//    each cell computed by one thread, partial results combined in a fixed order.

// A row-major matrix in the backend's memory; `stride` is the distance of rows in elements.
// data == NULL: absent, where an op allows that.
struct kn_matrix {
    void *data;
    enum kn_type type;
    int64_t rows, cols, stride;
};

static inline struct kn_matrix kn_matrix(void *data, enum kn_type type, int64_t rows,
                                         int64_t cols) {
    return (struct kn_matrix){data, type, rows, cols, cols};
}

// ---- products ----------------------------------------------------------------------------------

// y[n,m] = activation(x[n,k] * w[m,k]^T + bias[m]), accumulated in f32.
// x activations, y those or f32, w any type (fastest in the activation type), bias f32 or NULL. w
// of another type than x is rounded to x's where that is of 16 bits. Where y is of 16 bits, the
// bias is rounded to them first and the activation sees the rounded sum, as in other
// implementations.
// KN_XIELU (Huang & Schlag 2024, arXiv 2411.13010) has parameters p = {alpha_p, alpha_n, beta,
// eps}, alpha_p and alpha_n already through their softplus:
//   v > 0: alpha_p v^2 + beta v;   else: (expm1(min(v, eps)) - v) (beta + alpha_n) + beta v
enum kn_activation {
    KN_IDENTITY,
    KN_SILU,
    KN_GELU_ERF,
    KN_GELU_TANH,
    KN_RELU,
    KN_RELU_SQUARED,
    KN_XIELU
};
struct kn_product {
    struct kn_matrix y, x, w;
    const float *bias;
    enum kn_activation activation;
    const float *parameters; // [4] of KN_XIELU, NULL otherwise; host memory
};

// A product per group, as the experts of a layer are (without `first` one group of all rows):
// product.w is `groups` matrices of product.y.cols rows, one below the other, and group g's meets
// the rows first[g] - first[0] ... first[g + 1] - first[0] of product.x and product.y, no rows if
// they are equal. These have room for as many rows or more; what the rows behind hold afterwards is
// undefined. product.bias is [groups, product.y.cols], or NULL; with it there is no activation and
// no `gated`. Where `gated` is there, it gets kn_gate of product.y by `gate`,
// and what product.y holds afterwards is undefined: a backend may never write it. Then
// product.activation is KN_IDENTITY.
struct kn_grouped_product {
    struct kn_product product;
    const int64_t *first; // [groups + 1], ascending, which host memory is checked for; or NULL
    int64_t groups;
    struct kn_matrix gated; // [rows, product.y.cols / 2], activations; or absent
    enum kn_activation gate;
};

// y[n,f] = activation(x[n, 0:f]) * x[n, f:2f]  (GLU variants, Shazeer 2020), activations. y may be
// x's first half in place. KN_EUNSUPPORTED for KN_XIELU. With a limit above 0 (gpt-oss, arXiv
// 2508.10925, section 2) the activation is not used, and
//   g = min(x[n, 0:f], limit)
//   y = g / (1 + exp(-slope * g)) * (1 + min(max(x[n, f:2f], -limit), limit))
struct kn_gate {
    struct kn_matrix y, x;
    enum kn_activation activation;
    float limit, slope;
};

// ---- norms -------------------------------------------------------------------------------------

// y[n,d] = normalise(x[n,d] + addend[n,d]) * weight[d] + bias[d]; the sum in f32.
//   RMSNorm   (Zhang & Sennrich 2019): v / sqrt(mean(v^2) + epsilon)
//   LayerNorm (Ba et al. 2016):        (v - mean(v)) / sqrt(var(v) + epsilon), population variance
//   no norm:                           v as it is, weight and bias unused
// addend may be absent; weight and bias f32, NULL = ones and zeros. x and addend are f32 (the
// residual stream), y activations or f32.
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

// In place: normalises each head of each row on its own, with weight and bias [dim] shared by all
// heads or, where weight_pitch == dim, one per head (f32; NULL = ones and zeros). Activations.
struct kn_head_norm {
    struct kn_heads heads;
    enum kn_norm_kind kind;
    const float *weight, *bias;
    int64_t weight_pitch; // 0 or dim
    float epsilon;
};

// ---- positions and attention -------------------------------------------------------------------

// Which positions the rows of activations are: sequences of equal length follow each other, each of
// `queries` rows, positions first, first + 1, ..., that meet `keys` rows of keys and values,
// positions 0, 1, .... So first + queries <= keys; keys behind the last query are never read, which
// leaves room in a cache of keys that grows.
struct kn_sequences {
    int64_t queries; // rows of a sequence, 1 or more
    int64_t keys;    // rows of its keys and values; not used where an op has none
    int64_t first;   // position of its first row, 0 or more
};

// Sequences as a whole, from their first position to their last, as they are without a cache.
static inline struct kn_sequences kn_whole_sequences(int64_t length) {
    return (struct kn_sequences){length, length, 0};
}

// In place: rotates heads (Su et al. 2021, RoFormer, eq. 34), activations. The first 2*pairs
// entries of each head turn, the rest pass. cos, sin: f32 [first + queries, pairs], a row a
// position. Half-split pairs entry i with i + pairs, interleaved pairs 2i with 2i + 1. Where
// `positions` is given, each row has its own, whatever `sequences` says; the tables reach to the
// last.
enum kn_rope_kind { KN_ROPE_HALF_SPLIT, KN_ROPE_INTERLEAVED };
struct kn_rope {
    struct kn_heads heads;
    struct kn_sequences sequences;
    int64_t pairs;
    const float *cos, *sin;
    enum kn_rope_kind kind;
    const int32_t *positions; // [heads.x.rows], or NULL
};

// Causal grouped-query attention (Vaswani et al. 2017; Ainslie et al. 2023), sequence by sequence:
//   s_ij = scale * q[i,h] . k[j,g] + slopes[h] * (j - i),   g = h / (q.count / k.count)
//   s_ij = softcap * tanh(s_ij / softcap)                   where softcap > 0 (Gemma 2)
//   y[i,h] = sum_j softmax_j(s_ij) v[j,g],   j <= i and, where window > 0, j > i - window or, with
//   chunks (Llama 4), j >= i - i % window
//   where there are sinks, the softmax's sum also has exp(sinks[h]), whose value is 0 (Xiao et al.
//   2023, arXiv 2309.17453; gpt-oss, arXiv 2508.10925)
// with i and j positions, i of a query and j of a key. Activations: y and q have `queries` rows a
// sequence, k and v `keys`.
// slopes: ALiBi (Press et al. 2022), f32 [q.count] in host memory, NULL = none. With
// slopes_bf16 (Falcon), slopes[h] * (j - i) is scale * (b(j) - b(i)), where b(p) = slopes[h] * p,
// p and the product rounded to bf16. y[n, q.count * v.dim]; q.dim == k.dim, v.dim may differ
// (multi-head latent attention). Scores exist only as a tile per thread (online softmax, Milakov &
// Gimelshein 2018). Keys that no query of a tile sees are not computed.
struct kn_attention {
    struct kn_matrix y;
    struct kn_heads q, k, v;
    struct kn_sequences sequences;
    int64_t window;       // 0: none
    bool chunks;          // the window is as long as chunks, which no query sees beyond
    float scale, softcap; // softcap 0: none
    const float *slopes;
    bool slopes_bf16;
    const float *sinks; // [q.count], or NULL
};

// The first key that the query at a position sees.
static inline int64_t kn_first_key(const struct kn_attention *op, int64_t position) {
    if (op->window == 0)
        return 0;
    if (op->chunks)
        return position - position % op->window;
    return position < op->window ? 0 : position - op->window + 1;
}

// Attention of single queries over a cache, as texts are continued with: what kn_attention computes
// for the query at position positions[r] of sequence sequences[r], row r of y and q. The key and
// the value of position j of sequence s are row s * keys + j % keys of k and v, so that a cache
// behind a window need be no longer than that. No query sees more than `keys` of them; `attention`
// has the rest of the operands, its sequences are not used. Keys are cut on a fixed grid.
struct kn_decode_attention {
    struct kn_attention attention;
    int64_t keys;                         // rows of a sequence in k and v
    const int32_t *positions, *sequences; // [y.rows]
};

// y[r,h] = x[r,h] w_h or, with `transposed`, x[r,h] w_h^T: each head of x meets a matrix of its
// own, as where attention is over latents and heads' keys and values are not made (DeepSeek-AI
// 2024, arXiv 2405.04434, section 2.1.2). w_h is the rows of w from first_row + h * row_pitch on:
//   y[r,h,j] = sum_i x[r,h,i] w[first_row + h * row_pitch + i, j]     x.dim rows, y.dim == w.cols
//   y[r,h,j] = sum_i x[r,h,i] w[first_row + h * row_pitch + j, i]     y.dim rows, x.dim == w.cols
// in f32. Activations, w any type, of another than x rounded as a product's is.
struct kn_head_product {
    struct kn_heads y, x;
    struct kn_matrix w;
    int64_t first_row, row_pitch;
    bool transposed;
};

// ---- state spaces ------------------------------------------------------------------------------

// y[r,c] = activation(bias[c] + sum_t weight[c,t] * x[r - taps + 1 + t, c]), t < taps: each column
// by itself along its sequence, rows before the first counting as 0. Rows are sequences of `length`
// rows, one after the other. y and x activations of different memory; weight f32 [cols, taps], bias
// f32 [cols] or NULL. KN_EUNSUPPORTED for KN_XIELU.
struct kn_convolution {
    struct kn_matrix y, x;
    const float *weight, *bias;
    int64_t length, taps;
    enum kn_activation activation;
};

// The selective state space of Mamba-2 (Dao & Gu 2024, arXiv 2405.21060, section 2.1), sequence by
// sequence and head by head, as the recurrence over positions t that it is:
//   step = min(max(log(1 + exp(dt[t,h] + dt_bias[h])), low), high)
//   S    = exp(-exp(a_log[h]) * step) * S + step * x[t,h] b[t,g]^T     [x.dim, b.dim], 0 at first
//   y[t,h] = S c[t,g] + d[h] * x[t,h],   g = h / (x.count / b.count)
// Activations; y and x have the same heads, b and c too, dt is a head of one entry for each of x's.
// y may be x in place, where its matrix has b's, c's and dt's heads elsewhere. a_log, d and dt_bias
// f32 [x.count]. S is f32. KN_EUNSUPPORTED where b.dim is beyond what a device keeps in registers.
struct kn_scan {
    struct kn_heads y, x, b, c, dt;
    const float *a_log, *d, *dt_bias;
    float low, high;
    int64_t length;
};

// ---- experts -----------------------------------------------------------------------------------

// Rows that only the backend knows: [*begin, *end), both in its memory. Absent: begin == NULL.
struct kn_range {
    const int64_t *begin, *end;
};

// Which experts the rows go to, and the rows in the experts' order.
//   p = softmax(logits[r,:]), or with `sigmoid` p[e] = 1 / (1 + exp(-logits[r,e]))
//   s = p + correction
// With groups > 1 the experts are so many groups side by side. Only those of the groups_used best
// groups are eligible: best by the highest p of a group, or with `sigmoid` by the sum of its two
// highest s. The others' p is 0, with `sigmoid` their s is -infinity (DeepSeek-V2 and V3, arXiv
// 2405.04434, 2412.19437).
// The row's experts are the `used` highest s, NaN being highest and of equals the lower index
// first; ascending they are e(r,0), e(r,1), ...
//   weights[r,k] = scale * p[e(r,k)], over the sum of the row's p where `normalise`
//   rows: all r by (e(r,k), r); positions[r,k] says where r stands there because of e(r,k), and
//   first[e] where the rows of expert e begin, first[experts] where they end
//   shared_weights[r] = 1 / (1 + exp(-shared_gates[r])), 1 without gates: the shared expert's
struct kn_route {
    int32_t *rows;           // [logits.rows * used]
    int32_t *positions;      // [logits.rows, used]
    float *weights;          // [logits.rows, used]
    int64_t *first;          // [logits.cols + 1]
    float *shared_weights;   // [logits.rows], or NULL
    struct kn_matrix logits; // f32; what it holds afterwards is undefined
    const float *correction; // [logits.cols], or NULL: zeros, as with groups without `sigmoid`
    const float *shared_gates;
    int64_t used, groups, groups_used;
    bool sigmoid, normalise;
    float scale;
};
enum { KN_MAX_EXPERTS = 4096, KN_MAX_EXPERT_GROUPS = 1024 }; // more: KN_EUNSUPPORTED

// ---- moves -------------------------------------------------------------------------------------

// y's heads = x's heads, entry by entry; where x has one head and y several, all get it. y and x
// are different matrices of one type, any; dim agrees. Row r of x is for row r of y, which has as
// many; or, where `rows` is given, for row rows[r], each at most once, and for none where that is
// below 0.
struct kn_copy_heads {
    struct kn_heads y, x;
    const int32_t *rows; // [x.x.rows], or NULL
};

// Queries and keys as they are rotated, and keys and values as they are then put into a cache, one
// after the other: kn_rope with q, kn_rope with k, kn_copy_heads with keys and with values. keys.x
// are the heads of k.
struct kn_keep {
    struct kn_rope q, k;
    struct kn_copy_heads keys, values;
};

// In place: x = min(max(factor * x, -limit), limit); limit INFINITY: no clamp. NaN stays NaN, but a
// factor of 0 gives 0 whatever x was. x activations or f32.
struct kn_scale {
    struct kn_matrix x;
    float factor, limit;
};

// y[i,:] = x[rows[i],:] for i < y.rows (experts: the tokens routed to them). Any one type. With a
// range, y[i,:] = x[rows[range.begin + i],:] for those of its rows that y has room for. With
// weights times weights[r,k], where r is the row of x and k is where positions[r,k] names its place
// in rows, as kn_route has them.
struct kn_gather {
    struct kn_matrix y, x;
    const int32_t *rows; // [y.rows], or as many as the range reaches to
    struct kn_range range;
    const float *weights;     // [x.rows, used], or NULL
    const int32_t *positions; // [x.rows, used], with weights
    int64_t used;
};

// In place, what experts add to their tokens: y[r,:] += weights[r,k] * x[positions[r,k] - begin,:]
// for k = 0, 1, ... used - 1, one after the other, where begin <= positions[r,k] < end; other
// positions are left out. begin and end are the range's, and 0 and x.rows without one; x has end -
// begin rows or more. y and x f32.
struct kn_combine {
    struct kn_matrix y, x;
    const int32_t *positions; // [y.rows, used]
    const float *weights;     // [y.rows, used], or NULL: 1
    int64_t used;
    struct kn_range range;
};

// to[i] = from[i] for i < count, rounded to nearest even. The types differ.
struct kn_conversion {
    void *to;
    const void *from;
    enum kn_type to_type, from_type;
    int64_t count;
};

// y[r,:] = scale * table[ids[r] - first_id, :] for the rows whose id lies in [first_id, first_id +
// table.rows), or y[r,:] += that where `accumulate`; other rows are left as they are. y f32, the
// table any type.
struct kn_embed {
    struct kn_matrix y, table;
    const int32_t *ids; // [n]
    int64_t first_id;
    float scale;
    bool accumulate;
};

#endif

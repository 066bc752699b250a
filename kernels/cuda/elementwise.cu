// SPDX-License-Identifier: Apache-2.0
// Ops that touch each element once: rotary embedding, gates, clamps, copies and conversions.
#include "activation.cuh"
#include "products.h"
#include "turn.cuh"

constexpr int THREADS = 256;

// The element at which a thread stands, and how many there are in a grid's stride.
__device__ static int64_t here(void) {
    return (int64_t)blockIdx.x * THREADS + threadIdx.x;
}

static unsigned blocks_for(int64_t count) {
    return blocks_of(count, THREADS);
}

// ---- rotary embedding --------------------------------------------------------------------------

// Half-split pairs: WIDTH of them a thread, entries i.. and pairs + i.. INDEX: of 32 bits where
// that is enough, for divisions of 64 cost more than all else here.
template <typename T, int WIDTH, typename INDEX>
__global__ void rope_halves(struct kn_rope op, INDEX count) {
    INDEX at = (INDEX)blockIdx.x * THREADS + threadIdx.x;
    INDEX groups = (INDEX)(op.pairs / WIDTH), heads = (INDEX)op.heads.count;
    if (at >= count)
        return;
    INDEX row = at / groups / heads, head = at / groups % heads, i = at % groups * WIDTH;
    int64_t position = op.positions
                           ? op.positions[row]
                           : op.sequences.first + (int64_t)(row % (INDEX)op.sequences.queries);
    int64_t table = position * op.pairs + (int64_t)i;
    T *x = (T *)op.heads.x.data + (int64_t)row * op.heads.x.stride + op.heads.first_col +
           (int64_t)head * op.heads.pitch + (int64_t)i;
    pack<T, WIDTH> a = load<T, WIDTH>(x), b = load<T, WIDTH>(x + op.pairs);
#pragma unroll
    for (int j = 0; j < WIDTH; j++)
        turn(&a.v[j], &b.v[j], op.cos[table + j], op.sin[table + j]);
    store(x, a);
    store(x + op.pairs, b);
}

template <typename T, int WIDTH>
static void launch_halves(cudaStream_t stream, const struct kn_rope *op, int64_t count) {
    if (count < INT32_MAX)
        rope_halves<T, WIDTH, uint32_t>
            <<<blocks_for(count), THREADS, 0, stream>>>(*op, (uint32_t)count);
    else
        rope_halves<T, WIDTH, int64_t><<<blocks_for(count), THREADS, 0, stream>>>(*op, count);
}

template <typename T> __global__ void rope_interleaved(struct kn_rope op, int64_t count) {
    int64_t at = here();
    if (at >= count)
        return;
    int64_t i = at % op.pairs, head = at / op.pairs % op.heads.count;
    int64_t row = at / op.pairs / op.heads.count;
    int64_t position =
        op.positions ? op.positions[row] : op.sequences.first + row % op.sequences.queries;
    int64_t table = position * op.pairs + i;
    T *x = (T *)op.heads.x.data + row * op.heads.x.stride + op.heads.first_col +
           head * op.heads.pitch + 2 * i;
    turn(&x[0], &x[1], op.cos[table], op.sin[table]);
}

// Whether the halves of every head can be read in packs of `width`.
static bool has_packed_halves(const struct kn_rope *op, int64_t width) {
    const struct kn_heads *h = &op->heads;
    const char *first = (const char *)h->x.data + (size_t)h->first_col * kn_type_size(h->x.type);
    return is_packable(first, h->x.stride, op->pairs, h->x.type, width) &&
           (h->pitch % width == 0 || h->count == 1);
}

enum kn_status cuda_rope(struct kn_backend *self, const struct kn_rope *op) {
    KN_TRY(kn_check_rope(op, self->activation_type));
    int64_t pairs = op->heads.x.rows * op->heads.count * op->pairs;
    if (!pairs)
        return KN_OK;
    cudaStream_t stream = cuda_of(self)->ops;
    by_type(op->heads.x.type, [&](auto zero) {
        using T = decltype(zero);
        constexpr int WIDTH = 16 / sizeof(T);
        if (op->kind == KN_ROPE_INTERLEAVED)
            rope_interleaved<T><<<blocks_for(pairs), THREADS, 0, stream>>>(*op, pairs);
        else if (has_packed_halves(op, WIDTH))
            launch_halves<T, WIDTH>(stream, op, pairs / WIDTH);
        else
            launch_halves<T, 1>(stream, op, pairs);
    });
    return cuda_launched(self, "rotary embedding");
}

// ---- gates and clamps --------------------------------------------------------------------------

struct gate_options {
    enum kn_activation activation;
    float limit, slope;
};

template <typename W> __device__ static W gated_of(const gate_options &o, W v, W up) {
    const struct activation_parameters none = {};
    W limit = o.limit;
    if (!(o.limit > 0))
        return activate<W>(o.activation, none, v) * up;
    v = v > limit ? limit : v;
    up = up > limit ? limit : up < -limit ? -limit : up;
    return v * logistic((W)o.slope * v) * ((W)1 + up);
}

template <typename T, int WIDTH>
__global__ void gate_packs(T *y, int64_t y_stride, const T *x, int64_t x_stride, int64_t cols,
                           int64_t count, gate_options options) {
    using W = typename wide<T>::type;
    int64_t at = here(), packs = cols / WIDTH;
    if (at >= count)
        return;
    int64_t row = at / packs, c = at % packs * WIDTH;
    const T *from = x + row * x_stride + c;
    pack<T, WIDTH> gate = load<T, WIDTH>(from), up = load<T, WIDTH>(from + cols);
#pragma unroll
    for (int i = 0; i < WIDTH; i++)
        gate.v[i] = from_float<T>(
            (float)gated_of<W>(options, (W)to_float(gate.v[i]), (W)to_float(up.v[i])));
    store(y + row * y_stride + c, gate);
}

enum kn_status cuda_gate(struct kn_backend *self, const struct kn_gate *op) {
    KN_TRY(kn_check_gate(op, self->activation_type));
    int64_t count = op->y.rows * op->y.cols;
    if (!count)
        return KN_OK;
    by_type(op->y.type, [&](auto zero) {
        using T = decltype(zero);
        constexpr int WIDTH = 16 / sizeof(T);
        bool packed = is_packable(&op->y, WIDTH) && is_packable(&op->x, WIDTH);
        int64_t items = packed ? count / WIDTH : count;
        auto kernel = packed ? gate_packs<T, WIDTH> : gate_packs<T, 1>;
        kernel<<<blocks_for(items), THREADS, 0, cuda_of(self)->ops>>>(
            (T *)op->y.data, op->y.stride, (const T *)op->x.data, op->x.stride, op->y.cols, items,
            gate_options{op->activation, op->limit, op->slope});
    });
    return cuda_launched(self, "the gate");
}

template <typename T>
__global__ void scale_elements(T *x, int64_t stride, int64_t cols, int64_t count, float factor,
                               float limit) {
    int64_t at = here();
    if (at >= count)
        return;
    T *element = x + at / cols * stride + at % cols;
    float v = factor == 0 ? 0 : factor * to_float(*element);
    v = v > limit ? limit : v;
    *element = from_float<T>(v < -limit ? -limit : v);
}

enum kn_status cuda_scale(struct kn_backend *self, const struct kn_scale *op) {
    KN_TRY(kn_check_scale(op, self->activation_type));
    int64_t count = op->x.rows * op->x.cols;
    if (!count)
        return KN_OK;
    by_type(op->x.type, [&](auto zero) {
        using T = decltype(zero);
        scale_elements<<<blocks_for(count), THREADS, 0, cuda_of(self)->ops>>>(
            (T *)op->x.data, op->x.stride, op->x.cols, count, op->factor, op->limit);
    });
    return cuda_launched(self, "a scaling");
}

// ---- copies ------------------------------------------------------------------------------------

// E: anything of the element's size.
template <typename E>
__global__ void copy_head_elements(E *y, const E *x, struct kn_copy_heads op, int64_t count) {
    int64_t at = here(), dim = op.y.dim;
    if (at >= count)
        return;
    int64_t i = at % dim, head = at / dim % op.y.count, row = at / dim / op.y.count;
    int64_t from = op.x.count == 1 ? 0 : head, to = op.rows ? op.rows[row] : row;
    if (to < 0)
        return;
    y[to * op.y.x.stride + op.y.first_col + head * op.y.pitch + i] =
        x[row * op.x.x.stride + op.x.first_col + from * op.x.pitch + i];
}

// Whether the heads are all that their matrix has, one behind the other.
static bool is_whole(const struct kn_heads *h) {
    return (h->count == 1 || h->pitch == h->dim) && h->x.stride == h->count * h->dim;
}

enum kn_status cuda_copy_heads(struct kn_backend *self, const struct kn_copy_heads *op) {
    KN_TRY(kn_check_copy_heads(op));
    int64_t count = op->x.x.rows * op->y.count * op->y.dim;
    cudaStream_t stream = cuda_of(self)->ops;
    if (!count)
        return KN_OK;
    // A block of memory, at the memory's speed. A graph keeps to kernels, which may overlap.
    if (!op->rows && op->x.count == op->y.count && is_whole(&op->x) && is_whole(&op->y) &&
        !cuda_of(self)->makes_graph)
        return cuda_check(self,
                          cudaMemcpyAsync(op->y.x.data, op->x.x.data,
                                          (size_t)count * kn_type_size(op->y.x.type),
                                          cudaMemcpyDeviceToDevice, stream),
                          "copying heads");
    if (op->y.x.type == KN_F32)
        copy_head_elements<<<blocks_for(count), THREADS, 0, stream>>>(
            (uint32_t *)op->y.x.data, (const uint32_t *)op->x.x.data, *op, count);
    else
        copy_head_elements<<<blocks_for(count), THREADS, 0, stream>>>(
            (uint16_t *)op->y.x.data, (const uint16_t *)op->x.x.data, *op, count);
    return cuda_launched(self, "copying heads");
}

template <typename E>
__global__ void gather_rows(E *y, int64_t y_stride, const E *x, int64_t x_stride, int64_t cols,
                            const int32_t *rows, struct kn_range range) {
    int64_t begin = range.begin ? *range.begin : 0, row = begin + blockIdx.x;
    if (range.begin && row >= *range.end)
        return;
    const E *from = x + (int64_t)rows[row] * x_stride;
    for (int64_t c = threadIdx.x; c < cols; c += blockDim.x)
        y[(int64_t)blockIdx.x * y_stride + c] = from[c];
}

// The same, each row times the weight of its place.
template <typename T> __global__ void gather_weighted(struct kn_gather op) {
    int64_t begin = op.range.begin ? *op.range.begin : 0, place = begin + blockIdx.x;
    if (op.range.begin && place >= *op.range.end)
        return;
    int64_t row = op.rows[place], i = row * op.used, end = i + op.used;
    while (i + 1 < end && op.positions[i] != place)
        i++;
    float weight = op.weights[i];
    const T *from = (const T *)op.x.data + row * op.x.stride;
    T *to = (T *)op.y.data + (int64_t)blockIdx.x * op.y.stride;
    for (int64_t c = threadIdx.x; c < op.y.cols; c += blockDim.x)
        to[c] = from_float<T>(weight * to_float(from[c]));
}

static enum kn_status launch_weighted(struct kn_backend *self, const struct kn_gather *op) {
    auto kernel = op->y.type == KN_F32   ? gather_weighted<float>
                  : op->y.type == KN_F16 ? gather_weighted<__half>
                                         : gather_weighted<__nv_bfloat16>;
    kernel<<<(unsigned)op->y.rows, row_threads(op->y.cols), 0, cuda_of(self)->ops>>>(*op);
    return cuda_launched(self, "gathering weighted rows");
}

template <typename E> static void launch_gather(cudaStream_t stream, const struct kn_gather *op) {
    int64_t pack = (int64_t)(sizeof(E) / kn_type_size(op->y.type));
    gather_rows<<<(unsigned)op->y.rows, row_threads(op->y.cols / pack), 0, stream>>>(
        (E *)op->y.data, op->y.stride / pack, (const E *)op->x.data, op->x.stride / pack,
        op->y.cols / pack, op->rows, op->range);
}

enum kn_status cuda_gather(struct kn_backend *self, const struct kn_gather *op) {
    KN_TRY(kn_check_gather(op));
    cudaStream_t stream = cuda_of(self)->ops;
    int64_t width = (int64_t)(16 / kn_type_size(op->y.type));
    if (!op->y.rows || !op->y.cols)
        return KN_OK;
    if (op->weights)
        return launch_weighted(self, op);
    if (is_packable(&op->y, width) && is_packable(&op->x, width))
        launch_gather<uint4>(stream, op);
    else if (op->y.type == KN_F32)
        launch_gather<uint32_t>(stream, op);
    else
        launch_gather<uint16_t>(stream, op);
    return cuda_launched(self, "gathering rows");
}

// Whether x has the row of a position, which is then *row_p.
__device__ static bool find_row(const struct kn_combine &op, int32_t position, int64_t *row_p) {
    int64_t begin = op.range.begin ? *op.range.begin : 0;
    *row_p = position - begin;
    return *row_p >= 0 && *row_p < op.x.rows && (!op.range.begin || position < *op.range.end);
}

// A block a row of y, left alone where x has nothing for it.
template <int WIDTH> __global__ void combine_rows(struct kn_combine op) {
    const int32_t *positions = op.positions + (int64_t)blockIdx.x * op.used;
    const float *weights = op.weights ? op.weights + (int64_t)blockIdx.x * op.used : NULL;
    float *y = (float *)op.y.data + (int64_t)blockIdx.x * op.y.stride;
    const float *x = (const float *)op.x.data;
    int64_t row, k = 0;
    while (k < op.used && !find_row(op, positions[k], &row))
        k++;
    if (k == op.used)
        return;
    for (int64_t c = (int64_t)threadIdx.x * WIDTH; c < op.y.cols;
         c += (int64_t)blockDim.x * WIDTH) {
        pack<float, WIDTH> sum = load<float, WIDTH>(y + c);
        for (int64_t i = k; i < op.used; i++) {
            if (!find_row(op, positions[i], &row))
                continue;
            pack<float, WIDTH> value = load<float, WIDTH>(x + row * op.x.stride + c);
#pragma unroll
            for (int j = 0; j < WIDTH; j++)
                sum.v[j] = fmaf(weights ? weights[i] : 1, value.v[j], sum.v[j]);
        }
        store(y + c, sum);
    }
}

enum kn_status cuda_combine(struct kn_backend *self, const struct kn_combine *op) {
    KN_TRY(kn_check_combine(op));
    if (!op->y.rows || !op->y.cols || !op->x.rows)
        return KN_OK;
    auto kernel =
        is_packable(&op->y, 4) && is_packable(&op->x, 4) ? combine_rows<4> : combine_rows<1>;
    kernel<<<(unsigned)op->y.rows, row_threads(op->y.cols), 0, cuda_of(self)->ops>>>(*op);
    return cuda_launched(self, "combining rows");
}

template <typename T>
__global__ void embed_rows(float *y, int64_t y_stride, const T *table, int64_t table_stride,
                           int64_t table_rows, int64_t cols, const int32_t *ids, int64_t first_id,
                           float scale, bool accumulate) {
    int64_t id = ids[blockIdx.x] - first_id;
    if (id < 0 || id >= table_rows)
        return;
    float *to = y + (int64_t)blockIdx.x * y_stride;
    for (int64_t c = threadIdx.x; c < cols; c += blockDim.x) {
        float value = scale * to_float(table[id * table_stride + c]);
        to[c] = accumulate ? to[c] + value : value;
    }
}

enum kn_status cuda_embed(struct kn_backend *self, const struct kn_embed *op) {
    KN_TRY(kn_check_embed(op));
    if (!op->y.rows)
        return KN_OK;
    by_type(op->table.type, [&](auto zero) {
        using T = decltype(zero);
        embed_rows<<<(unsigned)op->y.rows, row_threads(op->y.cols), 0, cuda_of(self)->ops>>>(
            (float *)op->y.data, op->y.stride, (const T *)op->table.data, op->table.stride,
            op->table.rows, op->y.cols, op->ids, op->first_id, op->scale, op->accumulate);
    });
    return cuda_launched(self, "the embedding");
}

// ---- conversions -------------------------------------------------------------------------------

template <typename T, typename F>
__global__ void convert_elements(T *to, int64_t to_stride, const F *from, int64_t from_stride,
                                 int64_t cols, int64_t count) {
    int64_t at = here();
    if (at < count)
        to[at / cols * to_stride + at % cols] =
            from_float<T>(to_float(from[at / cols * from_stride + at % cols]));
}

enum kn_status cuda_convert_matrix(struct kn_backend *self, const struct kn_matrix *to,
                                   const struct kn_matrix *from) {
    int64_t count = from->rows * from->cols;
    if (!count)
        return KN_OK;
    by_type(to->type, [&](auto to_zero) {
        by_type(from->type, [&](auto from_zero) {
            using T = decltype(to_zero);
            using F = decltype(from_zero);
            convert_elements<<<blocks_for(count), THREADS, 0, cuda_of(self)->ops>>>(
                (T *)to->data, to->stride, (const F *)from->data, from->stride, from->cols, count);
        });
    });
    return cuda_launched(self, "a conversion");
}

enum kn_status cuda_convert(struct kn_backend *self, const struct kn_conversion *op) {
    KN_TRY(kn_check_conversion(op));
    struct kn_matrix to = kn_matrix(op->to, op->to_type, 1, op->count);
    struct kn_matrix from = kn_matrix((void *)(uintptr_t)op->from, op->from_type, 1, op->count);
    return cuda_convert_matrix(self, &to, &from);
}

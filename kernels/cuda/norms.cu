// SPDX-License-Identifier: Apache-2.0
// Norms of rows and of heads. A row is read once and kept in registers.
#include "dependent.cuh"
#include "device.cuh"

struct row_norm {
    const float *x, *addend, *weight, *bias; // addend, weight and bias may be NULL
    int64_t x_stride, addend_stride, y_stride, rows;
    int cols;
    enum kn_norm_kind kind;
    float epsilon;
};

// Threads of a row; a row of one warp shares its block with others and needs no barrier.
template <int THREADS> __device__ static float sum_over_row(float value, float *shared) {
    value = warp_sum(value);
    if constexpr (THREADS > WARP) {
        int warp = (int)threadIdx.x / WARP, lane = (int)threadIdx.x % WARP;
        __syncthreads(); // whoever still reads the last sum
        if (lane == 0)
            shared[warp] = value;
        __syncthreads();
        value = warp_sum(lane < THREADS / WARP ? shared[lane] : 0);
    }
    return value;
}

struct norm_weights {
    pack<float, ROW_GROUP> weight, bias;
};

template <bool PACKED>
__device__ static struct norm_weights read_weights(const struct row_norm &op, int c) {
    struct norm_weights own = {{{1, 1, 1, 1}}, {}};
    if (op.weight)
        own.weight = read_group<PACKED>(op.weight, c, op.cols);
    if (op.bias)
        own.bias = read_group<PACKED>(op.bias, c, op.cols);
    return own;
}

// y's group from x's: (v - mean) * scale * weight + bias.
template <typename T>
__device__ static pack<T, ROW_GROUP>
finished(const pack<float, ROW_GROUP> &v, const struct norm_weights &own, float mean, float scale) {
    float out[ROW_GROUP];
#pragma unroll
    for (int i = 0; i < ROW_GROUP; i++)
        out[i] = (v.v[i] - mean) * scale * own.weight.v[i] + own.bias.v[i];
    return rounded<T>(out);
}

constexpr int64_t ROWS_THAT_WAIT = 64; // for weights: more of them find these in the cache

// Weights come from afar, and nothing writes them.
__device__ static void prefetch_weights(const struct row_norm &op, int c) {
    if (c >= op.cols || op.rows > ROWS_THAT_WAIT)
        return;
    if (op.weight)
        asm volatile("prefetch.global.L2 [%0];" ::"l"(op.weight + c));
    if (op.bias)
        asm volatile("prefetch.global.L2 [%0];" ::"l"(op.bias + c));
}

// A row is THREADS * GROUPS * ROW_GROUP elements at most; what lies beyond its columns is zero.
// Where a thread has few groups, it has their weights before there is anything to norm.
template <typename T, int THREADS, int GROUPS, bool PACKED>
__global__ void __launch_bounds__(THREADS == WARP ? 4 * WARP : THREADS)
    norm_rows(T *y, struct row_norm op) {
    __shared__ float shared[WARP];
    constexpr int ROWS = THREADS == WARP ? 4 : 1; // of a block
    int64_t row = (int64_t)blockIdx.x * ROWS + threadIdx.x / THREADS;
    constexpr bool EARLY = GROUPS <= 2 && THREADS > WARP;
    int first = (int)(threadIdx.x % THREADS) * ROW_GROUP;
    struct norm_weights early[EARLY ? GROUPS : 1];
#pragma unroll
    for (int g = 0; g < GROUPS; g++)
        if constexpr (EARLY)
            early[g] = read_weights<PACKED>(op, first + g * THREADS * ROW_GROUP);
        else
            prefetch_weights(op, first + g * THREADS * ROW_GROUP);
    await_previous();
    let_next_begin();
    if (row >= op.rows)
        return;
    const float *x = op.x + row * op.x_stride, *addend = op.addend + row * op.addend_stride;
    pack<float, ROW_GROUP> v[GROUPS];
    float sum = 0, squares = 0, mean = 0, scale = 1;
#pragma unroll
    for (int g = 0; g < GROUPS; g++)
        v[g] = read_group<PACKED>(x, first + g * THREADS * ROW_GROUP, op.cols);
    if (op.addend) {
#pragma unroll
        for (int g = 0; g < GROUPS; g++) {
            pack<float, ROW_GROUP> a =
                read_group<PACKED>(addend, first + g * THREADS * ROW_GROUP, op.cols);
#pragma unroll
            for (int i = 0; i < ROW_GROUP; i++)
                v[g].v[i] += a.v[i];
        }
    }
    if (op.kind == KN_LAYER_NORM) {
#pragma unroll
        for (int g = 0; g < GROUPS; g++)
#pragma unroll
            for (int i = 0; i < ROW_GROUP; i++)
                sum += v[g].v[i];
        mean = sum_over_row<THREADS>(sum, shared) / (float)op.cols;
    }
    if (op.kind != KN_NO_NORM) {
#pragma unroll
        for (int g = 0; g < GROUPS; g++)
#pragma unroll
            for (int i = 0; i < ROW_GROUP; i++) {
                bool inside = first + g * THREADS * ROW_GROUP + i < op.cols;
                float d = inside ? v[g].v[i] - mean : 0;
                squares += d * d;
            }
        squares = sum_over_row<THREADS>(squares, shared);
        scale = 1 / sqrtf(squares / (float)op.cols + op.epsilon);
    }
#pragma unroll
    for (int g = 0; g < GROUPS; g++) {
        int c = first + g * THREADS * ROW_GROUP;
        struct norm_weights own;
        if constexpr (EARLY)
            own = early[g];
        else
            own = read_weights<PACKED>(op, c);
        write_group<T, PACKED>(y + row * op.y_stride, c, op.cols,
                               finished<T>(v[g], own, mean, scale));
    }
}

template <typename T, bool PACKED> using norm_kernel = void (*)(T *, struct row_norm);

// Kernels by the longest row they take.
template <typename T, bool PACKED> struct norm_choice {
    int cols, threads;
    norm_kernel<T, PACKED> kernel;
};

// The first kernel that takes rows so long, NULL: none.
template <typename T, bool PACKED, size_t COUNT>
static const struct norm_choice<T, PACKED> *
choose(const struct norm_choice<T, PACKED> (&choices)[COUNT], int64_t cols) {
    for (const struct norm_choice<T, PACKED> &choice : choices)
        if (cols <= choice.cols)
            return &choice;
    return NULL;
}

// Of few rows, as steps of decoding have them, each is a block's that has nothing else to do.
constexpr int64_t FEW_ROWS = 16,
                  SHORT_ROW = 1024;

template <typename T, bool PACKED>
static enum kn_status launch_norm(struct kn_backend *self, const struct kn_norm *op) {
    // clang-format off
    static const struct norm_choice<T, PACKED> choices[] = {
        {256, 32, norm_rows<T, 32, 2, PACKED>},
        {768, 32, norm_rows<T, 32, 6, PACKED>},
        {1024, 32, norm_rows<T, 32, 8, PACKED>},
        {2048, 64, norm_rows<T, 64, 8, PACKED>},
        {4096, 128, norm_rows<T, 128, 8, PACKED>},
        {8192, 256, norm_rows<T, 256, 8, PACKED>},
        {16384, 512, norm_rows<T, 512, 8, PACKED>},
        {65536, 1024, norm_rows<T, 1024, 16, PACKED>},
    };
    static const struct norm_choice<T, PACKED> few[] = {
        {2048, 256, norm_rows<T, 256, 2, PACKED>},
        {4096, 512, norm_rows<T, 512, 2, PACKED>},
        {8192, 1024, norm_rows<T, 1024, 2, PACKED>},
    };
    // clang-format on
    bool normed = op->kind != KN_NO_NORM;
    const struct norm_choice<T, PACKED> *choice = NULL;
    if (op->x.rows <= FEW_ROWS && op->x.cols > SHORT_ROW)
        choice = choose(few, op->x.cols);
    if (!choice)
        choice = choose(choices, op->x.cols);
    if (!choice)
        return KN_EUNSUPPORTED;
    struct row_norm row = {(const float *)op->x.data,
                           (const float *)op->addend.data,
                           normed ? op->weight : NULL,
                           normed ? op->bias : NULL,
                           op->x.stride,
                           op->addend.stride,
                           op->y.stride,
                           op->x.rows,
                           (int)op->x.cols,
                           op->kind,
                           op->epsilon};
    unsigned rows = choice->threads == WARP ? 4 : 1;
    const struct cuda_backend *cuda = cuda_of(self);
    launch_dependent(cuda, cuda->ops, op->x.rows, choice->kernel, dim3(blocks_of(op->x.rows, rows)),
                     rows * (unsigned)choice->threads, 0, (T *)op->y.data, row);
    return cuda_launched(self, "a norm");
}

enum kn_status cuda_norm(struct kn_backend *self, const struct kn_norm *op) {
    KN_TRY(kn_check_norm(op, self->activation_type));
    if (!op->x.rows || !op->x.cols)
        return KN_OK;
    bool packed = is_packable(&op->x, 4) && is_packable(&op->addend, 4) && is_packable(&op->y, 4) &&
                  ((uintptr_t)op->weight | (uintptr_t)op->bias) % 16 == 0;
    enum kn_status status = KN_OK;
    by_type(op->y.type, [&](auto zero) {
        using T = decltype(zero);
        status = packed ? launch_norm<T, true>(self, op) : launch_norm<T, false>(self, op);
    });
    return status;
}

// ---- heads -------------------------------------------------------------------------------------

constexpr int HEAD_WARPS = 4;

// One head a warp, in place.
template <typename T> __global__ void norm_heads(struct kn_head_norm op) {
    const struct kn_heads *h = &op.heads;
    int64_t at = (int64_t)blockIdx.x * HEAD_WARPS + threadIdx.x / WARP, lane = threadIdx.x % WARP;
    if (at >= h->x.rows * h->count)
        return;
    int64_t head = at % h->count;
    T *x = (T *)h->x.data + at / h->count * h->x.stride + h->first_col + head * h->pitch;
    float sum = 0, mean = 0;
    if (op.kind == KN_LAYER_NORM) {
        for (int64_t c = lane; c < h->dim; c += WARP)
            sum += to_float(x[c]);
        mean = warp_sum(sum) / (float)h->dim;
    }
    sum = 0;
    for (int64_t c = lane; c < h->dim; c += WARP)
        sum += (to_float(x[c]) - mean) * (to_float(x[c]) - mean);
    float scale = 1 / sqrtf(warp_sum(sum) / (float)h->dim + op.epsilon);
    int64_t own = head * op.weight_pitch;
    for (int64_t c = lane; c < h->dim; c += WARP) {
        float value = (to_float(x[c]) - mean) * scale;
        value = op.weight ? value * op.weight[own + c] : value;
        x[c] = from_float<T>(op.bias ? value + op.bias[own + c] : value);
    }
}

enum kn_status cuda_head_norm(struct kn_backend *self, const struct kn_head_norm *op) {
    KN_TRY(kn_check_head_norm(op, self->activation_type));
    int64_t heads = op->heads.x.rows * op->heads.count;
    if (!heads || op->kind == KN_NO_NORM)
        return KN_OK;
    by_type(op->heads.x.type, [&](auto zero) {
        norm_heads<decltype(zero)>
            <<<blocks_of(heads, HEAD_WARPS), HEAD_WARPS * WARP, 0, cuda_of(self)->ops>>>(*op);
    });
    return cuda_launched(self, "a norm of heads");
}

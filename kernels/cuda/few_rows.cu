// SPDX-License-Identifier: Apache-2.0
// Products of few rows, as decoding has them: a row a text. They take as long as it takes to read
// the weights, so each is read once, by 16 bytes a thread, several loads ahead of their use, and
// meets all rows at once in tensor cores. A block has TILES tiles of 16 rows of
// weights; its warps take slices of 64 columns in turns, and what each has summed is added
// up in the order of warps. A row's bits do not depend on how many rows there are.
//
// Which column of a slice a lane has in which place of a fragment does not matter, as long as
// weights and rows agree: lane 4 g + t takes 8 columns from 8 t on, and from 32 + 8 t on, of rows g
// and g + 8, so that four lanes read 64 bytes in a row.
#include "activation.cuh"
#include "dependent.cuh"
#include "mma.cuh"
#include "products.h"

constexpr int FEW_WARPS = 8, FEW_THREADS = FEW_WARPS * WARP;
constexpr int SLICE = 64, STEP = FEW_WARPS * SLICE; // columns of a warp at a time, and of a block

struct few_task {
    void *y;
    const void *x, *w;
    const float *bias; // NULL: none
    int64_t y_stride, x_stride, w_stride;
    int n, m, k; // m: columns of y
    enum kn_activation activation;
    struct activation_parameters p;
    bool fresh; // as of the op, for the host
};

// What a warp reads of weights at a time: 16 bytes of both halves of TILES tiles, twice.
template <int TILES> struct weight_slice {
    uint4 v[TILES][2][2]; // [tile][rows g, g + 8][columns 8 t.., 32 + 8 t..]
};

__device__ static uint4 read_weights(const void *from) {
    uint4 v;
    asm volatile("ld.global.L1::no_allocate.L2::128B.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(from));
    return v;
}

// Which row of w is row i of a block's tiles. Gated: a tile is 8 rows of the gate and the 8 rows of
// w that are m further.
template <int TILES, bool GATED>
__device__ static int64_t weight_row(const struct few_task &task, int i) {
    if constexpr (GATED) {
        int out = (int)blockIdx.x * 8 * TILES + i / 16 * 8 + i % 8;
        return (int64_t)min(out, task.m - 1) + (i % 16 < 8 ? 0 : task.m);
    }
    return min((int)blockIdx.x * 16 * TILES + i, task.m - 1);
}

template <typename T, int TILES>
__device__ static void read_slice(struct weight_slice<TILES> *slice,
                                  const T *const (&rows)[TILES][2], int at, int k) {
#pragma unroll
    for (int tile = 0; tile < TILES; tile++)
#pragma unroll
        for (int half = 0; half < 2; half++)
#pragma unroll
            for (int chunk = 0; chunk < 2; chunk++) {
                int column = at + 32 * chunk + 8 * ((int)threadIdx.x % 4);
                slice->v[tile][half][chunk] =
                    column < k ? read_weights(rows[tile][half] + column) : make_uint4(0, 0, 0, 0);
            }
}

// What a warp reads of x's rows beside a slice of weights.
template <int COLUMNS> struct row_slice {
    uint4 v[2][COLUMNS]; // [columns 8 t.., 32 + 8 t..][eight rows]
};

template <typename T, int COLUMNS>
__device__ static void read_rows(struct row_slice<COLUMNS> *slice, const struct few_task &task,
                                 int at) {
    int lane = (int)threadIdx.x % WARP;
#pragma unroll
    for (int chunk = 0; chunk < 2; chunk++)
#pragma unroll
        for (int c = 0; c < COLUMNS; c++) {
            int row = 8 * c + lane / 4, column = at + 32 * chunk + 8 * (lane % 4);
            const T *from = static_cast<const T *>(task.x) + row * task.x_stride + column;
            slice->v[chunk][c] = row < task.n && column < task.k
                                     ? *reinterpret_cast<const uint4 *>(from)
                                     : make_uint4(0, 0, 0, 0);
        }
}

// sum += the slice's weights times the same columns of x's rows.
template <typename T, int TILES, int COLUMNS>
__device__ static void multiply_slice(float (&sum)[TILES][COLUMNS][4],
                                      const struct weight_slice<TILES> &slice,
                                      const struct row_slice<COLUMNS> &rows) {
#pragma unroll
    for (int chunk = 0; chunk < 2; chunk++)
#pragma unroll
        for (int tile = 0; tile < TILES; tile++) {
            uint4 low = slice.v[tile][0][chunk], high = slice.v[tile][1][chunk];
            const unsigned first[4] = {low.x, high.x, low.y, high.y};
            const unsigned second[4] = {low.z, high.z, low.w, high.w};
#pragma unroll
            for (int c = 0; c < COLUMNS; c++) {
                uint4 x = rows.v[chunk][c];
                mma_multiply<T>(sum[tile][c], first, x.x, x.y);
                mma_multiply<T>(sum[tile][c], second, x.z, x.w);
            }
        }
}

// Each warp's sums, [FEW_WARPS][16 TILES][8 COLUMNS].
template <int TILES, int COLUMNS>
__device__ static void share_sums(float *shared, const float (&sum)[TILES][COLUMNS][4]) {
    int warp = (int)threadIdx.x / WARP, g = (int)threadIdx.x % WARP / 4, t = (int)threadIdx.x % 4;
#pragma unroll
    for (int tile = 0; tile < TILES; tile++)
#pragma unroll
        for (int c = 0; c < COLUMNS; c++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                int row = 16 * tile + g + 8 * (i / 2), column = 8 * c + 2 * t + i % 2;
                shared[(warp * 16 * TILES + row) * 8 * COLUMNS + column] = sum[tile][c][i];
            }
}

template <int TILES, int COLUMNS>
__device__ static float added_up(const float *shared, int row, int column) {
    float sum = 0;
#pragma unroll
    for (int warp = 0; warp < FEW_WARPS; warp++)
        sum += shared[(warp * 16 * TILES + row) * 8 * COLUMNS + column];
    return sum;
}

// A sum with its bias, as an element of y: the bias is rounded to y's type, then the sum.
template <typename Y> __device__ static float with_bias(float sum, const float *bias, int64_t at) {
    float own = bias ? to_float(from_float<Y>(bias[at])) : 0;
    return to_float(from_float<Y>(bias ? sum + own : sum));
}

template <typename T, typename Y, int TILES, int COLUMNS, bool GATED>
__device__ static void write_outputs(const struct few_task &task, const float *shared) {
    constexpr int OUTPUTS = (GATED ? 8 : 16) * TILES;
    for (int i = (int)threadIdx.x; i < OUTPUTS * task.n; i += FEW_THREADS) {
        int at = i % OUTPUTS, row = i / OUTPUTS;
        int64_t out = (int64_t)blockIdx.x * OUTPUTS + at;
        Y *y = static_cast<Y *>(task.y) + row * task.y_stride + out;
        if (out >= task.m)
            continue;
        if constexpr (GATED) {
            using W = typename wide<T>::type;
            int tile_row = at / 8 * 16 + at % 8;
            float gate = added_up<TILES, COLUMNS>(shared, tile_row, row);
            float up = added_up<TILES, COLUMNS>(shared, tile_row + 8, row);
            gate = with_bias<T>(gate, task.bias, out);
            up = with_bias<T>(up, task.bias, task.m + out);
            *y = from_float<Y>((float)(activate<W>(task.activation, task.p, (W)gate) * (W)up));
        } else {
            float v = with_bias<Y>(added_up<TILES, COLUMNS>(shared, at, row), task.bias, out);
            *y = from_float<Y>(
                task.activation == KN_IDENTITY ? v : activated<Y>(task.activation, task.p, v));
        }
    }
}

// COLUMNS: eights of rows of x. AHEAD: slices of weights that are on their way. BLOCKS: those of a
// multiprocessor. Two eights of rows are asked for a slice ahead, too.
template <typename T, typename Y, int TILES, int COLUMNS, int AHEAD, int BLOCKS, bool GATED>
__global__ void __launch_bounds__(FEW_THREADS, BLOCKS)
    few_rows(const __grid_constant__ struct few_task task) {
    constexpr bool ROWS_AHEAD = COLUMNS > 1 && AHEAD % 2 == 0;
    __shared__ float shared[FEW_WARPS * 16 * TILES * 8 * COLUMNS];
    int first = (int)threadIdx.x / WARP * SLICE;
    const T *rows[TILES][2];
#pragma unroll
    for (int tile = 0; tile < TILES; tile++)
#pragma unroll
        for (int half = 0; half < 2; half++)
            rows[tile][half] =
                static_cast<const T *>(task.w) +
                weight_row<TILES, GATED>(task, 16 * tile + 8 * half + (int)threadIdx.x % WARP / 4) *
                    task.w_stride;
    struct weight_slice<TILES> slices[AHEAD];
#pragma unroll
    for (int i = 0; i < AHEAD; i++)
        read_slice<T, TILES>(&slices[i], rows, first + i * STEP, task.k);
    await_previous();
    let_next_begin();
    float sum[TILES][COLUMNS][4] = {};
    struct row_slice<COLUMNS> x[ROWS_AHEAD ? 2 : 1];
    if (ROWS_AHEAD)
        read_rows<T, COLUMNS>(&x[0], task, first);
    for (int at = first; at < task.k; at += AHEAD * STEP) {
#pragma unroll
        for (int i = 0; i < AHEAD; i++) {
            int own = ROWS_AHEAD ? i % 2 : 0, ahead = ROWS_AHEAD ? 1 : 0;
            read_rows<T, COLUMNS>(&x[(own + ahead) % 2], task, at + (i + ahead) * STEP);
            multiply_slice<T, TILES, COLUMNS>(sum, slices[i], x[own]);
            read_slice<T, TILES>(&slices[i], rows, at + (AHEAD + i) * STEP, task.k);
        }
    }
    share_sums<TILES, COLUMNS>(shared, sum);
    __syncthreads();
    write_outputs<T, Y, TILES, COLUMNS, GATED>(task, shared);
}

// ---- the host's side ---------------------------------------------------------------------------

bool few_rows_take(const struct cuda_backend *cuda, const struct kn_matrix *x,
                   const struct kn_matrix *w) {
    return cuda->capability >= 80 && x->type != KN_F32 && w->type == x->type && x->rows >= 1 &&
           x->rows <= FEW_ROWS_MOST && x->cols >= 8 && x->cols <= INT32_MAX / 2 &&
           w->rows <= INT32_MAX / 2 && is_packable(x, 8) && is_packable(w, 8);
}

template <typename T, typename Y, int COLUMNS, bool GATED>
static void launch(const struct cuda_backend *cuda, cudaStream_t stream,
                   const struct few_task &task) {
    // Of many blocks more fit side by side that have less under way each. The sums are the same.
    constexpr int64_t MANY = 1024;
    int64_t blocks = blocks_of(task.m, GATED ? 8 : 16);
    auto kernel = blocks > MANY ? few_rows<T, Y, 1, COLUMNS, 1, 4, GATED>
                                : few_rows<T, Y, 1, COLUMNS, 2, 2, GATED>;
    int64_t rows = task.fresh ? INT64_MAX : task.n;
    launch_dependent(cuda, stream, rows, kernel, dim3((unsigned)blocks), FEW_THREADS, 0, task);
}

template <typename T, typename Y, bool GATED>
static void launch_by_rows(const struct cuda_backend *cuda, cudaStream_t stream,
                           const struct few_task &task) {
    if (task.n <= 8)
        launch<T, Y, 1, GATED>(cuda, stream, task);
    else
        launch<T, Y, 2, GATED>(cuda, stream, task);
}

static struct few_task task_of(const struct few_product *op) {
    return (struct few_task){
        op->y.data,      op->x.data,      op->w.data,     op->bias,
        op->y.stride,    op->x.stride,    op->w.stride,   (int)op->y.rows,
        (int)op->y.cols, (int)op->x.cols, op->activation, activation_parameters(op->parameters),
        op->fresh};
}

enum kn_status few_rows_multiply(struct kn_backend *self, cudaStream_t stream,
                                 const struct few_product *op) {
    const struct cuda_backend *cuda = cuda_of(self);
    struct few_task task = task_of(op);
    auto run = [&](auto zero) {
        using T = decltype(zero);
        if (op->gated)
            launch_by_rows<T, T, true>(cuda, stream, task);
        else if (op->y.type == KN_F32)
            launch_by_rows<T, float, false>(cuda, stream, task);
        else
            launch_by_rows<T, T, false>(cuda, stream, task);
    };
    if (op->x.type == KN_F16)
        run(__half{});
    else
        run(__nv_bfloat16{});
    return cuda_launched(self, "a product of few rows");
}

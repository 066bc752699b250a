// SPDX-License-Identifier: Apache-2.0
// Products per group on Hopper, all groups in one launch. Blocks stay and take tiles in turn; how
// many rows a group has they read on the device. One thread copies tiles of both operands into a
// ring in shared memory, two warpgroups multiply, each 64 rows of the tile. A row's result depends
// neither on its tile nor on the groups beside it.
#include "activation.cuh"
#include "hopper.cuh"
#include "hopper_maps.h"
#include "products.h"

constexpr int WARPGROUP = 4 * WARP;
constexpr int ROWS = 128, COLS = 256, DEPTH = 64; // of a tile; the ring's depth in elements
constexpr int BOX = 128;                          // rows that are copied at once
constexpr int STAGES = 4;
constexpr int CONSUMERS = ROWS / 64;
constexpr int THREADS = (CONSUMERS + 1) * WARPGROUP;
[[maybe_unused]] constexpr int BAND = 16; // tiles of rows that go through the columns together
constexpr int64_t MOST_GROUPS = 2048, FEWEST_DENSE_ROWS = 2048;

struct grouped_task {
    void *y;
    int64_t y_stride;
    const int64_t *first;          // NULL: one group with all rows
    int groups, rows, cols, depth; // rows that there is room for; cols of y
    int w_rows;                    // of a group
    int column_tiles;
};

struct grouped_maps {
    CUtensorMap x, w; // [1, 1, row, column]
};

template <typename T> struct grouped_shared {
    alignas(1024) T x[STAGES][ROWS][DEPTH];
    alignas(1024) T w[STAGES][COLS][DEPTH];
    uint64_t full[STAGES], empty[STAGES];
};

// A tile of the result: its first row, how many rows of it there are, its place among the columns.
struct grouped_tile {
    int group, row, rows, column;
};

#ifdef HOPPER_CODE

// Where a group's rows begin.
__device__ static int group_begin(const grouped_task &task, int group) {
    if (!task.first)
        return group ? task.rows : 0;
    return (int)(task.first[group] - task.first[0]);
}

// Tiles of rows of the groups before each group, and of all behind them. A warp counts.
__device__ static void count_tiles(const grouped_task &task, int *tiles) {
    int lane = (int)threadIdx.x, before = 0;
    for (int group = lane; group - lane < task.groups; group += WARP) {
        int own = 0;
        if (group < task.groups)
            own = (group_begin(task, group + 1) - group_begin(task, group) + ROWS - 1) / ROWS;
        int sum = own;
        for (int distance = 1; distance < WARP; distance *= 2) {
            int other = __shfl_up_sync(0xffffffffu, sum, distance);
            sum += lane >= distance ? other : 0;
        }
        if (group < task.groups)
            tiles[group] = before + sum - own;
        before += __shfl_sync(0xffffffffu, sum, WARP - 1);
    }
    if (lane == 0)
        tiles[task.groups] = before;
}

// A band of tiles of rows goes through all columns before the next does, so that what blocks read
// at one time stays in the cache of the device.
__device__ static grouped_tile tile_at(const grouped_task &task, const int *tiles, int index) {
    int band = index / (BAND * task.column_tiles) * BAND, low = 0, high = task.groups;
    int rows = min(tiles[task.groups] - band, BAND);
    int in_band = index - band * task.column_tiles, row_tile = band + in_band % rows;
    while (high - low > 1) { // the last group that begins at this tile or before it has it
        int middle = (low + high) / 2;
        if (tiles[middle] <= row_tile)
            low = middle;
        else
            high = middle;
    }
    int begin = group_begin(task, low) + (row_tile - tiles[low]) * ROWS;
    int end = min(group_begin(task, low + 1), task.rows);
    return {low, begin, min(end - begin, ROWS), in_band / rows};
}

__device__ static int stage_of(unsigned use) {
    return (int)(use % STAGES);
}

__device__ static unsigned parity_of(unsigned use) {
    return use / STAGES & 1;
}

// ---- the thread that copies --------------------------------------------------------------------

// Where the tile's two boxes of weights begin: side by side, or in both halves of the group's.
template <bool GATED>
__device__ static void box_rows(const grouped_task &task, const grouped_tile &tile, int (&row)[2]) {
    int first = tile.group * task.w_rows;
    row[0] = first + tile.column * (GATED ? BOX : COLS);
    row[1] = row[0] + (GATED ? task.w_rows / 2 : BOX);
}

template <typename T, bool GATED>
__device__ static void copy_tiles(const grouped_task &task, const grouped_maps &maps,
                                  grouped_shared<T> &shared, const int *tiles) {
    int count = tiles[task.groups] * task.column_tiles;
    unsigned use = 0;
    for (int index = (int)blockIdx.x; index < count; index += (int)gridDim.x) {
        grouped_tile tile = tile_at(task, tiles, index);
        int row[2];
        box_rows<GATED>(task, tile, row);
        for (int depth = 0; depth < task.depth; depth += DEPTH, use++) {
            int stage = stage_of(use);
            barrier_await(&shared.empty[stage], parity_of(use) ^ 1);
            barrier_expect(&shared.full[stage], (ROWS + COLS) * DEPTH * sizeof(T));
            copy_tile(shared.x[stage], &maps.x, {depth, tile.row, 0, 0}, &shared.full[stage]);
            copy_tile(shared.w[stage], &maps.w, {depth, row[0], 0, 0}, &shared.full[stage]);
            copy_tile(shared.w[stage][BOX], &maps.w, {depth, row[1], 0, 0}, &shared.full[stage]);
        }
    }
}

// ---- the warpgroups that multiply --------------------------------------------------------------

template <typename T> __device__ static unsigned rounded_pair(float2 v) {
    pack<T, 2> two;
    round_pair(two.v, v.x, v.y);
    return *reinterpret_cast<unsigned *>(&two);
}

__device__ static float2 widened(__half2 v) {
    return __half22float2(v);
}
__device__ static float2 widened(__nv_bfloat162 v) {
    return __bfloat1622float2(v);
}

// A pair as it is when it was stored.
template <typename T> __device__ static float2 stored_pair(float a, float b) {
    using two = std::conditional_t<std::is_same_v<T, __half>, __half2, __nv_bfloat162>;
    unsigned bits = rounded_pair<T>(make_float2(a, b));
    return widened(*reinterpret_cast<two *>(&bits));
}

// Warp w of a warpgroup has rows from 16 w on, lane i rows i / 4 and i / 4 + 8 and of every eight
// columns two from i % 4 * 2 on: entries 4 j + {0, 1} and 4 j + {2, 3} of d. Gates and what they
// meet are 128 columns apart. Two columns from 8 j + i % 4 * 2 on, of the lower row or the upper:
template <typename T, enum kn_activation GATE>
__device__ static float2 values_at(const float (&d)[128], int j, int upper) {
    int at = 4 * j + 2 * upper;
    if constexpr (GATE == KN_IDENTITY)
        return make_float2(d[at], d[at + 1]);
    const struct activation_parameters none = {};
    float2 gate = stored_pair<T>(d[at], d[at + 1]), up = stored_pair<T>(d[at + 64], d[at + 65]);
    return make_float2(activate<float>(GATE, none, gate.x) * up.x,
                       activate<float>(GATE, none, gate.y) * up.y);
}

// Four lanes have two columns each of four times eight; then each has eight of them.
__device__ static void turn(unsigned (&v)[4]) {
    int lane = (int)threadIdx.x;
#pragma unroll
    for (int bit = 1; bit <= 2; bit *= 2) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            if (i & bit)
                continue;
            bool keeps_low = !(lane & bit);
            unsigned other = __shfl_xor_sync(0xffffffffu, keeps_low ? v[i | bit] : v[i], bit);
            v[i] = keeps_low ? v[i] : other;
            v[i | bit] = keeps_low ? other : v[i | bit];
        }
    }
}

// Rows of f32: four lanes write 32 bytes that are neighbours.
template <typename T>
__device__ static void write_row(const grouped_task &task, int64_t row, int column,
                                 const float (&d)[128], int upper, bool is_there) {
    float *y = (float *)task.y + row * task.y_stride + (int)threadIdx.x % 4 * 2;
#pragma unroll
    for (int j = 0; j < COLS / 8; j++)
        if (is_there && column + 8 * j < task.cols)
            *reinterpret_cast<float2 *>(y + column + 8 * j) =
                values_at<T, KN_IDENTITY>(d, j, upper);
}

// Rows of 16-bit elements: four lanes write 64 bytes that are neighbours, and turn what they have
// for that, whether or not they have the row.
template <typename T, enum kn_activation GATE>
__device__ static void write_short_row(const grouped_task &task, int64_t row, int column,
                                       const float (&d)[128], int upper, bool is_there) {
    constexpr int columns = GATE == KN_IDENTITY ? COLS : COLS / 2;
    T *y = (T *)task.y + row * task.y_stride;
#pragma unroll
    for (int j = 0; j < columns / 8; j += 4) {
        unsigned v[4];
#pragma unroll
        for (int i = 0; i < 4; i++)
            v[i] = rounded_pair<T>(values_at<T, GATE>(d, j + i, upper));
        turn(v);
        int at = column + 8 * (j + (int)threadIdx.x % 4);
        if (is_there && at < task.cols)
            *reinterpret_cast<uint4 *>(y + at) = make_uint4(v[0], v[1], v[2], v[3]);
    }
}

template <typename T, typename Y, enum kn_activation GATE>
__device__ static void write_tile(const grouped_task &task, const grouped_tile &tile, int warpgroup,
                                  const float (&d)[128]) {
    int lane = (int)threadIdx.x % WARP, warp = (int)threadIdx.x / WARP % 4;
    int first = 64 * warpgroup + 16 * warp + lane / 4;
    int column = tile.column * (GATE == KN_IDENTITY ? COLS : COLS / 2);
#pragma unroll
    for (int upper = 0; upper < 2; upper++) {
        int row = first + 8 * upper;
        if constexpr (sizeof(Y) == 4)
            write_row<T>(task, tile.row + row, column, d, upper, row < tile.rows);
        else
            write_short_row<T, GATE>(task, tile.row + row, column, d, upper, row < tile.rows);
    }
}

__device__ static void release(uint64_t *barrier) {
    if (threadIdx.x % WARP == 0)
        barrier_arrive(barrier);
}

// d = the tile's 64 rows times its columns. `use` counts stages.
template <typename T>
__device__ static void multiply_tile(const grouped_task &task, grouped_shared<T> &shared,
                                     int warpgroup, unsigned &use, float (&d)[128]) {
    unsigned first = use;
    for (int depth = 0; depth < task.depth; depth += DEPTH, use++) {
        int stage = stage_of(use);
        barrier_await(&shared.full[stage], parity_of(use));
        products_fence();
#pragma unroll
        for (int i = 0; i < DEPTH; i += 16)
            multiply_shared<T>(d, descriptor_of(&shared.x[stage][64 * warpgroup][i], 0),
                               descriptor_of(&shared.w[stage][0][i], 0), depth > 0 || i > 0);
        products_commit();
        if (use == first)
            continue;
        products_await<1>(); // the products of the stage before are done
        release(&shared.empty[stage_of(use - 1)]);
    }
    products_await<0>();
    registers_settle(d);
    release(&shared.empty[stage_of(use - 1)]);
}

// A tile with no row for this warpgroup: its stages pass by.
template <typename T>
__device__ static void pass_tile(const grouped_task &task, grouped_shared<T> &shared,
                                 unsigned &use) {
    for (int depth = 0; depth < task.depth; depth += DEPTH, use++) {
        barrier_await(&shared.full[stage_of(use)], parity_of(use));
        release(&shared.empty[stage_of(use)]);
    }
}

template <typename T, typename Y, enum kn_activation GATE>
__device__ static void multiply_tiles(const grouped_task &task, grouped_shared<T> &shared,
                                      const int *tiles, int warpgroup) {
    int count = tiles[task.groups] * task.column_tiles;
    unsigned use = 0;
    for (int index = (int)blockIdx.x; index < count; index += (int)gridDim.x) {
        grouped_tile tile = tile_at(task, tiles, index);
        if (tile.rows <= 64 * warpgroup) {
            pass_tile(task, shared, use);
            continue;
        }
        float d[128];
        multiply_tile(task, shared, warpgroup, use, d);
        write_tile<T, Y, GATE>(task, tile, warpgroup, d);
    }
}

template <typename T> __device__ static void set_up(grouped_shared<T> &shared) {
    for (int stage = 0; stage < STAGES; stage++) {
        barrier_init(&shared.full[stage], 1);
        barrier_init(&shared.empty[stage], 4 * CONSUMERS);
    }
    barriers_publish();
}

#endif

// GATE is KN_IDENTITY where nothing is gated.
template <typename T, typename Y, enum kn_activation GATE>
__global__ void __launch_bounds__(THREADS, 1)
    grouped_kernel(const __grid_constant__ grouped_task task,
                   const __grid_constant__ grouped_maps maps) {
#ifdef HOPPER_CODE
    extern __shared__ unsigned char memory[];
    auto &shared = *reinterpret_cast<grouped_shared<T> *>(
        memory + (1024 - hopper_address(memory) % 1024) % 1024);
    int *tiles = reinterpret_cast<int *>(&shared + 1);
    if (threadIdx.x == 0)
        set_up(shared);
    if (threadIdx.x < WARP)
        count_tiles(task, tiles);
    __syncthreads();
    int warpgroup = (int)threadIdx.x / WARPGROUP;
    if (warpgroup == CONSUMERS) {
        registers_lower<24>();
        if (threadIdx.x % WARPGROUP == 0)
            copy_tiles<T, GATE != KN_IDENTITY>(task, maps, shared, tiles);
    } else {
        registers_raise<240>();
        multiply_tiles<T, Y, GATE>(task, shared, tiles, warpgroup);
    }
#endif
}

// ---- host --------------------------------------------------------------------------------------

// Whether rows can be copied by tiles: they begin at multiples of 16 bytes.
static bool is_copied(const struct kn_matrix *m) {
    return (uintptr_t)m->data % 16 == 0 && m->stride % 8 == 0 && m->cols > 0;
}

// Whether eight columns can be written at once.
static bool is_written(const struct kn_matrix *m) {
    return (uintptr_t)m->data % 16 == 0 && m->stride % 8 == 0 && m->cols % 8 == 0;
}

static bool is_fused(enum kn_activation gate) {
    return gate == KN_SILU || gate == KN_GELU_TANH;
}

bool grouped_hopper_takes(const struct cuda_backend *cuda, const struct kn_grouped_product *op) {
    const struct kn_matrix *y = op->gated.data ? &op->gated : &op->product.y;
    const struct kn_matrix *x = &op->product.x, *w = &op->product.w;
    return HOPPER_BUILT && cuda->capability == 90 && x->type != KN_F32 && w->type == x->type &&
           is_copied(x) && is_copied(w) && is_written(y) && op->groups >= 1 &&
           op->groups <= MOST_GROUPS && (!op->gated.data || is_fused(op->gate)) &&
           (op->first || x->rows >= FEWEST_DENSE_ROWS) && x->rows <= INT32_MAX - ROWS &&
           w->rows <= INT32_MAX - COLS;
}

// Rows of a matrix, taken in boxes of so many of them and of a stage's depth.
static enum kn_status map_rows(struct kn_backend *self, CUtensorMap *map,
                               const struct kn_matrix *m) {
    uint64_t stride = (uint64_t)m->stride * kn_type_size(m->type);
    const struct hopper_tensor tensor = {.data = m->data,
                                         .type = m->type,
                                         .sizes = {(uint64_t)m->cols, (uint64_t)m->rows, 1, 1},
                                         .strides = {stride, stride, stride},
                                         .box = {DEPTH, BOX, 1, 1}};
    static_assert(BOX == ROWS && 2 * BOX == COLS, "x is one box, w two");
    return hopper_map(self, map, &tensor);
}

template <typename T, typename Y, enum kn_activation GATE>
static enum kn_status launch(struct kn_backend *self, const struct grouped_task &task,
                             const struct grouped_maps &maps) {
    auto kernel = grouped_kernel<T, Y, GATE>;
    size_t bytes = sizeof(grouped_shared<T>) + 1024 + (size_t)(task.groups + 1) * sizeof(int);
    KN_TRY(cuda_check(
        self, cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes),
        "shared memory for products of groups"));
    kernel<<<(unsigned)cuda_of(self)->processors, THREADS, bytes, cuda_of(self)->ops>>>(task, maps);
    return cuda_launched(self, "products of groups");
}

template <typename T>
static enum kn_status launch_type(struct kn_backend *self, const struct kn_grouped_product *op,
                                  const struct grouped_task &task,
                                  const struct grouped_maps &maps) {
    if (op->gated.data && op->gate == KN_SILU)
        return launch<T, T, KN_SILU>(self, task, maps);
    if (op->gated.data)
        return launch<T, T, KN_GELU_TANH>(self, task, maps);
    if (op->product.y.type == KN_F32)
        return launch<T, float, KN_IDENTITY>(self, task, maps);
    return launch<T, T, KN_IDENTITY>(self, task, maps);
}

enum kn_status grouped_hopper(struct kn_backend *self, const struct kn_grouped_product *op) {
    const struct kn_matrix *y = op->gated.data ? &op->gated : &op->product.y;
    int tile_cols = op->gated.data ? BOX : COLS;
    struct grouped_maps maps;
    const struct grouped_task task = {
        .y = y->data,
        .y_stride = y->stride,
        .first = op->first,
        .groups = (int)op->groups,
        .rows = (int)y->rows,
        .cols = (int)y->cols,
        .depth = (int)op->product.x.cols,
        .w_rows = (int)op->product.y.cols,
        .column_tiles = (int)((y->cols + tile_cols - 1) / tile_cols),
    };
    KN_TRY(map_rows(self, &maps.x, &op->product.x));
    KN_TRY(map_rows(self, &maps.w, &op->product.w));
    if (op->product.x.type == KN_F16)
        return launch_type<__half>(self, op, task, maps);
    return launch_type<__nv_bfloat16>(self, op, task, maps);
}

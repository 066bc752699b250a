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
constexpr int64_t MOST_GROUPS = 2048;

struct grouped_task {
    void *y;
    int64_t y_stride;
    const int64_t *first;
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

// Tiles of rows of the groups before each group, and of all behind them. A warp counts.
__device__ static void count_tiles(const grouped_task &task, int *tiles) {
    int lane = (int)threadIdx.x, before = 0;
    for (int group = lane; group - lane < task.groups; group += WARP) {
        int own = 0;
        if (group < task.groups)
            own = (int)((task.first[group + 1] - task.first[group] + ROWS - 1) / ROWS);
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

// All columns of a tile of rows are neighbours.
__device__ static grouped_tile tile_at(const grouped_task &task, const int *tiles, int index) {
    int row_tile = index / task.column_tiles, low = 0, high = task.groups;
    while (high - low > 1) { // the last group that begins at this tile or before it has it
        int middle = (low + high) / 2;
        if (tiles[middle] <= row_tile)
            low = middle;
        else
            high = middle;
    }
    int begin = (int)(task.first[low] - task.first[0]) + (row_tile - tiles[low]) * ROWS;
    int end = (int)(task.first[low + 1] - task.first[0]);
    return {low, begin, min(min(end, task.rows) - begin, ROWS), index % task.column_tiles};
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

__device__ static void store_pair(float *to, float a, float b) {
    *reinterpret_cast<float2 *>(to) = make_float2(a, b);
}
__device__ static void store_pair(__half *to, float a, float b) {
    round_pair(to, a, b);
}
__device__ static void store_pair(__nv_bfloat16 *to, float a, float b) {
    round_pair(to, a, b);
}

// As kn_gate computes it of elements that were stored.
template <typename T, enum kn_activation GATE> __device__ static float gated(float gate, float up) {
    const struct activation_parameters none = {};
    gate = to_float(from_float<T>(gate));
    up = to_float(from_float<T>(up));
    return activate<float>(GATE, none, gate) * up;
}

// Warp w of a warpgroup has rows from 16 w on, lane i rows i / 4 and i / 4 + 8 and of every eight
// columns two from i % 4 * 2 on: entries 4 j + {0, 1} and 4 j + {2, 3}. Gates and what they meet
// are 128 columns apart.
template <typename T, typename Y, enum kn_activation GATE>
__device__ static void write_tile(const grouped_task &task, const grouped_tile &tile, int warpgroup,
                                  const float (&d)[128]) {
    constexpr bool GATED = GATE != KN_IDENTITY;
    constexpr int columns = GATED ? BOX : COLS;
    int lane = (int)threadIdx.x % WARP, warp = (int)threadIdx.x / WARP % 4;
    int first = 64 * warpgroup + 16 * warp + lane / 4,
        column = tile.column * columns + lane % 4 * 2;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        int row = first + 8 * half;
        if (row >= tile.rows)
            break;
        Y *y = (Y *)task.y + (int64_t)(tile.row + row) * task.y_stride;
#pragma unroll
        for (int j = 0; j < columns / 8; j++) {
            float a = d[4 * j + 2 * half], b = d[4 * j + 2 * half + 1];
            if constexpr (GATED) {
                a = gated<T, GATE>(a, d[4 * j + 2 * half + 64]);
                b = gated<T, GATE>(b, d[4 * j + 2 * half + 65]);
            }
            if (column + 8 * j < task.cols)
                store_pair(y + column + 8 * j, a, b);
        }
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

// Whether two columns can be written at once.
static bool is_paired(const struct kn_matrix *m) {
    return (uintptr_t)m->data % (2 * kn_type_size(m->type)) == 0 && m->stride % 2 == 0 &&
           m->cols % 2 == 0;
}

static bool is_fused(enum kn_activation gate) {
    return gate == KN_SILU || gate == KN_GELU_TANH;
}

bool grouped_hopper_takes(const struct cuda_backend *cuda, const struct kn_grouped_product *op) {
    const struct kn_matrix *y = op->gated.data ? &op->gated : &op->product.y;
    const struct kn_matrix *x = &op->product.x, *w = &op->product.w;
    return HOPPER_BUILT && cuda->capability == 90 && x->type != KN_F32 && w->type == x->type &&
           is_copied(x) && is_copied(w) && is_paired(y) && op->groups >= 1 &&
           op->groups <= MOST_GROUPS && (!op->gated.data || is_fused(op->gate)) &&
           x->rows <= INT32_MAX - ROWS && w->rows <= INT32_MAX - COLS;
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

// SPDX-License-Identifier: Apache-2.0
// Products per group on Hopper, all groups in one launch, and those of one group that an activation
// follows. Blocks stay and take tiles in turn; how many rows a group has they read on the device.
// One thread copies tiles of both operands into a ring in shared memory, two warpgroups multiply,
// each 64 rows of the tile. Results of 16 bits they leave in shared memory for the warps beside the
// one that copies, which apply gate or activation and store them while the next tile is
// multiplied. A row's result depends neither on its tile nor on the groups beside it.
#include "activation.cuh"
#include "hopper.cuh"
#include "hopper_maps.h"
#include "products.h"

constexpr int WARPGROUP = 4 * WARP;
constexpr int ROWS = 128, COLS = 256, DEPTH = 64; // of a tile; the ring's depth in elements
constexpr int BOX = 128;                          // rows that are copied at once
constexpr int CONSUMERS = ROWS / 64;
constexpr int THREADS = (CONSUMERS + 1) * WARPGROUP;
[[maybe_unused]] constexpr int FINISHERS = WARPGROUP - WARP; // threads
[[maybe_unused]] constexpr int BAND = 16; // tiles of rows that go through the columns together
constexpr int64_t MOST_GROUPS = 1024, FEWEST_DENSE_ROWS = 2048;

// T: of the operands; Y: of the result. Results of 32 bits are not staged: there is no room.
template <typename T, typename Y, bool GATED> struct grouped_shape {
    using element = T;
    using result = Y;
    static constexpr bool gated = GATED, staged = sizeof(Y) == 2;
    static constexpr int stages = staged ? 3 : 4;
    static constexpr int consumer_registers = staged ? 200 : 240;
    static constexpr int other_registers = staged ? 104 : 24;
    static constexpr int tile_cols = GATED ? COLS / 2 : COLS; // of the result
};

struct grouped_task {
    void *y;
    int64_t y_stride;
    const float *bias;             // one for each row of w; NULL: none
    const int64_t *first;          // NULL: one group with all rows
    int groups, rows, cols, depth; // rows that there is room for; cols of y
    int w_rows;                    // of a group
    int column_tiles;
    enum kn_activation activation; // of the gate or, where nothing is gated, of the result
    struct activation_parameters parameters;
};

struct grouped_maps {
    CUtensorMap x, w; // [1, 1, row, column]
};

// Full: the bytes are there. Empty: every warp that reads is done with them. Rows of y are 16 bytes
// longer than they need to be, so that eight of them begin in different banks.
template <typename S> struct grouped_shared {
    using element = typename S::element;
    alignas(1024) element x[S::stages][ROWS][DEPTH];
    alignas(1024) element w[S::stages][COLS][DEPTH];
    alignas(16) element y[S::staged ? ROWS : 1][COLS + 8];
    uint64_t full[S::stages], empty[S::stages], y_full, y_empty;
};

// A tile of the result: its first row, how many rows of it there are, its place among the columns,
// and where its two boxes of weights begin: side by side, or in both halves of the group's.
struct grouped_tile {
    int row, rows, column, box[2];
};

// What a block keeps of each group, and of the end behind the last: its first row, and how many
// tiles of rows those before it have.
struct group_place {
    int begin, tiles;
};

#ifdef HOPPER_CODE

// Where a group's rows begin.
__device__ static int group_begin(const grouped_task &task, int group) {
    if (!task.first)
        return group ? task.rows : 0;
    return (int)(task.first[group] - task.first[0]);
}

// A warp counts.
__device__ static void count_tiles(const grouped_task &task, group_place *places) {
    int lane = (int)threadIdx.x, before = 0;
    for (int group = lane; group - lane <= task.groups; group += WARP) {
        int begin = group_begin(task, min(group, task.groups));
        int end = group_begin(task, min(group + 1, task.groups));
        int own = (end - begin + ROWS - 1) / ROWS, sum = own;
        for (int distance = 1; distance < WARP; distance *= 2) {
            int other = __shfl_up_sync(0xffffffffu, sum, distance);
            sum += lane >= distance ? other : 0;
        }
        if (group <= task.groups)
            places[group] = {begin, before + sum - own};
        before += __shfl_sync(0xffffffffu, sum, WARP - 1);
    }
}

// A band of tiles of rows goes through all columns before the next does, so that what blocks read
// at one time stays in the cache of the device.
template <typename S>
__device__ static grouped_tile tile_at(const grouped_task &task, const group_place *places,
                                       int index) {
    int band = index / (BAND * task.column_tiles) * BAND, low = 0, high = task.groups;
    int rows = min(places[task.groups].tiles - band, BAND);
    int in_band = index - band * task.column_tiles, row_tile = band + in_band % rows;
    while (high - low > 1) { // the last group that begins at this tile or before it has it
        int middle = (low + high) / 2;
        if (places[middle].tiles <= row_tile)
            low = middle;
        else
            high = middle;
    }
    int begin = places[low].begin + (row_tile - places[low].tiles) * ROWS;
    int end = min(places[low + 1].begin, task.rows), column = in_band / rows * S::tile_cols;
    int box = low * task.w_rows + column, other = box + (S::gated ? task.w_rows / 2 : BOX);
    return {begin, min(end - begin, ROWS), column, {box, other}};
}

// The tile a block takes after that of an index. The last has none behind it.
template <typename S>
__device__ static grouped_tile next_tile(const grouped_task &task, const group_place *places,
                                         int index) {
    int count = places[task.groups].tiles * task.column_tiles, next = index + (int)gridDim.x;
    return next < count ? tile_at<S>(task, places, next) : grouped_tile{};
}

template <typename S> __device__ static int stage_of(unsigned use) {
    return (int)(use % S::stages);
}

template <typename S> __device__ static unsigned parity_of(unsigned use) {
    return use / S::stages & 1;
}

// ---- the thread that copies --------------------------------------------------------------------

template <typename S>
__device__ static void copy_tiles(const grouped_task &task, const grouped_maps &maps,
                                  grouped_shared<S> &shared, const group_place *places) {
    int count = places[task.groups].tiles * task.column_tiles;
    unsigned use = 0;
    for (int index = (int)blockIdx.x; index < count; index += (int)gridDim.x) {
        grouped_tile tile = tile_at<S>(task, places, index);
        for (int depth = 0; depth < task.depth; depth += DEPTH, use++) {
            int stage = stage_of<S>(use);
            uint64_t *full = &shared.full[stage];
            barrier_await(&shared.empty[stage], parity_of<S>(use) ^ 1);
            barrier_expect(full, (ROWS + COLS) * DEPTH * sizeof(typename S::element));
            copy_tile(shared.x[stage], &maps.x, {depth, tile.row, 0, 0}, full);
            copy_tile(shared.w[stage], &maps.w, {depth, tile.box[0], 0, 0}, full);
            copy_tile(shared.w[stage][BOX], &maps.w, {depth, tile.box[1], 0, 0}, full);
        }
    }
}

// ---- the warpgroups that multiply --------------------------------------------------------------

// Warp w of a warpgroup has rows from 16 w on, lane i rows i / 4 and i / 4 + 8 and of every eight
// columns two from i % 4 * 2 on: entries 4 j + {0, 1} and 4 j + {2, 3} of d. Columns from 128 on
// belong to the second box.

__device__ static void release(uint64_t *barrier) {
    __syncwarp();
    if (threadIdx.x % WARP == 0)
        barrier_arrive(barrier);
}

// d = the tile's 64 rows times its columns, once the products that are under way are done. `use`
// counts stages.
template <typename S>
__device__ static void multiply_tile(const grouped_task &task, grouped_shared<S> &shared,
                                     int warpgroup, unsigned &use, float (&d)[128]) {
    unsigned first = use;
    for (int depth = 0; depth < task.depth; depth += DEPTH, use++) {
        int stage = stage_of<S>(use);
        barrier_await(&shared.full[stage], parity_of<S>(use));
        products_fence();
#pragma unroll
        for (int i = 0; i < DEPTH; i += 16)
            multiply_shared<typename S::element>(
                d, descriptor_of(&shared.x[stage][64 * warpgroup][i], 0),
                descriptor_of(&shared.w[stage][0][i], 0), depth > 0 || i > 0);
        products_commit();
        if (use == first)
            continue;
        products_await<1>(); // the products of the stage before are done
        release(&shared.empty[stage_of<S>(use - 1)]);
    }
}

template <typename S>
__device__ static void finish_products(grouped_shared<S> &shared, unsigned use, float (&d)[128]) {
    products_await<0>();
    registers_settle(d);
    release(&shared.empty[stage_of<S>(use - 1)]);
}

// Brings the tile's biases close, eight a lane, while it is multiplied.
__device__ static void fetch_biases(const grouped_task &task, const grouped_tile &tile) {
    int lane = (int)threadIdx.x % WARP;
    int row = (lane < WARP / 2 ? tile.box[0] : tile.box[1]) + lane % (WARP / 2) * 8;
    if (task.bias && row < task.groups * task.w_rows)
        asm volatile("prefetch.global.L1 [%0];" ::"l"(task.bias + row));
}

// WHOLE: no box ends behind the last of the weights.
template <bool WHOLE>
__device__ static void add_biases(const grouped_task &task, const grouped_tile &tile,
                                  float (&d)[128]) {
    int own = (int)threadIdx.x % 4 * 2, limit = task.groups * task.w_rows;
#pragma unroll
    for (int j = 0; j < COLS / 8; j++) {
        int row = tile.box[j / (BOX / 8)] + own + j % (BOX / 8) * 8;
        float2 bias = make_float2(0, 0);
        if (WHOLE || row < limit)
            bias = *reinterpret_cast<const float2 *>(task.bias + row);
        d[4 * j] += bias.x, d[4 * j + 1] += bias.y;
        d[4 * j + 2] += bias.x, d[4 * j + 3] += bias.y;
    }
}

__device__ static void add_any_biases(const grouped_task &task, const grouped_tile &tile,
                                      float (&d)[128]) {
    if (!task.bias)
        return;
    if (max(tile.box[0], tile.box[1]) + BOX <= task.groups * task.w_rows)
        add_biases<true>(task, tile, d);
    else
        add_biases<false>(task, tile, d);
}

// Rows of f32 are stored at once: four lanes write 32 bytes that are neighbours.
template <typename S>
__device__ static void store_tile(const grouped_task &task, const grouped_tile &tile, int first,
                                  const float (&d)[128]) {
    int column = tile.column + (int)threadIdx.x % 4 * 2;
#pragma unroll
    for (int upper = 0; upper < 2; upper++) {
        int row = first + 8 * upper;
        float *y = (float *)task.y + (tile.row + row) * task.y_stride;
#pragma unroll
        for (int j = 0; j < COLS / 8; j++)
            if (row < tile.rows && column + 8 * j < task.cols)
                *reinterpret_cast<float2 *>(y + column + 8 * j) =
                    make_float2(d[4 * j + 2 * upper], d[4 * j + 2 * upper + 1]);
    }
}

// Others are left, rounded, for the warps that finish them.
template <typename S>
__device__ static void stage_tile(grouped_shared<S> &shared, int first, unsigned parity,
                                  const float (&d)[128]) {
    using T = typename S::element;
    int column = (int)threadIdx.x % 4 * 2;
    barrier_await(&shared.y_empty, parity);
#pragma unroll
    for (int upper = 0; upper < 2; upper++)
#pragma unroll
        for (int j = 0; j < COLS / 8; j++) {
            pack<T, 2> two;
            round_pair(two.v, d[4 * j + 2 * upper], d[4 * j + 2 * upper + 1]);
            store(&shared.y[first + 8 * upper][8 * j + column], two);
        }
    release(&shared.y_full);
}

// A tile with no row for this warpgroup passes by.
template <typename S>
__device__ static void pass_tile(const grouped_task &task, grouped_shared<S> &shared, unsigned &use,
                                 unsigned parity) {
    for (int depth = 0; depth < task.depth; depth += DEPTH, use++) {
        barrier_await(&shared.full[stage_of<S>(use)], parity_of<S>(use));
        release(&shared.empty[stage_of<S>(use)]);
    }
    if constexpr (S::staged) {
        barrier_await(&shared.y_empty, parity);
        release(&shared.y_full);
    }
}

template <typename S>
__device__ static void multiply_tiles(const grouped_task &task, grouped_shared<S> &shared,
                                      const group_place *places, int warpgroup) {
    int count = places[task.groups].tiles * task.column_tiles;
    int lane = (int)threadIdx.x % WARP, warp = (int)threadIdx.x / WARP % 4;
    int first = 64 * warpgroup + 16 * warp + lane / 4;
    unsigned use = 0, parity = 1;
    grouped_tile next = next_tile<S>(task, places, (int)blockIdx.x - (int)gridDim.x);
    for (int index = (int)blockIdx.x; index < count; index += (int)gridDim.x, parity ^= 1) {
        grouped_tile tile = next;
        if (tile.rows <= 64 * warpgroup) {
            pass_tile(task, shared, use, parity);
            next = next_tile<S>(task, places, index);
            continue;
        }
        float d[128];
        fetch_biases(task, tile);
        multiply_tile(task, shared, warpgroup, use, d);
        next = next_tile<S>(task, places, index); // while the last products are under way
        finish_products(shared, use, d);
        add_any_biases(task, tile, d);
        if constexpr (S::staged)
            stage_tile(shared, first, parity, d);
        else
            store_tile<S>(task, tile, first, d);
    }
}

// ---- the warps that finish what was staged -----------------------------------------------------

// Eight results from a row's column on.
template <typename S, enum kn_activation ACTIVATION>
__device__ static pack<typename S::element, 8> finished(const grouped_task &task,
                                                        const typename S::element *row) {
    using T = typename S::element;
    pack<T, 8> sums = load<T, 8>(row), ups;
    float out[8];
    if constexpr (S::gated)
        ups = load<T, 8>(row + BOX);
#pragma unroll
    for (int i = 0; i < 8; i++) {
        out[i] = activate<float>(ACTIVATION, task.parameters, to_float(sums.v[i]));
        if constexpr (S::gated)
            out[i] *= to_float(ups.v[i]);
    }
    return rounded<T>(out);
}

// A thread has eight columns of every so many rows.
template <typename S, enum kn_activation ACTIVATION>
__device__ static void finish_tile(const grouped_task &task, const grouped_shared<S> &shared,
                                   const grouped_tile &tile) {
    using T = typename S::element;
    constexpr int lanes = S::tile_cols / 8, at_once = FINISHERS / lanes;
    int thread = (int)threadIdx.x - (THREADS - FINISHERS), column = thread % lanes * 8;
    int there = tile.column + column < task.cols ? tile.rows : 0;
    T *y = (T *)task.y + (int64_t)tile.row * task.y_stride + tile.column + column;
#pragma unroll 4
    for (int row = thread / lanes; row < there; row += at_once)
        store(y + row * task.y_stride, finished<S, ACTIVATION>(task, &shared.y[row][column]));
}

template <typename S>
__device__ static void finish_any(const grouped_task &task, const grouped_shared<S> &shared,
                                  const grouped_tile &tile) {
    switch (task.activation) {
    case KN_IDENTITY:
        return finish_tile<S, KN_IDENTITY>(task, shared, tile);
    case KN_SILU:
        return finish_tile<S, KN_SILU>(task, shared, tile);
    case KN_GELU_ERF:
        return finish_tile<S, KN_GELU_ERF>(task, shared, tile);
    case KN_GELU_TANH:
        return finish_tile<S, KN_GELU_TANH>(task, shared, tile);
    case KN_RELU:
        return finish_tile<S, KN_RELU>(task, shared, tile);
    case KN_RELU_SQUARED:
        return finish_tile<S, KN_RELU_SQUARED>(task, shared, tile);
    case KN_XIELU:
        return finish_tile<S, KN_XIELU>(task, shared, tile);
    }
}

template <typename S>
__device__ static void finish_tiles(const grouped_task &task, grouped_shared<S> &shared,
                                    const group_place *places) {
    int count = places[task.groups].tiles * task.column_tiles;
    unsigned parity = 0;
    for (int index = (int)blockIdx.x; index < count; index += (int)gridDim.x, parity ^= 1) {
        grouped_tile tile = tile_at<S>(task, places, index);
        barrier_await(&shared.y_full, parity);
        finish_any(task, shared, tile);
        release(&shared.y_empty);
    }
}

template <typename S> __device__ static void set_up(grouped_shared<S> &shared) {
    for (int stage = 0; stage < S::stages; stage++) {
        barrier_init(&shared.full[stage], 1);
        barrier_init(&shared.empty[stage], 4 * CONSUMERS);
    }
    barrier_init(&shared.y_full, 4 * CONSUMERS);
    barrier_init(&shared.y_empty, FINISHERS / WARP);
    barriers_publish();
}

#endif

template <typename S>
__global__ void __launch_bounds__(THREADS, 1)
    grouped_kernel(const __grid_constant__ grouped_task task,
                   const __grid_constant__ grouped_maps maps) {
#ifdef HOPPER_CODE
    extern __shared__ unsigned char memory[];
    auto &shared = *reinterpret_cast<grouped_shared<S> *>(
        memory + (1024 - hopper_address(memory) % 1024) % 1024);
    group_place *places = reinterpret_cast<group_place *>(&shared + 1);
    if (threadIdx.x == 0)
        set_up(shared);
    if (threadIdx.x < WARP)
        count_tiles(task, places);
    __syncthreads();
    int warpgroup = (int)threadIdx.x / WARPGROUP;
    if (warpgroup < CONSUMERS) {
        registers_raise<S::consumer_registers>();
        multiply_tiles<S>(task, shared, places, warpgroup);
    } else {
        registers_lower<S::other_registers>();
        if (threadIdx.x == THREADS - WARPGROUP)
            copy_tiles<S>(task, maps, shared, places);
        else if (S::staged && threadIdx.x >= THREADS - FINISHERS)
            finish_tiles<S>(task, shared, places);
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

// What is stored at once has no activation.
static bool is_finished(const struct kn_product *op) {
    return (op->y.type != KN_F32 || op->activation == KN_IDENTITY) && (uintptr_t)op->bias % 8 == 0;
}

bool grouped_hopper_takes(const struct cuda_backend *cuda, const struct kn_grouped_product *op) {
    const struct kn_matrix *y = op->gated.data ? &op->gated : &op->product.y;
    const struct kn_matrix *x = &op->product.x, *w = &op->product.w;
    return HOPPER_BUILT && cuda->capability == 90 && x->type != KN_F32 && w->type == x->type &&
           is_copied(x) && is_copied(w) && is_written(y) && is_finished(&op->product) &&
           op->groups >= 1 && op->groups <= MOST_GROUPS &&
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

template <typename S>
static enum kn_status launch(struct kn_backend *self, const struct grouped_task &task,
                             const struct grouped_maps &maps) {
    size_t bytes =
        sizeof(grouped_shared<S>) + 1024 + (size_t)(task.groups + 1) * sizeof(group_place);
    KN_TRY(cuda_check(self,
                      cudaFuncSetAttribute(grouped_kernel<S>,
                                           cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes),
                      "shared memory for products of groups"));
    grouped_kernel<S>
        <<<(unsigned)cuda_of(self)->processors, THREADS, bytes, cuda_of(self)->ops>>>(task, maps);
    return cuda_launched(self, "products of groups");
}

template <typename T>
static enum kn_status launch_type(struct kn_backend *self, const struct kn_grouped_product *op,
                                  const struct grouped_task &task,
                                  const struct grouped_maps &maps) {
    if (op->gated.data)
        return launch<grouped_shape<T, T, true>>(self, task, maps);
    if (op->product.y.type == KN_F32)
        return launch<grouped_shape<T, float, false>>(self, task, maps);
    return launch<grouped_shape<T, T, false>>(self, task, maps);
}

enum kn_status grouped_hopper(struct kn_backend *self, const struct kn_grouped_product *op) {
    const struct kn_matrix *y = op->gated.data ? &op->gated : &op->product.y;
    int tile_cols = op->gated.data ? BOX : COLS;
    struct grouped_maps maps;
    const struct grouped_task task = {
        .y = y->data,
        .y_stride = y->stride,
        .bias = op->product.bias,
        .first = op->first,
        .groups = (int)op->groups,
        .rows = (int)y->rows,
        .cols = (int)y->cols,
        .depth = (int)op->product.x.cols,
        .w_rows = (int)op->product.y.cols,
        .column_tiles = (int)((y->cols + tile_cols - 1) / tile_cols),
        .activation = op->gated.data ? op->gate : op->product.activation,
        .parameters = activation_parameters(op->product.parameters),
    };
    KN_TRY(map_rows(self, &maps.x, &op->product.x));
    KN_TRY(map_rows(self, &maps.w, &op->product.w));
    if (op->product.x.type == KN_F16)
        return launch_type<__half>(self, op, task, maps);
    return launch_type<__nv_bfloat16>(self, op, task, maps);
}

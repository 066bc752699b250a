// SPDX-License-Identifier: Apache-2.0
// Rounding that makes up for itself: a block of inputs by a kernel, a warp a row, each lane with a
// few of the row's inputs; the inputs behind it by a product of doubles.
#include "device.cuh"
#include "doubles.h"

constexpr int BLOCK = KN_COMPENSATION_BLOCK, OWN = BLOCK / WARP, WARPS = 8;
constexpr size_t CHUNK_BYTES = 256 << 20; // of rows as doubles that are worked on at a time

// ---- the grid, as kernels/grid.c has it --------------------------------------------------------

__device__ static float stored(const kn_grid &grid, double scale) {
    float value = (float)scale, smallest = grid.scale_type == KN_F16 ? 0x1p-24f : 0x1p-126f;
    if (grid.scale_type == KN_F16)
        value = __half2float(__float2half_rn(value));
    else if (grid.scale_type == KN_BF16)
        value = __bfloat162float(__float2bfloat16_rn(value));
    return value > smallest ? value : smallest;
}

__device__ static kn_step_size from_range(const kn_grid &grid, double low, double high) {
    int n = (1 << grid.bits) - 1;
    if (grid.symmetric)
        return {stored(grid, 2 * fmax(high, -low) / n), (n + 1) / 2};
    float scale = stored(grid, (high - low) / n);
    double zero = rint(-low / (double)scale);
    return {scale, (int)fmin(fmax(zero, 0.0), (double)n)};
}

__device__ static int code_of(const kn_grid &grid, kn_step_size step, double w) {
    double code = rint(w / (double)step.scale) + step.zero;
    return (int)fmin(fmax(code, 0.0), (double)((1 << grid.bits) - 1));
}

__device__ static double value_of(kn_step_size step, int code) {
    return (double)(step.scale * (float)(code - step.zero));
}

template <typename Join> __device__ double over_warp(double value, Join join) {
    for (int distance = WARP / 2; distance; distance /= 2)
        value = join(value, __shfl_xor_sync(0xffffffff, value, distance));
    return value;
}

// The step of a group: `each(visit)` calls visit with every value that this lane has of it. All
// lanes get the same.
template <typename Each>
__device__ double misfit(const kn_grid &grid, kn_step_size step, const Each &each) {
    double sum = 0;
    each([&](double w) {
        sum += pow(fabs(value_of(step, code_of(grid, step, w)) - w), KN_GRID_POWER);
    });
    return over_warp(sum, [](double a, double b) { return a + b; });
}

template <typename Each> __device__ kn_step_size step_of(const kn_grid &grid, const Each &each) {
    double low = 0, high = 0;
    each([&](double w) {
        low = fmin(low, w);
        high = fmax(high, w);
    });
    low = over_warp(low, [](double a, double b) { return fmin(a, b); });
    high = over_warp(high, [](double a, double b) { return fmax(a, b); });
    if (low == 0 && high == 0) {
        low = -1;
        high = 1;
    }
    kn_step_size best = from_range(grid, low, high);
    if (!grid.clip)
        return best;
    double least = misfit(grid, best, each);
    for (int i = 1; i < KN_GRID_SHRINKS; i++) {
        double part = 1 - (double)i / KN_GRID_SHRINK_PARTS;
        kn_step_size step = from_range(grid, part * low, part * high);
        double sum = misfit(grid, step, each);
        if (sum < least) {
            least = sum;
            best = step;
        }
    }
    return best;
}

// ---- rows --------------------------------------------------------------------------------------

// Rows [0, rows) of a chunk: what the op has from its first row on, and doubles.
struct chunk {
    uint8_t *code, *zero;
    float *scale;
    const float *w;
    double *wide;  // [rows, n], the inputs in their order
    double *error; // [rows, BLOCK]
    const double *u;
    const int32_t *order;
    int64_t rows, n, size, groups; // of groups of inputs
    struct kn_grid grid;
    enum kn_input_order input_order;
};

static __global__ void widen(struct chunk c) {
    int64_t row = blockIdx.x;
    for (int64_t i = threadIdx.x; i < c.n; i += blockDim.x)
        c.wide[row * c.n + i] = (double)c.w[row * c.n + c.order[i]];
}

__device__ static void set_step(const chunk &c, int64_t at, kn_step_size step, int lane) {
    if (lane)
        return;
    c.scale[at] = step.scale;
    c.zero[at] = (uint8_t)step.zero;
}

// The steps of all groups of the rows as they are in the file, a warp a row.
static __global__ void set_all_steps(struct chunk c) {
    int64_t row = blockIdx.x * (int64_t)WARPS + threadIdx.x / WARP;
    int lane = threadIdx.x % WARP;
    if (row >= c.rows)
        return;
    const float *w = c.w + row * c.n;
    bool along = c.input_order == KN_ORDER_GROUPS;
    for (int64_t group = 0; group < c.groups; group++) {
        int64_t first = group * c.size, last = first + c.size < c.n ? first + c.size : c.n;
        kn_step_size step = step_of(c.grid, [&](auto visit) {
            for (int64_t i = first + lane; i < last; i += WARP)
                visit((double)w[along ? c.order[i] : i]);
        });
        set_step(c, row * c.groups + group, step, lane);
    }
}

// The step of the group that begins at input i of the block [first, last), of values as they are by
// now: in the lanes where the block has all of them, else in memory, where they are up to date.
__device__ static kn_step_size step_on_the_way(const chunk &c, const double (&own)[OWN],
                                               int64_t row, int64_t i, int64_t first, int lane) {
    int64_t end = i + c.size < c.n ? i + c.size : c.n;
    bool in_lanes = end - first <= BLOCK;
    const double *wide = c.wide + row * c.n;
    return step_of(c.grid, [&](auto visit) {
        if (in_lanes) {
#pragma unroll
            for (int k = 0; k < OWN; k++) {
                int64_t col = first + k * WARP + lane;
                if (col >= i && col < end)
                    visit(own[k]);
            }
        } else {
            for (int64_t col = i + lane; col < end; col += WARP)
                visit(wide[col]);
        }
    });
}

// Inputs [first, last) of a row.
static __global__ void round_block(struct chunk c, int64_t first, int64_t last) {
    int64_t row = blockIdx.x * (int64_t)WARPS + threadIdx.x / WARP, n = c.n;
    int lane = threadIdx.x % WARP;
    if (row >= c.rows)
        return;
    double own[OWN];
#pragma unroll
    for (int k = 0; k < OWN; k++) {
        int64_t col = first + k * WARP + lane;
        own[k] = col < last ? c.wide[row * n + col] : 0;
    }
#pragma unroll
    for (int k = 0; k < OWN; k++)
        for (int from = 0; from < WARP; from++) {
            int64_t i = first + k * WARP + from;
            if (i >= last)
                break;
            int64_t input = c.order[i];
            int64_t at = row * c.groups + (c.input_order == KN_ORDER_GROUPS ? i : input) / c.size;
            kn_step_size step;
            if (c.input_order == KN_ORDER_FILE && i % c.size == 0) {
                step = step_on_the_way(c, own, row, i, first, lane);
                set_step(c, at, step, lane);
                __syncwarp();
            } else {
                step = {c.scale[at], c.zero[at]};
            }
            const double *u = c.u + i * n;
            double w = __shfl_sync(0xffffffff, own[k], from);
            int code = code_of(c.grid, step, w);
            double error = (w - value_of(step, code)) / u[i];
            if (lane == from) {
                c.code[row * n + input] = (uint8_t)code;
                c.error[row * BLOCK + i - first] = error;
            }
#pragma unroll
            for (int j = k; j < OWN; j++) {
                int64_t col = first + j * WARP + lane;
                if (col > i && col < last)
                    own[j] -= error * u[col];
            }
        }
}

static enum kn_status round_chunk(struct kn_backend *self, const struct chunk *c) {
    cudaStream_t stream = cuda_of(self)->ops;
    unsigned blocks = (unsigned)((c->rows + WARPS - 1) / WARPS);
    widen<<<(unsigned)c->rows, 256, 0, stream>>>(*c);
    if (c->input_order != KN_ORDER_FILE)
        set_all_steps<<<blocks, WARPS * WARP, 0, stream>>>(*c);
    for (int64_t first = 0, last; first < c->n; first = last) {
        last = kn_compensation_end(first, c->n, c->size);
        round_block<<<blocks, WARPS * WARP, 0, stream>>>(*c, first, last);
        KN_TRY(cuda_launched(self, "rounding inputs"));
        const struct doubles_product behind = {.c = {c->wide + last, c->n},
                                               .a = {c->error, BLOCK},
                                               .b = {(double *)c->u + first * c->n + last, c->n},
                                               .m = c->rows,
                                               .n = c->n - last,
                                               .k = last - first,
                                               .alpha = -1,
                                               .beta = 1,
                                               .turned = false};
        KN_TRY(multiply_doubles(self, &behind));
    }
    return KN_OK;
}

// Rows of n doubles that are worked on at a time.
static int64_t chunk_rows(int64_t rows, int64_t n) {
    int64_t most = (int64_t)(CHUNK_BYTES / sizeof(double)) / n;
    most = most < WARPS ? WARPS : most;
    return rows < most ? rows : most;
}

enum kn_status cuda_compensation(struct kn_backend *self, const struct kn_compensation *op) {
    KN_TRY(kn_check_compensation(op));
    int64_t n = op->n, each = chunk_rows(op->rows, n);
    void *memory;
    if (!op->rows)
        return KN_OK;
    KN_TRY(cuda_reserve(self, &memory, (size_t)(each * (n + BLOCK)) * sizeof(double)));
    for (int64_t row = 0; row < op->rows; row += each) {
        struct chunk c = {};
        c.size = kn_grid_group(&op->grid, n);
        c.groups = kn_grid_groups(&op->grid, n);
        c.code = op->code + row * n;
        c.scale = op->scale + row * c.groups;
        c.zero = op->zero + row * c.groups;
        c.w = op->w + row * n;
        c.wide = (double *)memory;
        c.error = c.wide + each * n;
        c.u = op->u;
        c.order = op->order;
        c.rows = op->rows - row < each ? op->rows - row : each;
        c.n = n;
        c.grid = op->grid;
        c.input_order = op->input_order;
        KN_TRY(round_chunk(self, &c));
    }
    return KN_OK;
}

// ---- the squares of outputs --------------------------------------------------------------------

constexpr int PANEL = 512; // rows of the second moment that are taken at a time

static __global__ void subtract(double *e, const float *x, const float *less, int64_t n) {
    int64_t row = blockIdx.x;
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x)
        e[row * n + i] = (double)x[row * n + i] - (less ? (double)less[row * n + i] : 0.0);
}

// A block of the second moment on its diagonal, whole.
static __global__ void mirror(double *whole, const double *h, int64_t n, int64_t first, int size) {
    int i = blockIdx.x;
    for (int j = threadIdx.x; j < size; j += blockDim.x) {
        int64_t row = first + (i > j ? i : j), col = first + (i > j ? j : i);
        whole[i * PANEL + j] = h[row * n + col];
    }
}

// y[r] += factor sum_i e[r, i] product[r, i], in a fixed order; e has rows of n.
static __global__ void add_squares(double *y, const double *e, int64_t n, const double *product,
                                   int size, double factor, bool begins) {
    __shared__ double sums[256];
    int64_t row = blockIdx.x;
    double sum = 0;
    for (int i = threadIdx.x; i < size; i += 256)
        sum += e[row * n + i] * product[row * PANEL + i];
    sums[threadIdx.x] = sum;
    for (int half = 128; half; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half)
            sums[threadIdx.x] += sums[threadIdx.x + half];
    }
    if (threadIdx.x == 0)
        y[row] = (begins ? 0 : y[row]) + factor * sums[0];
}

struct squaring {
    struct kn_backend *self;
    double *y, *e, *product, *whole; // product [rows, PANEL], whole [PANEL, PANEL]
    const double *h;
    int64_t rows, n;
};

// One panel of the second moment: what is left of its diagonal block counts twice.
static enum kn_status square_panel(const struct squaring *s, int64_t first) {
    cudaStream_t stream = cuda_of(s->self)->ops;
    int size = s->n - first < PANEL ? (int)(s->n - first) : PANEL;
    struct doubles_product op = {.c = {s->product, PANEL},
                                 .a = {s->e, s->n},
                                 .b = {(double *)s->h + first * s->n, s->n},
                                 .m = s->rows,
                                 .n = size,
                                 .k = first,
                                 .alpha = 1,
                                 .beta = 0,
                                 .turned = true};
    if (first) {
        KN_TRY(multiply_doubles(s->self, &op));
        add_squares<<<(unsigned)s->rows, 256, 0, stream>>>(s->y, s->e + first, s->n, s->product,
                                                           size, 2, false);
    }
    mirror<<<(unsigned)size, 256, 0, stream>>>(s->whole, s->h, s->n, first, size);
    op.a = {s->e + first, s->n};
    op.b = {s->whole, PANEL};
    op.k = size;
    KN_TRY(multiply_doubles(s->self, &op));
    add_squares<<<(unsigned)s->rows, 256, 0, stream>>>(s->y, s->e + first, s->n, s->product, size,
                                                       1, first == 0);
    return cuda_launched(s->self, "the squares of outputs");
}

enum kn_status cuda_squared_outputs(struct kn_backend *self, const struct kn_squared_outputs *op) {
    KN_TRY(kn_check_squared_outputs(op));
    int64_t n = op->n, each = chunk_rows(op->rows, n);
    void *memory;
    if (!op->rows)
        return KN_OK;
    KN_TRY(
        cuda_reserve(self, &memory, (size_t)(each * (n + PANEL) + PANEL * PANEL) * sizeof(double)));
    for (int64_t row = 0; row < op->rows; row += each) {
        double *e = (double *)memory;
        const struct squaring s = {self,
                                   op->y + row,
                                   e,
                                   e + each * n,
                                   e + each * (n + PANEL),
                                   op->h,
                                   op->rows - row < each ? op->rows - row : each,
                                   n};
        subtract<<<(unsigned)s.rows, 256, 0, cuda_of(self)->ops>>>(
            e, op->x + row * n, op->less ? op->less + row * n : NULL, n);
        KN_TRY(cuda_launched(self, "the errors of weights"));
        for (int64_t first = 0; first < n; first += PANEL)
            KN_TRY(square_panel(&s, first));
    }
    return KN_OK;
}

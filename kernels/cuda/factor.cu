// SPDX-License-Identifier: Apache-2.0
// The inverse factor of a second moment, in blocks of columns: a block's diagonal by one thread
// block, all else by products of doubles.
#include "doubles.h"

constexpr int BLOCK = 64, PITCH = BLOCK + 1; // a pitch without conflicts of banks

static __global__ void copy_diagonal(double *y, const double *h, int64_t n) {
    int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
    if (i < n)
        y[i] = h[i * n + i];
}

enum kn_status cuda_diagonal(struct kn_backend *self, const struct kn_diagonal *op) {
    KN_TRY(kn_check_diagonal(op));
    if (!op->n)
        return KN_OK;
    copy_diagonal<<<(unsigned)((op->n + 255) / 256), 256, 0, cuda_of(self)->ops>>>(op->y, op->h,
                                                                                   op->n);
    return cuda_launched(self, "a diagonal");
}

// What is right of the diagonal, in the inputs' order and damped.
static __global__ void arrange(double *to, const double *h, const int32_t *order, double added,
                               int64_t n) {
    int64_t i = blockIdx.x, row = order[i];
    for (int64_t j = i + threadIdx.x; j < n; j += blockDim.x) {
        int64_t col = order[j];
        double value = h[row > col ? row * n + col : col * n + row];
        to[i * n + j] = i == j ? (value > 0 ? value : 1) + added : value;
    }
}

// h = v v^T of a diagonal block [size, size], from its last column to the first; u = v^-1, zeros
// below the diagonal. One thread a row, and then a column; `failed` is set where a pivot is none.
static __global__ void factor_diagonal(double *h, double *u, int64_t pitch, int size, int *failed) {
    extern __shared__ double shared[];
    double *v = shared, *w = shared + BLOCK * PITCH;
    int t = threadIdx.x;
    for (int i = 0; i < size; i++)
        v[i * PITCH + t] = t < size && t >= i ? h[i * pitch + t] : 0;
    __syncthreads();
    for (int j = size - 1; j >= 0; j--) {
        double sum = t <= j ? v[t * PITCH + j] : 0;
        for (int k = j + 1; k < size && t <= j; k++)
            sum -= v[t * PITCH + k] * v[j * PITCH + k];
        if (t == j) {
            if (!(sum > 0) || !isfinite(sum))
                *failed = 1;
            v[j * PITCH + j] = sqrt(sum);
        }
        __syncthreads();
        if (t < j)
            v[t * PITCH + j] = sum / v[j * PITCH + j];
        __syncthreads();
    }
    if (t < size)
        for (int i = size - 1; i >= 0; i--) {
            double sum = i == t;
            for (int k = i + 1; k <= t; k++)
                sum -= v[i * PITCH + k] * w[k * PITCH + t];
            w[i * PITCH + t] = i <= t ? sum / v[i * PITCH + i] : 0;
        }
    __syncthreads();
    for (int i = 0; i < size; i++)
        if (t < size) {
            u[i * pitch + t] = w[i * PITCH + t];
            if (t >= i)
                h[i * pitch + t] = v[i * PITCH + t];
        }
}

struct factoring {
    struct kn_backend *self;
    double *u, *h, *panel; // panel [n, BLOCK]
    int64_t n;
    int *failed;
};

static double *at(const struct factoring *f, double *m, int64_t row, int64_t col) {
    return m + row * f->n + col;
}

// The columns of a block above its diagonal, whose factor is known, become v's, and what they make
// of the blocks left of them is taken out of those.
static enum kn_status take_out(const struct factoring *f, int64_t first, int64_t size) {
    const struct doubles_product to_panel = {.c = {f->panel, BLOCK},
                                             .a = {at(f, f->h, 0, first), f->n},
                                             .b = {at(f, f->u, first, first), f->n},
                                             .m = first,
                                             .n = size,
                                             .k = size,
                                             .alpha = 1,
                                             .beta = 0,
                                             .turned = true};
    const struct doubles_product out = {.c = {f->h, f->n},
                                        .a = {f->panel, BLOCK},
                                        .b = {f->panel, BLOCK},
                                        .m = first,
                                        .n = first,
                                        .k = size,
                                        .alpha = -1,
                                        .beta = 1,
                                        .turned = true};
    KN_TRY(multiply_doubles(f->self, &to_panel));
    KN_TRY(multiply_doubles(f->self, &out));
    return cuda_check(f->self,
                      cudaMemcpy2DAsync(at(f, f->h, 0, first), (size_t)f->n * sizeof(double),
                                        f->panel, BLOCK * sizeof(double),
                                        (size_t)size * sizeof(double), (size_t)first,
                                        cudaMemcpyDeviceToDevice, cuda_of(f->self)->ops),
                      "copying a factor");
}

static enum kn_status factor(const struct factoring *f) {
    const size_t shared = 2 * BLOCK * PITCH * sizeof(double);
    KN_TRY(cuda_check(
        f->self,
        cudaFuncSetAttribute(factor_diagonal, cudaFuncAttributeMaxDynamicSharedMemorySize, shared),
        "factoring a block"));
    for (int64_t block = (f->n - 1) / BLOCK; block >= 0; block--) {
        int64_t first = block * BLOCK, size = f->n - first < BLOCK ? f->n - first : BLOCK;
        factor_diagonal<<<1, BLOCK, shared, cuda_of(f->self)->ops>>>(
            at(f, f->h, first, first), at(f, f->u, first, first), f->n, (int)size, f->failed);
        KN_TRY(cuda_launched(f->self, "factoring a block"));
        if (first)
            KN_TRY(take_out(f, first, size));
    }
    return KN_OK;
}

// u = v^-1, block after block from the left: above the diagonal block, whose inverse is there
// already, it is -(u v) times that.
static enum kn_status invert(const struct factoring *f) {
    for (int64_t first = BLOCK; first < f->n; first += BLOCK) {
        int64_t size = f->n - first < BLOCK ? f->n - first : BLOCK;
        const struct doubles_product to_panel = {.c = {f->panel, BLOCK},
                                                 .a = {f->u, f->n},
                                                 .b = {at(f, f->h, 0, first), f->n},
                                                 .m = first,
                                                 .n = size,
                                                 .k = first,
                                                 .alpha = 1,
                                                 .beta = 0,
                                                 .turned = false};
        const struct doubles_product above = {.c = {at(f, f->u, 0, first), f->n},
                                              .a = {f->panel, BLOCK},
                                              .b = {at(f, f->u, first, first), f->n},
                                              .m = first,
                                              .n = size,
                                              .k = size,
                                              .alpha = -1,
                                              .beta = 0,
                                              .turned = false};
        KN_TRY(multiply_doubles(f->self, &to_panel));
        KN_TRY(multiply_doubles(f->self, &above));
    }
    return KN_OK;
}

static enum kn_status has_failed(const struct factoring *f, bool *failed_p) {
    int failed = 1;
    KN_TRY(f->self->ops->download(f->self, &failed, f->failed, sizeof failed));
    KN_TRY(f->self->ops->sync(f->self));
    *failed_p = failed != 0;
    return KN_OK;
}

enum kn_status cuda_inverse_factor(struct kn_backend *self, const struct kn_inverse_factor *op) {
    KN_TRY(kn_check_inverse_factor(op));
    const size_t panel = (size_t)op->n * BLOCK * sizeof(double);
    cudaStream_t stream = cuda_of(self)->ops;
    void *memory;
    bool failed;
    KN_TRY(cuda_reserve(self, &memory, panel + sizeof(int)));
    struct factoring f = {
        self, op->u, op->scratch, (double *)memory, op->n, (int *)(void *)((char *)memory + panel)};
    KN_TRY(cuda_check(self, cudaMemsetAsync(f.failed, 0, sizeof(int), stream), "factoring"));
    KN_TRY(cuda_check(self,
                      cudaMemsetAsync(f.u, 0, (size_t)(op->n * op->n) * sizeof(double), stream),
                      "factoring"));
    arrange<<<(unsigned)op->n, 256, 0, stream>>>(f.h, op->h, op->order, op->added, op->n);
    KN_TRY(cuda_launched(self, "arranging a second moment"));
    KN_TRY(factor(&f));
    KN_TRY(has_failed(&f, &failed));
    *op->factored = !failed;
    return failed ? KN_OK : invert(&f);
}

// SPDX-License-Identifier: Apache-2.0
// Second moments of rows, x^T x, for compensation: panels through cuBLASLt in f32, added up in
// doubles.
#include "device.cuh"
#include "lt_plans.h"

#include <string.h>

constexpr int64_t MOMENT_ROWS = 2048; // of a panel, whose sums in f32 are scratch

// y[row + i, j] += sums[i, j] where j <= row + i; `width` columns of sums.
static __global__ void add_moments(double *y, int64_t cols, const float *sums, int64_t width,
                                   int64_t row) {
    int64_t i = blockIdx.x;
    for (int64_t j = threadIdx.x; j <= row + i && j < width; j += blockDim.x)
        y[(row + i) * cols + j] += (double)sums[i * width + j];
}

// The same sums for shapes that the library has no algorithm for.
template <typename T>
__global__ void plain_moments(float *sums, int64_t width, const T *x, int64_t stride, int64_t rows,
                              int64_t row) {
    int64_t i = blockIdx.x;
    for (int64_t j = threadIdx.x; j < width; j += blockDim.x) {
        float sum = 0;
        for (int64_t r = 0; r < rows; r++)
            sum += to_float(x[r * stride + row + i]) * to_float(x[r * stride + j]);
        sums[i * width + j] = sum;
    }
}

static struct product_key moment_key(const struct kn_matrix *sums, const struct kn_matrix *left,
                                     const struct kn_matrix *x) {
    struct product_key key;
    memset(&key, 0, sizeof key);
    key.n = sums->rows, key.m = sums->cols, key.k = lt_rounded_rows(x->rows);
    key.y_stride = sums->stride, key.x_stride = key.w_stride = x->stride;
    key.type = x->type, key.y_type = KN_F32;
    key.alignment = lt_alignment(sums, left, x);
    key.columns = true;
    key.workspace = CUDA_WORKSPACE_BYTES;
    return key;
}

// sums[i, j] = left[:, i] . x[:, j] for the sums' columns j.
static enum kn_status sum_moments(struct kn_backend *self, const struct kn_matrix *sums,
                                  const struct kn_matrix *left, const struct kn_matrix *x,
                                  int64_t row) {
    struct cuda_backend *cuda = cuda_of(self);
    const cublasLtMatrixLayoutAttribute_t attribute = CUBLASLT_MATRIX_LAYOUT_COLS;
    const float one = 1, zero = 0;
    const uint64_t depth = (uint64_t)x->rows;
    struct product_plan *plan;
    struct product_key key = moment_key(sums, left, x);
    KN_TRY(lt_plan_for(cuda, &key, &plan));
    if (!plan->found) {
        by_type(x->type, [&](auto none) {
            using T = decltype(none);
            plain_moments<<<(unsigned)sums->rows, 256, 0, cuda->ops>>>(
                (float *)sums->data, sums->cols, (const T *)x->data, x->stride, x->rows, row);
        });
        return cuda_launched(self, "a plain second moment");
    }
    KN_TRY(lt_check(self, lt->layout_set(plan->w, attribute, &depth, sizeof depth), "a moment"));
    KN_TRY(lt_check(self, lt->layout_set(plan->x, attribute, &depth, sizeof depth), "a moment"));
    return lt_check(self,
                    lt->matmul(cuda->handle, plan->desc, &one, x->data, plan->w, left->data,
                               plan->x, &zero, sums->data, plan->y, sums->data, plan->y,
                               &plan->algorithm, cuda->workspace, CUDA_WORKSPACE_BYTES, cuda->ops),
                    "a second moment");
}

enum kn_status cuda_second_moment(struct kn_backend *self, const struct kn_second_moment *op) {
    KN_TRY(kn_check_second_moment(op, self->activation_type));
    int64_t cols = op->x.cols, panel = cols < MOMENT_ROWS ? cols : MOMENT_ROWS;
    void *memory;
    if (!op->x.rows || !cols)
        return KN_OK;
    KN_TRY(cuda_reserve(self, &memory, (size_t)(panel * cols) * sizeof(float)));
    for (int64_t row = 0; row < cols; row += panel) {
        int64_t rows = cols - row < panel ? cols - row : panel, width = row + rows;
        struct kn_matrix sums = kn_matrix(memory, KN_F32, rows, width), left = op->x;
        left.data = (char *)op->x.data + (size_t)row * kn_type_size(op->x.type);
        KN_TRY(sum_moments(self, &sums, &left, &op->x, row));
        add_moments<<<(unsigned)rows, 256, 0, cuda_of(self)->ops>>>(
            op->y, cols, (const float *)memory, width, row);
        KN_TRY(cuda_launched(self, "adding a second moment"));
    }
    return KN_OK;
}

// SPDX-License-Identifier: Apache-2.0
#ifndef CUDA_PRODUCTS_H
#define CUDA_PRODUCTS_H

#include "cuda_backend.h"

// y = x w^T + bias; w is of x's type, bias of y's or NULL; y is of x's type or f32. (products.cu)
enum kn_status cuda_multiply(struct kn_backend *self, const struct kn_matrix *y,
                             const struct kn_matrix *x, const struct kn_matrix *w,
                             const void *bias);

// Where a product runs, and workspace that no other may use meanwhile.
struct product_lane {
    cudaStream_t stream;
    void *workspace;
    size_t bytes;
};

// The same on a lane. (products.cu)
enum kn_status product_multiply(struct kn_backend *self, const struct product_lane *lane,
                                const struct kn_matrix *y, const struct kn_matrix *x,
                                const struct kn_matrix *w, const void *bias);
// y = activation(y), in place.
enum kn_status product_activate(struct kn_backend *self, const struct kn_product *op);
// The op's weights in x's type and its bias in y's, in scratch where they are of another.
enum kn_status product_convert(struct kn_backend *self, const struct kn_product *op,
                               struct kn_matrix *w, const void **bias_p);

// Lanes for the products of groups. (grouped_products.cu)
enum kn_status product_lanes_open(struct cuda_backend *cuda);
void product_lanes_close(struct cuda_backend *cuda);

// Whether the groups' products run on Hopper in one launch that learns on the device how many rows
// each group has; w is of x's type. (products_hopper.cu)
bool grouped_hopper_takes(const struct cuda_backend *cuda, const struct kn_grouped_product *op);
// The products with their biases, rounded, and then activations or, where `gated` is there, gates.
enum kn_status grouped_hopper(struct kn_backend *self, const struct kn_grouped_product *op);

// to = from in another type, shapes alike. (elementwise.cu)
enum kn_status cuda_convert_matrix(struct kn_backend *self, const struct kn_matrix *to,
                                   const struct kn_matrix *from);

// ---- few rows (few_rows.cu) --------------------------------------------------------------------

enum { FEW_ROWS_MOST = 16 };

// y = activation(x w^T + bias) as struct kn_product has it, or, where it is gated, y = activation(x
// w0^T + bias0) * (x w1^T + bias1) with w0 the first y.cols rows of w and w1 the others, as
// struct kn_gate has it.
struct few_product {
    struct kn_matrix y, x, w;
    const float *bias;
    enum kn_activation activation;
    const float *parameters;
    bool gated;
    bool fresh; // an op before may have written w: it is not read ahead of that
};

// Whether there is a kernel for such operands.
bool few_rows_take(const struct cuda_backend *cuda, const struct kn_matrix *x,
                   const struct kn_matrix *w);
enum kn_status few_rows_multiply(struct kn_backend *self, cudaStream_t stream,
                                 const struct few_product *op);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef KN_REFERENCE_H
#define KN_REFERENCE_H

#include "kernels/measure.h"

// The plain-C table: one thread, host memory, sums in f64. A backend starts from a copy of it.
extern const struct kn_ops kn_reference_ops;

// The functions that open a backend of each kind, called by kn_open; options are never NULL. CUDA's
// exists where the build defines KN_HAS_CUDA.
enum kn_status kn_reference_open(struct kn_backend **kn_p, const struct kn_options *options);
enum kn_status kn_cpu_open(struct kn_backend **kn_p, const struct kn_options *options);
enum kn_status kn_cuda_open(struct kn_backend **kn_p, const struct kn_options *options);
int kn_cuda_device_count(void);
void kn_cuda_prepare(void);
enum kn_status kn_cuda_device_describe(struct kn_device *device, int index);

// activation(v) in f64; parameters as in struct kn_product.
double kn_reference_activate(enum kn_activation activation, const float *parameters, double v);

// The product of one group of a checked op.
struct kn_product kn_product_of_group(const struct kn_grouped_product *op, int64_t group);

// Rows of all groups of a checked op; op->first is the host's.
int64_t kn_rows_of_groups(const struct kn_grouped_product *op);

// After the products of a checked op: the gate of the first `rows` rows, where the op has one.
enum kn_status kn_gate_groups(struct kn_backend *self, const struct kn_grouped_product *op,
                              int64_t rows);

// The experts of row `row` of a checked op, ascending, where its positions belong, and their
// weights. Then, for all rows: rows, positions and first, from the experts.
void kn_route_row(const struct kn_route *op, int64_t row);
void kn_route_sort(const struct kn_route *op);

// The range's ends; where it is absent 0 and `rows`.
static inline int64_t kn_range_begin(const struct kn_range *range) {
    return range->begin ? *range->begin : 0;
}

static inline int64_t kn_range_end(const struct kn_range *range, int64_t rows) {
    return range->begin ? *range->end : rows;
}

// Attention of query row `row` (a row of the batch) and head `head` into y.
void kn_reference_attend(const struct kn_attention *op, int64_t row, int64_t head);

// Ops made of others, by the backend's own entries for those: what a backend has that does no
// better.
enum kn_status kn_reference_keep(struct kn_backend *self, const struct kn_keep *op);

#endif

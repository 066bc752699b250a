// SPDX-License-Identifier: Apache-2.0
#ifndef KN_CHECK_H
#define KN_CHECK_H

#include "kernels/few_bits.h"
#include "kernels/measure.h"

// Passes a failure on to the caller.
#define KN_TRY(call)                                                                               \
    do {                                                                                           \
        enum kn_status kn_try_status_ = (call);                                                    \
        if (kn_try_status_ != KN_OK)                                                               \
            return kn_try_status_;                                                                 \
    } while (0)

// Whether the operands of an op agree: KN_OK, KN_ESHAPE or, for an option that the op does not
// have, KN_EUNSUPPORTED. `type` is the backend's activation type. Every entry of every backend
// calls the check first, so that the code behind it can rely on it.
enum kn_status kn_check_product(const struct kn_product *op, enum kn_type type);
enum kn_status kn_check_grouped_product(const struct kn_grouped_product *op, enum kn_type type);
// Whether op->first, in the host's memory, ascends and its rows fit.
enum kn_status kn_check_groups(const struct kn_grouped_product *op);
enum kn_status kn_check_norm(const struct kn_norm *op, enum kn_type type);
enum kn_status kn_check_rope(const struct kn_rope *op, enum kn_type type);
enum kn_status kn_check_attention(const struct kn_attention *op, enum kn_type type);
enum kn_status kn_check_decode_attention(const struct kn_decode_attention *op, enum kn_type type);
enum kn_status kn_check_keep(const struct kn_keep *op, enum kn_type type);
enum kn_status kn_check_head_norm(const struct kn_head_norm *op, enum kn_type type);
enum kn_status kn_check_head_product(const struct kn_head_product *op, enum kn_type type);
enum kn_status kn_check_copy_heads(const struct kn_copy_heads *op);
enum kn_status kn_check_scale(const struct kn_scale *op, enum kn_type type);
enum kn_status kn_check_route(const struct kn_route *op);
enum kn_status kn_check_gather(const struct kn_gather *op);
enum kn_status kn_check_combine(const struct kn_combine *op);
enum kn_status kn_check_convolution(const struct kn_convolution *op, enum kn_type type);
enum kn_status kn_check_scan(const struct kn_scan *op, enum kn_type type);
enum kn_status kn_check_gate(const struct kn_gate *op, enum kn_type type);
enum kn_status kn_check_block_end(const struct kn_block_end *op);
enum kn_status kn_check_summary(const struct kn_summary *op);
enum kn_status kn_check_gram(const struct kn_gram *op);
enum kn_status kn_check_inner_products(const struct kn_inner_products *op);
enum kn_status kn_check_second_moment(const struct kn_second_moment *op, enum kn_type type);
enum kn_status kn_check_diagonal(const struct kn_diagonal *op);
enum kn_status kn_check_inverse_factor(const struct kn_inverse_factor *op);
enum kn_status kn_check_compensation(const struct kn_compensation *op);
enum kn_status kn_check_squared_outputs(const struct kn_squared_outputs *op);
enum kn_status kn_check_conversion(const struct kn_conversion *op);
enum kn_status kn_check_embed(const struct kn_embed *op);
enum kn_status kn_check_loss(const struct kn_loss *op, enum kn_type type);
enum kn_status kn_check_divergence(const struct kn_divergence *op, enum kn_type type);
enum kn_status kn_check_advance(const struct kn_advance *op);
enum kn_status kn_check_comparison(const struct kn_comparison *op, enum kn_type type);

#endif

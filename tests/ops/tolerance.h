// SPDX-License-Identifier: Apache-2.0
#ifndef TOLERANCE_H
#define TOLERANCE_H

#include "kernels/ops.h"

// How far a result may lie from the truth, which is computed in long double from the same operands:
//   |result - truth| <= relative * |truth| + scaled * max |truth| over the output.
// One row per op and type of the output; a product's `scaled` covers cancellation in its sums.
enum test_op {
    OP_PRODUCT,
    OP_ACTIVATED, // a product with an activation, which sees the sum rounded to y's type
    OP_GATED,     // a gate of sums that are rounded before
    OP_NORM,
    OP_ROPE,
    OP_ATTENTION,
    OP_CONVOLUTION,
    OP_SCAN,
    OP_GATE,
    OP_STATISTICS,
    OP_SUMMARY,
    OP_ROUTE,
    OP_MOMENT, // in f64, of rows of the type
    OP_ADD,
    OP_EMBED,
    OP_COPY,
    OP_SCALE,
    OP_LOSS,
    OP_DIVERGENCE,
    OP_COUNT
};

struct tolerance {
    double relative, scaled;
};

static const struct tolerance tolerances[OP_COUNT][3] = {
    [OP_PRODUCT] = {[KN_F32] = {5e-7, 1e-6}, [KN_F16] = {1e-3, 1e-5}, [KN_BF16] = {8e-3, 1e-5}},
    [OP_ACTIVATED] = {[KN_F32] = {5e-7, 1e-6}, [KN_F16] = {4e-3, 2e-3}, [KN_BF16] = {3e-2, 2e-2}},
    [OP_GATED] = {[KN_F32] = {1e-6, 2e-6}, [KN_F16] = {4e-3, 2e-3}, [KN_BF16] = {3e-2, 2e-2}},
    [OP_ROUTE] = {[KN_F32] = {4e-7, 1e-7}},
    [OP_NORM] = {[KN_F32] = {1e-6, 1e-7}, [KN_F16] = {1e-3, 1e-5}, [KN_BF16] = {8e-3, 1e-5}},
    [OP_ROPE] = {[KN_F32] = {2e-7, 1e-7}, [KN_F16] = {1e-3, 1e-3}, [KN_BF16] = {8e-3, 8e-3}},
    [OP_ATTENTION] = {[KN_F32] = {4e-6, 4e-6}, [KN_F16] = {2e-3, 2e-3}, [KN_BF16] = {1e-2, 1e-2}},
    [OP_CONVOLUTION] = {[KN_F32] = {8e-7, 5e-7}, [KN_F16] = {1e-3, 1e-5}, [KN_BF16] = {8e-3, 1e-5}},
    [OP_SCAN] = {[KN_F32] = {4e-6, 4e-6}, [KN_F16] = {1e-3, 1e-5}, [KN_BF16] = {8e-3, 1e-5}},
    [OP_GATE] = {[KN_F32] = {8e-7, 2e-9}, [KN_F16] = {1e-3, 1e-5}, [KN_BF16] = {8e-3, 1e-5}},
    [OP_STATISTICS] = {[KN_F32] = {1e-14, 1e-14}},
    [OP_SUMMARY] = {[KN_F32] = {1e-12, 0}},
    // Of 16-bit rows a device's units add 16 at a time and cut the sum off at 2^-23 of it; the test
    // has 700 rows at most.
    [OP_MOMENT] = {[KN_F32] = {5e-7, 1e-6}, [KN_F16] = {5.5e-6, 1e-6}, [KN_BF16] = {5.5e-6, 1e-6}},
    [OP_ADD] = {[KN_F32] = {1.5e-7, 1.5e-7}},
    [OP_EMBED] = {[KN_F32] = {1.5e-7, 1.5e-7}},
    [OP_COPY] = {[KN_F32] = {0, 0}, [KN_F16] = {0, 0}, [KN_BF16] = {0, 0}},
    [OP_SCALE] = {[KN_F32] = {1e-7, 0}, [KN_F16] = {1e-3, 1e-6}, [KN_BF16] = {8e-3, 0}},
    [OP_LOSS] = {[KN_F32] = {3e-7, 3e-7}, [KN_F16] = {1e-6, 1e-6}, [KN_BF16] = {1e-6, 1e-6}},
    // A KL is a mean of differences of logits and a difference of two log-sums, each as good as a
    // loss: twice a loss's, of the largest of the KL, the log-sums and 1.
    [OP_DIVERGENCE] = {[KN_F32] = {6e-7, 6e-7}, [KN_F16] = {2e-6, 2e-6}, [KN_BF16] = {2e-6, 2e-6}},
};

#endif

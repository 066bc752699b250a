// SPDX-License-Identifier: Apache-2.0
#ifndef KN_SUMMARY_H
#define KN_SUMMARY_H

#include "kernels/measure.h"

// Computes what one sequence has of a checked op. The calling thread alone does it, token by token
// in order, so that the sums do not depend on the number of threads.
void kn_summarise_sequence(const struct kn_summary *op, int64_t sequence);

#endif

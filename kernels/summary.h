// SPDX-License-Identifier: Apache-2.0
#ifndef KN_SUMMARY_H
#define KN_SUMMARY_H

#include "kernels/measure.h"

// The part of a checked op that one sequence has, written by the calling thread alone: tokens in
// order, so that the sums do not depend on the threads.
void kn_summarise_sequence(const struct kn_summary *op, int64_t sequence);

#endif

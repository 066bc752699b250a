// SPDX-License-Identifier: Apache-2.0
#ifndef TR_MODULE_H
#define TR_MODULE_H

#include <stdint.h>

// The residual adds of a block, each of which is measured: its two sublayers, and both together.
enum tr_module { TR_ATTN, TR_MLP, TR_BLOCK, TR_MODULES };
extern const char *const tr_module_names[TR_MODULES]; // "attn", "mlp", "block"

// Histograms of importance = 1 - cos: 8 bins per decade from 1e-12; the first takes less and zero,
// the last takes more.
enum { TR_BINS = 100 };
double tr_bin_start(int bin); // lower edge; 0 for the first

// Profiles over positions: 0..15 singly, then 8 bins per octave: bin 16 + k starts at
// ceil(16 * 2^(k/8)).
int64_t tr_position_bin(int64_t position);
int64_t tr_position_bin_start(int64_t bin);
int64_t tr_position_bins(int64_t seq_len); // how many a row of seq_len tokens fills

#endif

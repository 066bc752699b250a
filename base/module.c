// SPDX-License-Identifier: Apache-2.0
// The two fixed binnings. Bin edges are products of two table entries, so that an edge computed
// twice is the same double.
#include "base/module.h"

#include <math.h>

const char *const tr_module_names[TR_MODULES] = {"attn", "mlp", "block"};

enum { BINS_PER_DECADE = 8, BINS_PER_OCTAVE = 8, SINGLE_POSITIONS = 16 };

// 10^(k/8) and 2^(k/8)
static const double decade_eighths[BINS_PER_DECADE] = {
    1.0,
    1.3335214321633240,
    1.7782794100389228,
    2.3713737056616553,
    3.1622776601683795,
    4.2169650342858225,
    5.6234132519034908,
    7.4989420933245583,
};
static const double octave_eighths[BINS_PER_OCTAVE] = {
    1.0,
    1.0905077326652577,
    1.1892071150027210,
    1.2968395546510096,
    1.4142135623730951,
    1.5422108254079408,
    1.6817928305074291,
    1.8340080864093424,
};
static const double decades[] = {1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6,
                                 1e-5,  1e-4,  1e-3,  1e-2, 1e-1, 1e0};

double tr_bin_start(int bin) {
    if (bin <= 0)
        return 0;
    return decades[bin / BINS_PER_DECADE] * decade_eighths[bin % BINS_PER_DECADE];
}

int64_t tr_position_bin_start(int64_t bin) {
    if (bin < SINGLE_POSITIONS)
        return bin;
    int64_t k = bin - SINGLE_POSITIONS;
    return (int64_t)ceil(
        ldexp(SINGLE_POSITIONS * octave_eighths[k % BINS_PER_OCTAVE], (int)(k / BINS_PER_OCTAVE)));
}

int64_t tr_position_bin(int64_t position) {
    if (position < SINGLE_POSITIONS)
        return position;
    int64_t bin = SINGLE_POSITIONS + (int64_t)(BINS_PER_OCTAVE * log2((double)position / 16));
    if (position < tr_position_bin_start(bin))
        bin--;
    else if (position >= tr_position_bin_start(bin + 1))
        bin++;
    return bin;
}

int64_t tr_position_bins(int64_t seq_len) {
    return seq_len > 0 ? tr_position_bin(seq_len - 1) + 1 : 0;
}

// SPDX-License-Identifier: Apache-2.0
#ifndef NX_SCALE_H
#define NX_SCALE_H

#include <stdint.h>

// How values become places on an axis or a colour bar, and which of them are written there.

enum nx_scale_kind {
    NX_LINEAR,
    NX_LOG,
    NX_SIGNED_LOG, // logarithmic away from 0 on both sides, and linear within nx_scale_linear
    NX_LOG_ZERO,   // logarithmic from `low` on, and a place of its own for 0, before a gap
    NX_BANDS       // item i of `high` fills [i, i + 1); `low` is 0
};

struct nx_scale {
    enum nx_scale_kind kind;
    double low, high; // both positive where it is logarithmic; low > high turns it round
};

// The scale from the lowest to the highest finite value (positive ones where it is logarithmic),
// widened to a tenth of a decade or of the value when they are equal. `kind` is not NX_BANDS.
struct nx_scale nx_scale_of(enum nx_scale_kind kind, const double *values, int64_t count);

// NX_SIGNED_LOG: up to which distance from 0 it is linear, by its own ends; that part of each side
// is as long as a decade. It ends three decades below the larger end's own.
double nx_scale_linear(const struct nx_scale *scale);

// Widens to whole decades or round numbers, so that the axis ends at ticks.
struct nx_scale nx_scale_round(struct nx_scale scale);

// Where a value lies: 0 at low, 1 at high, beyond them outside [0, 1]. NaN for what has no place
// (NaN, and on a logarithmic scale what is not positive).
double nx_scale_place(const struct nx_scale *scale, double value);

// NX_LOG_ZERO: where the gap is, between the place of 0 and the rest.
enum { NX_GAP_PERCENT = 7 };

// How numbers are written: as they are, as powers of ten ("10^-3": what follows the ^ is to be
// raised), as counts ("12.6M": k, M, B, T), or as whole numbers from 1 on.
enum nx_number { NX_PLAIN, NX_POWER, NX_COUNT, NX_RANK };

enum { NX_NUMBER_MAX = 32 };
// Minus signs are U+2212. `digits` significant ones at most.
char *nx_number_text(enum nx_number style, double value, int digits, char out[NX_NUMBER_MAX]);

struct nx_tick {
    double value;
    char text[NX_NUMBER_MAX]; // "": a small tick
};

enum { NX_TICKS_MAX = 128 };
// Ticks at round values, with at most about `room` texts; returns how many. Not for NX_BANDS.
int nx_scale_ticks(const struct nx_scale *scale, enum nx_number style, int room,
                   struct nx_tick ticks[NX_TICKS_MAX]);

// Bands: every how many are named so that at most `room` names stand there: 1, 2, 5, 10, 20 ...
int64_t nx_band_stride(int64_t bands, int room);

#endif

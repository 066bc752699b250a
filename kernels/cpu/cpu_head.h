// SPDX-License-Identifier: Apache-2.0
#ifndef CPU_HEAD_H
#define CPU_HEAD_H

#include "kernels/measure.h"

// Tiles of the head's logits, which exist only as such, a thread's own. Private to this folder.
enum { TILE_ROWS = 512, TILE_COLS = 384, TILE = TILE_ROWS * TILE_COLS };

struct cpu_head_tile {
    int64_t row, rows, col, cols;
    struct kn_matrix w; // its rows of w, in f32
};

// Tile `index` of all, rows first; `wide` [TILE_COLS, k] where w is of another type.
struct cpu_head_tile cpu_head_tile_at(const struct kn_loss *loss, int64_t index, float *wide);

// Its logits of a stream into z [rows, TILE_COLS].
void cpu_head_logits(const struct kn_loss *loss, const struct kn_matrix *x,
                     const struct cpu_head_tile *tile, float *z);

#endif

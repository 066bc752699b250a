// SPDX-License-Identifier: Apache-2.0
#ifndef CPU_HEAD_H
#define CPU_HEAD_H

#include "kernels/measure.h"

// A pass over the head's logits, which exist only as tiles, two of a thread's own: of the base, and
// of one candidate after the other. Each leaves a part for each of its rows; when all tiles are
// done, a row's parts are put together in the vocabulary's order, so that a row's numbers depend on
// no thread. What a pass makes of logits is whoever's it is. Private to this folder.
enum { TILE_ROWS = 512, TILE_COLS = 384, TILE = TILE_ROWS * TILE_COLS };

struct cpu_head_tile {
    int64_t row, rows, col, cols;
    int64_t index;      // of its columns' tile
    struct kn_matrix w; // its rows of w, in f32
    double *of_base;    // [rows, TILE_COLS] room for what is kept of the base; NULL: none
};

struct cpu_head_pass {
    const struct kn_loss *base;
    int64_t candidates;
    const void *op; // what the calls below are about
    struct kn_matrix (*input)(const void *op, int64_t candidate);
    size_t part_size;   // bytes
    bool keeps_of_base; // something of each of the base's logits, for the candidates

    // Logits of a stream, 0 the base, in z [tile->rows, TILE_COLS], and of the base, to its parts.
    void (*reduce)(const struct cpu_head_pass *pass, const struct cpu_head_tile *tile,
                   int64_t stream, const float *base_z, const float *z);
    void (*combine)(const struct cpu_head_pass *pass, int64_t row);

    // Set by cpu_head_run.
    int64_t row_tiles, col_tiles;
    void *parts; // [col_tiles, 1 + candidates, rows]
};

// A row's part of a tile and stream.
void *cpu_head_part(const struct cpu_head_pass *pass, int64_t col_tile, int64_t stream,
                    int64_t row);

// KN_EUNSUPPORTED where a matrix is too large for the library of products.
enum kn_status cpu_head_run(struct kn_backend *self, struct cpu_head_pass *pass);

#endif

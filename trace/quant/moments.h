// SPDX-License-Identifier: Apache-2.0
#ifndef TR_MOMENTS_H
#define TR_MOMENTS_H

#include "quantizer.h"

// Second moments of what meets the matrices of one stage of a slab, over all micro-batches of all
// ranks. Each micro-batch's are sums in f32; they are added in f64, in the order of the
// micro-batches, whichever rank has them. Private to this folder.
struct tr_moment {
    enum tr_slot slot;
    int64_t matrix, in; // which of the slot's matrices; its inputs
    double *device;     // [in, in] in the backend's memory: the diagonal and what is left of it
    double *sum;        // the same in the host's memory, for AWQ and several ranks; else NULL, or
                        // `device` itself
    int64_t rows;       // of this rank's text that came by
    double all_rows;    // of all ranks'
    double *magnitude;  // [in]: the sum of |x| over all rows; NULL unless it is asked for
    double *magnitudes; // [batches, in] the same by micro-batch
};

struct tr_moments {
    struct tr_quantizer *q;
    int64_t slab;
    int stage;
    int64_t batch;             // of this rank's, under way
    struct tr_moment *moments; // [count], by slot and matrix
    int64_t count;
    int slots, seen; // of the stage; products of this micro-batch
};

// Runs steps [first, last) of the plan and sums, with the magnitudes that AWQ wants. Collective.
enum tr_status tr_moments_measure(struct tr_moments *moments, struct tr_quantizer *q, int64_t slab,
                                  int stage, int64_t first, int64_t last, struct tr_err *err);
void tr_moments_free(struct tr_moments *moments);

// Of one matrix; NULL when there is none.
const struct tr_moment *tr_moments_of(const struct tr_moments *moments, enum tr_slot slot,
                                      int64_t matrix);

#endif

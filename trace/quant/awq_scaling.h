// SPDX-License-Identifier: Apache-2.0
#ifndef TR_AWQ_SCALING_H
#define TR_AWQ_SCALING_H

#include "moments.h"

// Which inputs of a slab's matrices are scaled by AWQ, and what is divided in return: the norm
// before the first product; where every query head has keys of its own, the rows of the values for
// the output of attention; the rows of a gated MLP's second half for its last product, of an expert
// as well. Not a norm that attention and MLP share, nor one that a router reads. Private to this
// folder.

enum tr_awq_source { TR_AWQ_NOTHING, TR_AWQ_NORM, TR_AWQ_ROWS };
enum tr_awq_source tr_awq_source_of(const struct tr_quantizer *q, int64_t slab, int stage);

// Whether a placement has values of its own after that: of a norm or of biases that are divided.
bool tr_awq_changes(const struct tr_quantizer *q, int64_t slab,
                    const struct tr_placement *placement);

// Looks for the scales of a stage and applies them to the held slab. Steps [first, last) are those
// that meet its weights. Collective.
enum tr_status tr_awq_scale_stage(struct tr_quantizer *q, int64_t slab, int stage, int64_t first,
                                  int64_t last, const struct tr_moments *moments,
                                  struct tr_err *err);

// Clamps the matrices of a stage where the search for it is asked for.
enum tr_status tr_awq_clip_stage(struct tr_quantizer *q, int64_t slab, int stage,
                                 const struct tr_moments *moments, struct tr_err *err);

// Adds the values of what was divided in a slab to the part.
enum tr_status tr_awq_keep(struct tr_quantizer *q, int64_t slab, struct tr_part *part,
                           struct tr_err *err);

#endif

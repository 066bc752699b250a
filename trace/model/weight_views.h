// SPDX-License-Identifier: Apache-2.0
#ifndef TR_WEIGHT_VIEWS_H
#define TR_WEIGHT_VIEWS_H

#include "model/backend_status.h"
#include "model/weight_source.h"

// How both sources of weights turn a slab into matrices and vectors.

// The views into `memory`, which holds the slab's bytes or will; small parameters that the host
// needs are taken from slab->memory, where they are.
void tr_weights_view(struct tr_weights *weights, const struct tr_slab *slab, char *memory);

// The matrices of products that are not of the activation type, once for all products with them,
// into memory of tr_slab_converted_bytes.
enum tr_status tr_weights_convert(struct kn_backend *kn, struct tr_weights *weights, char *memory,
                                  struct tr_err *err);

#endif

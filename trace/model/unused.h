// SPDX-License-Identifier: Apache-2.0
#ifndef TR_UNUSED_H
#define TR_UNUSED_H

#include "base/status.h"
#include "ckpt/checkpoint.h"
#include "model/config.h"
#include "model/weights.h"

// Looks at the tensors that no slab of the plan reads. One that lies in a block, or beside a tensor
// of a role outside the blocks (the final norm's bias), would change what the model computes if it
// were used, so it is refused by name; so is one of a layer past the config's last. Buffers that
// say nothing new (inverse frequencies, causal masks, zero biases of quantized weights) are passed
// over, and so are those of sublayers that are not wanted. Tensors of something else (a value head,
// averaged copies of all weights, a vision tower) are passed over, too: plan->others.
enum tr_status tr_check_unused(struct tr_weight_plan *plan, const struct tr_config *config,
                               struct tr_checkpoint *checkpoint, const struct tr_wanted *wanted,
                               struct tr_err *err);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef TR_LAYER_NAMES_H
#define TR_LAYER_NAMES_H

#include "model/family.h"

// Names of tensors as files have them: with the names of modules that hold the model, or parts of
// it, before them or not.

// The name without those that are known. Points into it.
const char *tr_bare_name(const char *name);

// Where the layer's number begins in the name of a tensor in a block, NULL for others: behind the
// word that the family's patterns have there ("layers.", "h."). Points into the name.
const char *tr_layer_number(const struct tr_family *family, const char *name);

// The role of a tensor in a block, TR_WEIGHTS when it is none of the family's: by what stands
// behind the layer's number. The first of the roles that share it.
enum tr_weight tr_layer_role(const struct tr_family *family, const char *name);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef TR_ROPE_CONFIG_H
#define TR_ROPE_CONFIG_H

#include <jansson.h>
#include <stdbool.h>

#include "base/status.h"
#include "model/family.h"
#include "model/rope.h"

// Which rope object of config.json counts for which layers. transformers 5 writes rope_parameters:
// one object, or for families with two rotations one each below full_attention and
// sliding_attention. Before, rope_scaling stood beside top-level keys. Where both are there,
// rope_scaling wins: it replaces rope_parameters whole, its base and fraction included; with two
// rotations it is laid over the object of the layers that see everything.

struct tr_rope_source {
    const json_t *root; // of config.json
    const char *path;   // opens each sentence
    const struct tr_family *family;
    struct tr_rope_defaults full, windowed; // from the keys beside the objects
};

// Reads the rotation of layers that see everything into ropes[0], of windowed ones into ropes[1].
// `twice_p`: whether both spellings are there and differ.
enum tr_status tr_ropes_read(struct tr_rope ropes[2], bool *twice_p,
                             const struct tr_rope_source *from, struct tr_err *err);

#endif

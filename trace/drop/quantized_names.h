// SPDX-License-Identifier: Apache-2.0
#ifndef TR_QUANTIZED_NAMES_H
#define TR_QUANTIZED_NAMES_H

#include "drop_job.h"

// Counts layers anew in the names of modules that config.json's "quantization_config" lists as left
// out or as quantized; names of layers that are gone go with them. Private to this folder.
// TR_EUNSUPPORTED where such an entry is a pattern that may count layers.
enum tr_status tr_renumber_quantized(const struct tr_drop_job *job, json_t *root,
                                     struct tr_err *err);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef TR_PACKING_CONFIG_H
#define TR_PACKING_CONFIG_H

#include "drop_job.h"

// What config.json says of weights in few bits, and what is said to people. Private to this folder.

// Refuses a job whose weights cannot be packed as its packing says: TR_EUNSUPPORTED.
enum tr_status tr_packing_check_all(const struct tr_drop_job *job, struct tr_err *err);

// Sets "quantization_config" for the layout, with the modules that are left out under the names
// that they get. Who reads what of it: docs/quantized-layouts.md.
enum tr_status tr_packing_configure(const struct tr_drop_job *job, json_t *root,
                                    struct tr_err *err);

// Writes the files beside config.json that readers of the layout look for.
enum tr_status tr_packing_write_beside(const struct tr_drop_job *job, const char *folder,
                                       struct tr_err *err);

// Linear modules whose weights are written as they were, under the names that they get: a list of
// strings, owned by the caller.
enum tr_status tr_list_left_out(const struct tr_drop_job *job, json_t **list_p, struct tr_err *err);

// Who loads it, in a sentence. Borrowed.
const char *tr_packing_loads(const struct tr_packing *packing);

#endif

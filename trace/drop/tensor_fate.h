// SPDX-License-Identifier: Apache-2.0
#ifndef TR_TENSOR_FATE_H
#define TR_TENSOR_FATE_H

#include "drop/packing.h"
#include "form.h"

// What becomes of a tensor of the source, and of its name. Private to this folder.

enum tr_fate tr_fate_of(const struct tr_drop_job *job, const struct tr_tensor *tensor);

// What the job's packing does with it. Tensors that are zeroed or gone, and a job's without a
// packing, stay.
enum tr_packing_fate tr_packing_fate_of(const struct tr_drop_job *job,
                                        const struct tr_tensor *tensor);

// A name with its layer's new number; *name_p is freed by the caller, NULL where it stays as it is.
enum tr_status tr_new_name(char **name_p, const struct tr_drop_job *job, const char *name,
                           struct tr_err *err);

#endif

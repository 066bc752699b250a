// SPDX-License-Identifier: Apache-2.0
#ifndef TR_PACKING_CARD_H
#define TR_PACKING_CARD_H

#include "drop_job.h"

// What is said to people of weights in few bits. Private to this folder.

// "70 weights in 4 bits (gptq) as gptq-v2, symmetric, in groups of 128 inputs; as they were:
// lm_head." Appended, as a line.
enum tr_status tr_packing_tell(const struct tr_drop_job *job, struct tr_string *told,
                               struct tr_err *err);

// QUANTIZED.md: what was told, how codes were found, and who loads the folder, as a part of a model
// card.
enum tr_status tr_packing_card_write(const struct tr_drop_job *job, const char *told,
                                     const char *folder, struct tr_err *err);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef TR_CARD_H
#define TR_CARD_H

#include "drop_job.h"

// DROPPED.md: what was left out of the model, by which rule, at what cost, as a part of a model
// card. `told`: what was done, in lines. Of a plan (--drop @PLAN) each value is repeated: by what
// layers were ranked, over which checkpoints, and costs where it carries them.
enum tr_status tr_card_write(const struct tr_drop_job *job, const char *told, const char *folder,
                             struct tr_err *err);

#endif

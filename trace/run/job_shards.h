// SPDX-License-Identifier: Apache-2.0
#ifndef TR_JOB_SHARDS_H
#define TR_JOB_SHARDS_H

#include "run/run.h"

// Collective. tr_run of the settings' shard, and then of each shard of the same OUT whose job died
// without a word (killed, or its node is lost), as long as another job is at one: of jobs that were
// started together, those that live do the work of those that do not. A shard that another job has
// in hand, also the own one, is left to it. Without settings->take_over it is tr_run.
enum tr_status tr_run_shards(const struct tr_run_settings *settings, struct dist *dist,
                             struct tr_run_outcome *outcome, struct tr_err *err);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef TR_TRAINER_COUNTERS_H
#define TR_TRAINER_COUNTERS_H

#include "trainer_state.h"

// Steps and tokens that trainers count in files of their own: a table, one row a file. Internal.

// Reads the first file of the table that the checkpoint `path`, a folder or a file, has; without
// one *state says nothing. A file that cannot be read is an error, state->file saying which.
enum tr_status tr_trainer_counters_read(struct tr_trainer_state *state, const char *path,
                                        struct tr_err *err);

#endif

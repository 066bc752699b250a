// SPDX-License-Identifier: Apache-2.0
#ifndef TR_TRAINER_STATE_H
#define TR_TRAINER_STATE_H

#include <stdint.h>

#include "base/status.h"

// What trainer_state.json, which the Hugging Face Trainer writes beside the weights, says of a
// checkpoint's place in training. Internal.
struct tr_trainer_state {
    int64_t step;     // global_step; -1 when not given
    double tokens;    // num_input_tokens_seen; NaN when not given or not counted (0 behind step 0)
    const char *file; // that says so, of static text; "" where there is none
};

// A folder without the file says nothing; a malformed file is TR_EFORMAT.
enum tr_status tr_trainer_state_read(struct tr_trainer_state *state, const char *folder,
                                     struct tr_err *err);

#endif

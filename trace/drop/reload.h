// SPDX-License-Identifier: Apache-2.0
#ifndef TR_RELOAD_H
#define TR_RELOAD_H

#include "drop_job.h"

// How far the written checkpoint is from the source without the set, over the same rows of tokens.
struct tr_reloaded {
    int64_t rows, seq_len;
    double loss;   // the largest difference of a next-token loss, in nats
    double stream; // the largest difference of an entry of the last residual stream over the
                   // largest entry
};

// Runs the source without the set, and the checkpoint in `folder` as its config.json there says.
// Tokens are drawn from the vocabulary, always the same. TR_EFORMAT where they differ by more than
// rounding does.
enum tr_status tr_reload(struct tr_reloaded *reloaded, const struct tr_drop_job *job,
                         const char *folder, struct tr_err *err);

#endif

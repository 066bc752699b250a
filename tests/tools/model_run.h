// SPDX-License-Identifier: Apache-2.0
// A stored model over its tokens, for tests: everything that a forward pass needs, opened and
// closed together.
#ifndef MODEL_RUN_H
#define MODEL_RUN_H

#include "model/forward.h"
#include "text/calibration.h"

struct model_run {
    struct kn_backend *kn; // borrowed
    struct tr_wanted wanted;
    struct tr_calibration calibration;
    struct tr_loaded loaded;
    struct tr_slab_reader *reader;
    struct tr_streamed *weights;
    struct tr_streams *streams;
    struct tr_forward *forward;
    char folder[512];
};

// Opens FOLDER with the tokens of TOKENS (NULL: FOLDER/tokens.npy), a sequence at a time.
enum tr_status model_run_open(struct model_run *run, struct kn_backend *kn, const char *folder,
                              const char *tokens, struct tr_wanted wanted, bool per_token,
                              struct tr_err *err);

// All steps over all sequences, the weights streamed.
enum tr_status model_run_pass(struct model_run *run, const struct tr_taps *taps,
                              struct tr_err *err);

// Steps [first, last) (last 0: all) for these candidates, with weights from `source`.
enum tr_status model_run_steps(struct model_run *run, const struct tr_weight_source *source,
                               const struct tr_candidate *candidates, int count, int64_t first,
                               int64_t last, struct tr_err *err);

// More streams, for a second candidate.
enum tr_status model_run_streams(const struct model_run *run, struct tr_streams **streams_p,
                                 struct tr_err *err);

// Streams of a candidate that forks: what it makes of the rows in the end is all that is measured.
enum tr_status model_run_fork(const struct model_run *run, struct tr_streams **streams_p,
                              struct tr_err *err);

void model_run_close(struct model_run *run);

#endif

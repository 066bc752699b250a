// SPDX-License-Identifier: Apache-2.0
#include "model_run.h"

#include <stdio.h>

static struct tr_forward_options options_of(const struct model_run *run, bool per_token) {
    return (struct tr_forward_options){.seq_len = run->calibration.seq_len,
                                       .max_sequences = run->calibration.sequences,
                                       .micro_batch = 1,
                                       .head = run->wanted.head,
                                       .per_token = per_token,
                                       .divergences = run->wanted.head};
}

enum tr_status model_run_open(struct model_run *run, struct kn_backend *kn, const char *folder,
                              const char *tokens, struct tr_wanted wanted, bool per_token,
                              struct tr_err *err) {
    char beside[600];
    *run = (struct model_run){.kn = kn, .wanted = wanted};
    snprintf(run->folder, sizeof run->folder, "%s", folder);
    snprintf(beside, sizeof beside, "%s/tokens.npy", folder);
    TR_TRY(tr_loaded_examine(&run->loaded, folder, &run->wanted, err));
    struct tr_calibration_options rows = {.vocabulary = run->loaded.config.vocabulary};
    TR_TRY(tr_calibration_from_tokens(&run->calibration, tokens ? tokens : beside, &rows, err));
    struct tr_forward_options options = options_of(run, per_token);
    const struct tr_config *config = &run->loaded.config;
    TR_TRY(tr_slab_reader_open(&run->reader, kn, 0, 0, err));
    TR_TRY(tr_streamed_new(&run->weights, kn, 0, 0, err));
    TR_TRY(tr_streams_new(&run->streams, kn, config, &options, err));
    return tr_forward_new(&run->forward, kn, config, &options, err);
}

enum tr_status model_run_streams(const struct model_run *run, struct tr_streams **streams_p,
                                 struct tr_err *err) {
    struct tr_forward_options options = options_of(run, true);
    return tr_streams_new(streams_p, run->kn, &run->loaded.config, &options, err);
}

enum tr_status model_run_fork(const struct model_run *run, struct tr_streams **streams_p,
                              struct tr_err *err) {
    struct tr_forward_options options = options_of(run, false);
    options.losses_only = true;
    return tr_streams_new(streams_p, run->kn, &run->loaded.config, &options, err);
}

enum tr_status model_run_steps(struct model_run *run, const struct tr_weight_source *source,
                               const struct tr_candidate *candidates, int count, int64_t first,
                               int64_t last, struct tr_err *err) {
    struct tr_rows rows = {run->calibration.ids, run->calibration.sequences,
                           run->calibration.seq_len, NULL};
    struct tr_pass pass = {
        .rows = &rows, .end = rows.sequences, .first_step = first, .last_step = last};
    return tr_forward_run(run->forward, source, candidates, count, &pass, err);
}

enum tr_status model_run_pass(struct model_run *run, const struct tr_taps *taps,
                              struct tr_err *err) {
    char digest[TR_DIGEST_MAX];
    struct tr_candidate whole = {.streams = run->streams, .taps = taps};
    TR_TRY(tr_slab_reader_push(run->reader, run->folder, &run->wanted, err));
    TR_TRY(tr_slab_reader_begin(run->reader, &run->loaded, err));
    struct tr_weight_source source = tr_streamed_begin(run->weights, run->reader);
    enum tr_status status = model_run_steps(run, &source, &whole, 1, 0, 0, err);
    tr_slab_reader_end(run->reader, digest);
    return status;
}

void model_run_close(struct model_run *run) {
    tr_forward_free(run->forward);
    tr_streams_free(run->streams);
    tr_streamed_free(run->weights);
    tr_slab_reader_close(run->reader);
    tr_calibration_free(&run->calibration);
}

// SPDX-License-Identifier: Apache-2.0
#ifndef TR_PASS_WEIGHTS_H
#define TR_PASS_WEIGHTS_H

#include "model/weight_source.h"

// A checkpoint's weights for one pass after the other: resident where they may be, else read from
// disk for each pass, with room for a few slabs.
struct tr_pass_weights {
    struct kn_backend *kn;
    const char *folder; // borrowed
    struct tr_wanted wanted;
    struct tr_resident *resident; // NULL: streamed
    struct tr_slab_reader *reader;
    struct tr_streamed *streamed;
    struct tr_loaded loaded;
    double waited; // seconds that passes over streamed weights have waited for them
    int64_t passes;
};

// `memory`: bytes of the backend that resident weights may take. On failure nothing is left open.
enum tr_status tr_pass_weights_open(struct tr_pass_weights *weights, struct kn_backend *kn,
                                    const char *folder, const struct tr_wanted *wanted,
                                    double memory, struct tr_err *err);
void tr_pass_weights_close(struct tr_pass_weights *weights);
// Bytes of the backend's memory that they take.
double tr_pass_weights_bytes(const struct tr_pass_weights *weights);

// The source of the next pass; tr_pass_weights_end follows when it is over, or has failed. Weights
// of `drop`, which no model of the pass has, are not read where they are streamed; NULL: those that
// the weights were opened without. It is borrowed for the pass.
enum tr_status tr_pass_weights_begin_without(struct tr_pass_weights *weights,
                                             const struct tr_drop_set *drop,
                                             struct tr_weight_source *source, struct tr_err *err);
enum tr_status tr_pass_weights_begin(struct tr_pass_weights *weights,
                                     struct tr_weight_source *source, struct tr_err *err);
void tr_pass_weights_end(struct tr_pass_weights *weights);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef DIVERGENCE_RUN_H
#define DIVERGENCE_RUN_H

#include "support.h"

// A head and the tokens it is asked about; the streams' activations come beside it.
struct head {
    struct matrix w;
    float *bias, *host_bias; // or NULL
    float scale, softcap;
    int32_t *targets; // [rows], in the backend's memory
    int64_t panels;
};

// What divergence left of streams, the base first; the base's cross stays 0.
enum { MAXIMUM, SUM, TARGET, CROSS, BEST_LOGIT, SUMS };
struct numbers {
    double *sums;  // [streams, SUMS, rows]
    int32_t *best; // [streams, rows]
    int64_t rows;
    double *compared; // [candidates, KN_COMPARED, rows], once run_comparison has been called
};

enum { MOST = 8 }; // candidates

static inline double *sums_of(const struct numbers *got, int64_t stream, int what) {
    return got->sums + (stream * SUMS + what) * got->rows;
}

// shape: rows, vocabulary, k, panels.
struct head head_random(enum kn_type type, const int64_t shape[4], bool with_bias);

// Panel p of the head, without activations and state; and those of `state` put into `loss`.
struct kn_loss panel_of(const struct head *h, int64_t p);
void set_state(struct kn_loss *loss, const struct kn_loss *state);

// All panels. x[0] is the base's, x[1 ... candidates] the candidates'.
struct numbers run_divergence(const struct head *h, const struct matrix *x, int64_t candidates);

// The panels once more: compares the candidates of what run_divergence gave with the base.
void run_comparison(const struct head *h, const struct matrix *x, int64_t candidates,
                    struct numbers *got);

// maximum + log(sum), and KL(base || candidate) in nats, as callers have them.
double log_sum(const struct numbers *got, int64_t stream, int64_t r);
double divergence_of(const struct numbers *got, int64_t stream, int64_t r);

#endif

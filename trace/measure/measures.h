// SPDX-License-Identifier: Apache-2.0
#ifndef TR_MEASURES_H
#define TR_MEASURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strings.h"
#include "model/tap.h"
#include "store/row.h"

// What a model makes of cost sequences [first, first + sequences) without something: a sublayer or
// block, a named set, or nothing at all, when only the loss is there and the rest is NULL. loss,
// divergence and agrees by token, as in struct tr_divergence_tap.
enum tr_removed { TR_REMOVED_NOTHING, TR_REMOVED_SUBLAYER, TR_REMOVED_SET };
struct tr_removal {
    enum tr_removed what;
    enum tr_module module; // of a sublayer or block
    int layer;
    int set; // of a named set, its number
    int64_t first, sequences, seq_len;
    const double *loss, *divergence, *jensen, *angle, *distance, *reversed;
    const int32_t *agrees;
};

// What is kept of a removal, each as the mean over a sequence's positions: of those that have a
// next token for the loss, of all for the others; NaN where the removal has nothing.
enum tr_quantity {
    TR_Q_LOSS,
    TR_Q_DIVERGENCE,
    TR_Q_AGREEMENT,
    TR_Q_JENSEN,
    TR_Q_ANGLE,
    TR_Q_DISTANCE,
    TR_Q_REVERSED,
    TR_QUANTITIES
};
double tr_removal_mean(const struct tr_removal *removal, enum tr_quantity quantity,
                       int64_t sequence);

// A measure is a row: what is kept of a checkpoint's taps over a range of calibration sequences,
// how neighbouring ranges join, and which variables of the store come of it.
// docs/adding-a-measure.md walks through one. Results of ranges join exactly, whatever the ranges
// were: what depends on an order of sums is kept per sequence until `finish`.
struct tr_measure {
    const char *name;
    bool is_addition; // may be measured later and put into a row that is there
    // Whether a store of this layout has the measure's variables; else no state is made.
    bool (*wanted)(const struct tr_layout *layout);
    // Nothing measured yet of calibration sequences [begin, end).
    enum tr_status (*new)(void **state_p, const struct tr_layout *layout, int64_t begin,
                          int64_t end, struct tr_err *err);
    void (*free)(void *state); // accepts NULL

    // What the model hands out (model/tap.h); NULL: the measure does not look at it.
    void (*tap)(void *state, const struct tr_tap *tap);
    void (*loss)(void *state, const struct tr_loss_tap *tap);
    void (*removal)(void *state, const struct tr_removal *removal);
    // Tokens whose stream is wanted at every boundary, and where the streams of those from `first`
    // on go. At most one measure of the table has them.
    const int64_t *(*tokens)(const void *state, int64_t *count_p);
    float *(*boundary)(void *state, int64_t boundary, int64_t first);

    // The state as bytes, for sending; borrowed. How many they are of sequences [begin, end).
    void (*bytes)(const void *state, const void **bytes_p, size_t *size_p);
    size_t (*size)(const struct tr_layout *layout, int64_t begin, int64_t end);
    // Puts the state of sequences [begin, end), sent as bytes, into one that covers that range.
    // TR_EFORMAT when they are not as many as they should be.
    enum tr_status (*join)(void *state, int64_t begin, int64_t end, const void *bytes, size_t size,
                           struct tr_err *err);

    // Fills the measure's variables of a row from the state of all sequences, with that many
    // threads of the host (at least 1), which the bits do not depend on. The state is used up.
    enum tr_status (*finish)(void *state, int threads, struct tr_row *row, struct tr_err *err);
    // The most bytes of memory that a rank takes for it, `finish` included.
    double (*room)(const struct tr_layout *layout, int threads);
};

extern const struct tr_measure tr_measure_sums, tr_measure_spans, tr_measure_removals;

// ---- all measures of the table together --------------------------------------------------------

enum { TR_MEASURES = 3 };
extern const struct tr_measure *const tr_measures[TR_MEASURES];

// What is measured of one checkpoint over a range of calibration sequences. Zeros are nothing.
struct tr_measured {
    void *state[TR_MEASURES]; // NULL: not wanted
};

enum tr_status tr_measured_new(struct tr_measured *measured, const struct tr_layout *layout,
                               int64_t begin, int64_t end, struct tr_err *err);
// Additions alone.
enum tr_status tr_measured_new_additions(struct tr_measured *measured,
                                         const struct tr_layout *layout, struct tr_err *err);
void tr_measured_free(struct tr_measured *measured); // leaves zeros

// Taps whose user is `measured`; `slab` and the user of other callbacks are the caller's to set.
void tr_measured_tap(struct tr_measured *measured, const struct tr_tap *tap);
void tr_measured_loss(struct tr_measured *measured, const struct tr_loss_tap *tap);
void tr_measured_removal(struct tr_measured *measured, const struct tr_removal *removal);
const int64_t *tr_measured_tokens(const struct tr_measured *measured, int64_t *count_p);
float *tr_measured_boundary(struct tr_measured *measured, int64_t boundary, int64_t first);

// Appends the states as bytes, and puts those of sequences [begin, end) into what is measured of
// all of the layout's.
enum tr_status tr_measured_append(const struct tr_measured *measured, struct tr_string *bytes,
                                  struct tr_err *err);
enum tr_status tr_measured_join(struct tr_measured *measured, const struct tr_layout *layout,
                                int64_t begin, int64_t end, const void *bytes, size_t size,
                                struct tr_err *err);
enum tr_status tr_measured_finish(struct tr_measured *measured, int threads, struct tr_row *row,
                                  struct tr_err *err);
double tr_measured_room(const struct tr_layout *layout, int threads);

#endif

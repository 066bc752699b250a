// SPDX-License-Identifier: Apache-2.0
// What leaving one sublayer or block out costs, by sequence: the loss of the rest, how far its
// distributions of the next token are from the whole model's (He et al. 2024, arXiv 2406.15786,
// remove by similarity; this is what they stand for), and how often both find the same token most
// likely. Costs are measured on some sequences only (tr_cost_sequence), and on each by whoever has
// it: values that were not brought are missing, and ranges join by what each has.
#include "measure/measures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"

// Those that a store of costs has: the first ones.
enum { QUANTITIES = TR_Q_ANGLE + 1 };

struct removals {
    struct tr_layout layout;
    // [1 + layers x modules, cost sequences, QUANTITIES] and behind them as many flags [1 + layers
    // x modules, cost sequences]: 1 where there is a value. First the whole model, of which only
    // the loss says something.
    double *values;
    char *known;
    size_t bytes; // of both
};

static int64_t cells_of(const struct tr_layout *layout) {
    return (1 + layout->layers * TR_MODULES + layout->drop_sets) * layout->cost_sequences;
}

static size_t removals_size(const struct tr_layout *layout, int64_t begin, int64_t end) {
    (void)begin;
    (void)end;
    return (size_t)cells_of(layout) * (QUANTITIES * sizeof(double) + 1);
}

static bool removals_wanted(const struct tr_layout *layout) {
    return layout->cost_sequences > 0;
}

static void removals_free(void *state) {
    struct removals *removals = state;
    if (!removals)
        return;
    free(removals->values);
    free(removals);
}

static enum tr_status removals_new(void **state_p, const struct tr_layout *layout, int64_t begin,
                                   int64_t end, struct tr_err *err) {
    struct removals *removals;
    char *memory;
    size_t bytes = removals_size(layout, begin, end);
    TR_TRY(TR_NEW(&removals, 1, "costs", err));
    enum tr_status status = TR_NEW(&memory, bytes, "costs", err);
    if (status != TR_OK) {
        free(removals);
        return status;
    }
    removals->layout = *layout;
    removals->values = (double *)memory;
    removals->known = memory + (size_t)cells_of(layout) * QUANTITIES * sizeof(double);
    removals->bytes = bytes;
    *state_p = removals;
    return TR_OK;
}

// Where what a removal says of its first sequence goes.
static int64_t place_of(const struct tr_layout *layout, const struct tr_removal *removal) {
    int64_t sets = 1 + layout->layers * TR_MODULES, place = 0;
    if (removal->what == TR_REMOVED_SUBLAYER)
        place = 1 + removal->layer * TR_MODULES + removal->module;
    else if (removal->what == TR_REMOVED_SET)
        place = sets + removal->set;
    return place * layout->cost_sequences + removal->first;
}

// The mean over the first `count` positions of a sequence, in their order; NaN of what nobody
// measured.
static double mean_of(const double *values, int64_t at, int64_t count) {
    double sum = values ? 0 : (double)NAN;
    for (int64_t i = 0; values && i < count; i++)
        sum += values[at + i];
    return sum / (double)count;
}

static double share_of(const int32_t *flags, int64_t at, int64_t count) {
    double sum = flags ? 0 : (double)NAN;
    for (int64_t i = 0; flags && i < count; i++)
        sum += flags[at + i];
    return sum / (double)count;
}

double tr_removal_mean(const struct tr_removal *removal, enum tr_quantity quantity,
                       int64_t sequence) {
    const double *const values[TR_QUANTITIES] = {
        [TR_Q_LOSS] = removal->loss,         [TR_Q_DIVERGENCE] = removal->divergence,
        [TR_Q_JENSEN] = removal->jensen,     [TR_Q_ANGLE] = removal->angle,
        [TR_Q_DISTANCE] = removal->distance, [TR_Q_REVERSED] = removal->reversed};
    int64_t length = removal->seq_len, at = sequence * length;
    if (quantity == TR_Q_AGREEMENT)
        return share_of(removal->agrees, at, length);
    return mean_of(values[quantity], at, quantity == TR_Q_LOSS ? length - 1 : length);
}

static void take_sequence(double *to, const struct tr_removal *removal, int64_t sequence) {
    for (int quantity = 0; quantity < QUANTITIES; quantity++)
        to[quantity] = tr_removal_mean(removal, (enum tr_quantity)quantity, sequence);
}

static void removals_removal(void *state, const struct tr_removal *removal) {
    struct removals *removals = state;
    const struct tr_layout *layout = &removals->layout;
    TR_ASSERT(removal->first >= 0);
    TR_ASSERT(removal->first + removal->sequences <= layout->cost_sequences);
    int64_t cell = place_of(layout, removal);
    for (int64_t s = 0; s < removal->sequences; s++) {
        take_sequence(removals->values + (cell + s) * QUANTITIES, removal, s);
        removals->known[cell + s] = 1;
    }
}

static void removals_bytes(const void *state, const void **bytes_p, size_t *size_p) {
    const struct removals *removals = state;
    *bytes_p = removals->values;
    *size_p = removals->bytes;
}

static enum tr_status removals_join(void *state, int64_t begin, int64_t end, const void *bytes,
                                    size_t size, struct tr_err *err) {
    struct removals *removals = state;
    int64_t cells = cells_of(&removals->layout);
    const char *values = bytes, *known = values + (size_t)cells * QUANTITIES * sizeof(double);
    if (size != removals->bytes)
        return tr_fail(err, TR_EFORMAT,
                       "costs of sequences %lld to %lld have %zu bytes, expected %zu",
                       (long long)begin, (long long)end, size, removals->bytes);
    for (int64_t cell = 0; cell < cells; cell++) {
        if (!known[cell])
            continue;
        size_t one = QUANTITIES * sizeof(double);
        memcpy(removals->values + cell * QUANTITIES, values + (size_t)cell * one, one);
        removals->known[cell] = 1;
    }
    return TR_OK;
}

// Values that nobody measured stay as they are in the row: missing, or of an earlier run.
static void finish_variable(const struct removals *removals, double *to, int64_t first,
                            int64_t count, enum tr_quantity quantity) {
    for (int64_t i = 0; i < count; i++)
        if (removals->known[first + i])
            to[i] = removals->values[(first + i) * QUANTITIES + quantity];
}

static enum tr_status removals_finish(void *state, int threads, struct tr_row *row,
                                      struct tr_err *err) {
    static const struct {
        enum tr_variable_id single, set;
        enum tr_quantity quantity;
    } variables[] = {
        {TR_V_DROP_NLL, TR_V_SET_NLL, TR_Q_LOSS},
        {TR_V_DROP_KL, TR_V_SET_KL, TR_Q_DIVERGENCE},
        {TR_V_DROP_AGREE, TR_V_SET_AGREE, TR_Q_AGREEMENT},
        {TR_VARIABLES, TR_V_SET_JS, TR_Q_JENSEN},
        {TR_VARIABLES, TR_V_SET_ANGLE, TR_Q_ANGLE}}; // of single sublayers: not measured
    const struct removals *removals = state;
    const struct tr_layout *layout = &removals->layout;
    int64_t rows = layout->cost_sequences, singles = layout->layers * TR_MODULES * rows;
    (void)threads;
    (void)err;
    finish_variable(removals, tr_row_f64(row, TR_V_BASE_NLL), 0, rows, TR_Q_LOSS);
    for (size_t v = 0; v < sizeof variables / sizeof *variables; v++) {
        if (variables[v].single < TR_VARIABLES)
            finish_variable(removals, tr_row_f64(row, variables[v].single), rows, singles,
                            variables[v].quantity);
        if (tr_variable_present(variables[v].set, layout))
            finish_variable(removals, tr_row_f64(row, variables[v].set), rows + singles,
                            layout->drop_sets * rows, variables[v].quantity);
    }
    return TR_OK;
}

static double removals_room(const struct tr_layout *layout, int threads) {
    (void)threads;
    return 2 * (double)removals_size(layout, 0, layout->sequences);
}

const struct tr_measure tr_measure_removals = {.name = "removals",
                                               .is_addition = true,
                                               .wanted = removals_wanted,
                                               .new = removals_new,
                                               .free = removals_free,
                                               .removal = removals_removal,
                                               .bytes = removals_bytes,
                                               .size = removals_size,
                                               .join = removals_join,
                                               .finish = removals_finish,
                                               .room = removals_room};

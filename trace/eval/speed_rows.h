// SPDX-License-Identifier: Apache-2.0
#ifndef TR_SPEED_ROWS_H
#define TR_SPEED_ROWS_H

#include <jansson.h>

#include "base/named_sets.h"
#include "base/strings.h"
#include "speed.h"

struct tr_sublayer_speeds;

// What was measured of speed beside what can be counted, as a table and as JSON. Private to this
// folder.

// The median of the rounds, and the range. Not there: the ranges of both sides overlap, so that
// what they are the ratio of is not known to differ.
struct tr_speed_range {
    double median, low, high;
    bool is_there;
};

struct tr_speed_row {
    int64_t set; // 0: nothing is left out
    struct tr_speed_shape shape;
    struct tr_speed_range prefill, decode; // tokens a second
    // Of the model without the set over the whole one: of the medians, and of each round's.
    struct tr_speed_range prefill_ratio, decode_ratio;
    // Counted: bytes of weights and of keys and values that a step reads in the middle of the
    // generated text, bytes that a token leaves in the cache, operations of a token's step and of a
    // prompt's token.
    double weight_bytes, cache_bytes, token_bytes, step_flops, prompt_flops;
    // The most that counts allow of a ratio: those of bytes and of operations, and what it would be
    // if what is kept took no longer than the machine's rates. A sublayer may well be slower than
    // its share of bytes, as attention over few rows is, so the former alone are no bound.
    double prefill_most, decode_most;
    double peak, planned;      // bytes: measured, and by formula
    double share_of_bandwidth; // bytes read a second over what a copy moves
};

struct tr_speed_rows {
    struct tr_speed_row *rows; // [count], shape by shape, the whole model first in each
    int64_t count;
    uint64_t capacity;
    const struct tr_named_sets *sets;
    const char *checkpoint, *device, *description, *type;
    int64_t rounds;
    double copy_rate, product_rate; // the machine's, see speed.h
    bool is_resident;
    const struct tr_sublayer_speeds *sublayers; // [sublayer_count] of shapes; borrowed
    int64_t sublayer_count;
};

// Measures one shape, whole and without each set, and adds its rows. TR_EUSAGE where the model has
// too few positions.
enum tr_status tr_speed_rows_measure(struct tr_speed_rows *rows, struct tr_pass_weights *weights,
                                     const struct tr_speed_shape *shape, struct tr_err *err);
void tr_speed_rows_free(struct tr_speed_rows *rows);

enum tr_status tr_speed_table(const struct tr_speed_rows *rows, struct tr_string *page,
                              struct tr_err *err);
json_t *tr_speed_json(const struct tr_speed_rows *rows); // NULL: no memory

#endif

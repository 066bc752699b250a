// SPDX-License-Identifier: Apache-2.0
#ifndef TR_SPEED_SUBLAYERS_H
#define TR_SPEED_SUBLAYERS_H

#include <jansson.h>

#include "speed.h"
#include "speed_rows.h"

// Milliseconds of each sublayer: what a step of decoding, and a prompt, take less without all
// sublayers of a kind, divided by how many they are. Of a kind are those of one module that take
// the same and see as far. Private to this folder.

struct tr_sublayer_kind {
    enum tr_module module;
    double parameters; // that a token meets
    bool windowed;
    int64_t count;
    double decode, prefill; // milliseconds of one: medians of the rounds
};

struct tr_sublayer_speeds {
    struct tr_speed_shape shape;
    double decode, prefill; // milliseconds of the whole model
    struct tr_sublayer_kind *kinds;
    int64_t count;
    uint64_t capacity;
    int64_t layers;
    int64_t *kind; // [layers, 2] attention, MLP: which one; -1: there is none
};

// The whole model and, without each kind, the rest take turns in `rounds` rounds.
enum tr_status tr_sublayer_speeds_measure(struct tr_sublayer_speeds *speeds,
                                          struct tr_pass_weights *weights,
                                          const struct tr_speed_shape *shape, int64_t rounds,
                                          struct tr_err *err);
void tr_sublayer_speeds_free(struct tr_sublayer_speeds *speeds);

// A line for each kind; appended.
enum tr_status tr_sublayer_speeds_table(const struct tr_sublayer_speeds *speeds, int64_t count,
                                        const char *checkpoint, struct tr_string *page,
                                        struct tr_err *err);
json_t *tr_sublayer_speeds_json(const struct tr_sublayer_speeds *speeds); // NULL: no memory

#endif

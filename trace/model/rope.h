// SPDX-License-Identifier: Apache-2.0
#ifndef TR_ROPE_H
#define TR_ROPE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

// Rotary position embedding (Su et al. 2021) and its scalings, as data.
enum { TR_MAX_PAIRS = 256 };

enum tr_rope_type {
    TR_ROPE_DEFAULT,
    TR_ROPE_LINEAR,  // positions / factor (Chen et al. 2023)
    TR_ROPE_DYNAMIC, // base grows with the sequence past the maximum (NTK-aware)
    TR_ROPE_YARN,    // Peng et al. 2023
    TR_ROPE_LONG,    // a factor per pair (LongRoPE, Ding et al. 2024)
    TR_ROPE_LLAMA3   // low frequencies divided, high ones kept, smooth between
};

struct tr_rope {
    enum tr_rope_type type;
    int64_t pairs; // of entries of a head that turn
    double theta, factor, low_factor, high_factor, beta_fast, beta_slow;
    double scale;       // of cos and sin
    double score_scale; // of the scores, mscale_all_dim of the two vectors that meet in one
    int64_t positions, original_positions;
    bool truncate;
    float short_factors[TR_MAX_PAIRS], long_factors[TR_MAX_PAIRS]; // TR_ROPE_LONG
};

// What a family and config say before the rope object is read.
struct tr_rope_defaults {
    double theta, fraction;
    int64_t dim; // entries of a head, or of its part that may turn
    int64_t positions;
    int64_t original_positions; // given beside the rope object, where it wins; 0: not
    bool whole; // all of dim turns: a fraction is ignored unless the rotation is scaled
    bool alpha; // "alpha" of the type "dynamic" stretches the base, whatever the length
};

// Reads one rope object in either spelling (rope_parameters of transformers 5, rope_scaling
// before); NULL: the defaults.
enum tr_status tr_rope_read(struct tr_rope *rope, const json_t *object,
                            const struct tr_rope_defaults *defaults, const char *path,
                            struct tr_err *err);

const char *tr_rope_type_name(enum tr_rope_type type); // as config.json spells it

// Tables cos, sin [seq_len, pairs], rounded to f32 where the reference implementation rounds: the
// exponent, the frequency, the angle.
void tr_rope_tables(const struct tr_rope *rope, int64_t seq_len, float *cos_table,
                    float *sin_table);

// The longest sequence with the same tables as one of `length` tokens: what is cached of a sequence
// holds as long as it is no longer. INT64_MAX where tables do not depend on the length.
int64_t tr_rope_reach(const struct tr_rope *rope, int64_t length);

// 0.1 * mscale * ln(factor) + 1, for factor > 1, else 1 (YaRN, eq. 15, as DeepSeek-V2 applies it).
double tr_rope_mscale(double factor, double mscale);

#endif

// SPDX-License-Identifier: Apache-2.0
#include "rope.h"

#include <math.h>
#include <string.h>

#include "json.h"

static const struct {
    const char *name;
    enum tr_rope_type type;
} types[] = {
    {"default", TR_ROPE_DEFAULT}, {"linear", TR_ROPE_LINEAR}, {"dynamic", TR_ROPE_DYNAMIC},
    {"yarn", TR_ROPE_YARN},       {"longrope", TR_ROPE_LONG}, {"su", TR_ROPE_LONG},
    {"llama3", TR_ROPE_LLAMA3},
};

static enum tr_status find_type(struct tr_rope *rope, const json_t *object, const char *path,
                                struct tr_err *err) {
    const char *name = "default";
    TR_TRY(tr_json_string(object, "type", &name, path, err));
    TR_TRY(tr_json_string(object, "rope_type", &name, path, err));
    // Phi-3's files say "yarn" where they mean longrope; only longrope has factors per pair.
    if (json_is_array(json_object_get(object, "long_factor")))
        name = "longrope";
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i].name, name) == 0) {
            rope->type = types[i].type;
            return TR_OK;
        }
    return tr_fail(err, TR_EUNSUPPORTED,
                   "%s: rope type \"%.64s\" is not supported; known: default, linear, dynamic, "
                   "yarn, longrope, llama3",
                   path, name);
}

static enum tr_status read_factors(float *factors, int64_t pairs, const json_t *object,
                                   const char *key, const char *path, struct tr_err *err) {
    const json_t *list = json_object_get(object, key);
    if (!json_is_array(list) || (int64_t)json_array_size(list) != pairs)
        return tr_fail(err, TR_EFORMAT, "%s: rope \"%s\" must be a list of %lld numbers", path, key,
                       (long long)pairs);
    for (int64_t i = 0; i < pairs; i++) {
        factors[i] = (float)json_number_value(json_array_get(list, (size_t)i));
        if (!(factors[i] > 0))
            return tr_fail(err, TR_EFORMAT, "%s: rope \"%s\" must hold positive numbers", path,
                           key);
    }
    return TR_OK;
}

double tr_rope_mscale(double factor, double mscale) {
    return factor > 1 ? 0.1 * mscale * log(factor) + 1 : 1;
}

// The scale of cos and sin where the file does not give it.
static double default_scale(const struct tr_rope *rope, double mscale, double mscale_all_dim) {
    if (rope->type == TR_ROPE_YARN)
        return mscale > 0 && mscale_all_dim > 0 ? tr_rope_mscale(rope->factor, mscale) /
                                                      tr_rope_mscale(rope->factor, mscale_all_dim)
                                                : tr_rope_mscale(rope->factor, 1);
    if (rope->type == TR_ROPE_LONG && rope->factor > 1)
        return sqrt(1 + log(rope->factor) / log((double)rope->original_positions));
    return 1;
}

static enum tr_status read_scaling(struct tr_rope *rope, const json_t *object,
                                   const struct tr_rope_defaults *defaults, const char *path,
                                   struct tr_err *err) {
    double mscale = 0, mscale_all_dim = 0, scale = 0;
    TR_TRY(tr_json_f64(object, "factor", &rope->factor, path, err));
    TR_TRY(tr_json_f64(object, "low_freq_factor", &rope->low_factor, path, err));
    TR_TRY(tr_json_f64(object, "high_freq_factor", &rope->high_factor, path, err));
    TR_TRY(tr_json_f64(object, "beta_fast", &rope->beta_fast, path, err));
    TR_TRY(tr_json_f64(object, "beta_slow", &rope->beta_slow, path, err));
    TR_TRY(tr_json_f64(object, "mscale", &mscale, path, err));
    TR_TRY(tr_json_f64(object, "mscale_all_dim", &mscale_all_dim, path, err));
    TR_TRY(tr_json_f64(object, "attention_factor", &scale, path, err));
    TR_TRY(tr_json_bool(object, "truncate", &rope->truncate, path, err));
    TR_TRY(tr_json_i64(object, "original_max_position_embeddings", &rope->original_positions, path,
                       err));
    if (rope->type == TR_ROPE_LONG) {
        TR_TRY(read_factors(rope->short_factors, rope->pairs, object, "short_factor", path, err));
        TR_TRY(read_factors(rope->long_factors, rope->pairs, object, "long_factor", path, err));
        rope->factor = (double)defaults->positions / (double)rope->original_positions;
    }
    if (!(rope->factor > 0) || rope->original_positions < 1 ||
        (rope->type == TR_ROPE_LLAMA3 && !(rope->high_factor > rope->low_factor)))
        return tr_fail(err, TR_EFORMAT, "%s: the rope scaling makes no sense (factor %g)", path,
                       rope->factor);
    rope->scale = scale > 0 ? scale : default_scale(rope, mscale, mscale_all_dim);
    return TR_OK;
}

enum tr_status tr_rope_read(struct tr_rope *rope_p, const json_t *object,
                            const struct tr_rope_defaults *defaults, const char *path,
                            struct tr_err *err) {
    struct tr_rope rope = {.theta = defaults->theta,
                           .factor = 1,
                           .low_factor = 1,
                           .high_factor = 4,
                           .beta_fast = 32,
                           .beta_slow = 1,
                           .scale = 1,
                           .positions = defaults->positions,
                           .original_positions = defaults->original_positions,
                           .truncate = true};
    double fraction = defaults->fraction;
    if (json_is_object(object)) {
        TR_TRY(find_type(&rope, object, path, err));
        TR_TRY(tr_json_f64(object, "rope_theta", &rope.theta, path, err));
        TR_TRY(tr_json_f64(object, "partial_rotary_factor", &fraction, path, err));
    }
    int64_t turning =
        fraction >= 0 && fraction <= 1 ? (int64_t)((double)defaults->dim * fraction) : -1;
    if (turning < 0 || turning % 2 || !(rope.theta > 0 && rope.theta < 1e30))
        return tr_fail(err, TR_EFORMAT,
                       "%s: rotary base %g and fraction %g of head size %lld make no sense", path,
                       rope.theta, fraction, (long long)defaults->dim);
    if (turning > 2 * TR_MAX_PAIRS)
        return tr_fail(err, TR_EUNSUPPORTED, "%s: heads of more than %d turning entries", path,
                       2 * TR_MAX_PAIRS);
    rope.pairs = turning / 2;
    if (rope.type != TR_ROPE_DEFAULT)
        TR_TRY(read_scaling(&rope, object, defaults, path, err));
    *rope_p = rope;
    return TR_OK;
}

// The pair whose wavelength makes `rotations` turns within the original positions.
static double correction_pair(const struct tr_rope *rope, double rotations) {
    double dim = 2 * (double)rope->pairs;
    return dim * log((double)rope->original_positions / (rotations * 2 * M_PI)) /
           (2 * log(rope->theta));
}

// YaRN's ramp: the share of pair i that is interpolated.
static double yarn_ramp(const struct tr_rope *rope, int64_t i) {
    double low = correction_pair(rope, rope->beta_fast);
    double high = correction_pair(rope, rope->beta_slow);
    low = fmax(rope->truncate ? floor(low) : low, 0);
    high = fmin(rope->truncate ? ceil(high) : high, 2 * (double)rope->pairs - 1);
    if (low == high)
        high += 0.001;
    return fmin(fmax(((double)i - low) / (high - low), 0), 1);
}

static double llama3_frequency(const struct tr_rope *rope, double frequency) {
    double turns = (double)rope->original_positions * frequency / (2 * M_PI);
    if (turns < rope->low_factor)
        return frequency / rope->factor;
    if (turns > rope->high_factor)
        return frequency;
    double smooth = (turns - rope->low_factor) / (rope->high_factor - rope->low_factor);
    return (1 - smooth) * frequency / rope->factor + smooth * frequency;
}

static double base_of(const struct tr_rope *rope, int64_t seq_len) {
    if (rope->type != TR_ROPE_DYNAMIC || seq_len <= rope->positions)
        return rope->theta;
    double dim = 2 * (double)rope->pairs, length = (double)seq_len / (double)rope->positions;
    return rope->theta * pow(rope->factor * length - (rope->factor - 1), dim / (dim - 2));
}

static float frequency_of(const struct tr_rope *rope, int64_t i, int64_t seq_len) {
    float exponent = (float)(2 * i) / (float)(2 * rope->pairs);
    float power = (float)pow(base_of(rope, seq_len), exponent);
    double frequency = 1.0f / power;
    switch (rope->type) {
    case TR_ROPE_LINEAR:
        return (float)(frequency / rope->factor);
    case TR_ROPE_YARN: {
        double ramp = yarn_ramp(rope, i);
        return (float)(frequency / rope->factor * ramp + frequency * (1 - ramp));
    }
    case TR_ROPE_LONG: {
        bool is_long = seq_len > rope->original_positions;
        return 1.0f / ((is_long ? rope->long_factors : rope->short_factors)[i] * power);
    }
    case TR_ROPE_LLAMA3:
        return (float)llama3_frequency(rope, frequency);
    default:
        return (float)frequency;
    }
}

void tr_rope_tables(const struct tr_rope *rope, int64_t seq_len, float *cos_table,
                    float *sin_table) {
    for (int64_t i = 0; i < rope->pairs; i++) {
        float frequency = frequency_of(rope, i, seq_len);
        for (int64_t position = 0; position < seq_len; position++) {
            float angle = (float)position * frequency;
            cos_table[position * rope->pairs + i] = (float)(cos(angle) * rope->scale);
            sin_table[position * rope->pairs + i] = (float)(sin(angle) * rope->scale);
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
#include "model/rope.h"

#include <math.h>
#include <string.h>

#include "base/json.h"

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

const char *tr_rope_type_name(enum tr_rope_type type) {
    size_t i = 0;
    while (types[i].type != type)
        i++;
    return types[i].name;
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

// YaRN and LongRoPE stretch the original positions to the present ones where no factor is given;
// the other types have nothing to derive it from.
static double default_factor(const struct tr_rope *rope) {
    return rope->type == TR_ROPE_YARN || rope->type == TR_ROPE_LONG
               ? (double)rope->positions / (double)rope->original_positions
               : 0;
}

// Both say where angles begin and end to be stretched; there is no usual value.
static enum tr_status require_bounds(const json_t *object, const char *path, struct tr_err *err) {
    static const char *const keys[] = {"low_freq_factor", "high_freq_factor"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!json_is_number(json_object_get(object, keys[i])))
            return tr_fail(err, TR_EFORMAT, "%s: the rope scaling llama3 lacks \"%s\"", path,
                           keys[i]);
    return TR_OK;
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
    if (defaults->original_positions)
        rope->original_positions = defaults->original_positions;
    if (rope->type == TR_ROPE_LONG) {
        TR_TRY(read_factors(rope->short_factors, rope->pairs, object, "short_factor", path, err));
        TR_TRY(read_factors(rope->long_factors, rope->pairs, object, "long_factor", path, err));
    }
    if (rope->type == TR_ROPE_LLAMA3)
        TR_TRY(require_bounds(object, path, err));
    if (rope->original_positions >= 1 && rope->factor == 0)
        rope->factor = default_factor(rope);
    if (!(rope->factor > 0) || rope->original_positions < 1 ||
        (rope->type == TR_ROPE_LLAMA3 && !(rope->high_factor > rope->low_factor)))
        return tr_fail(err, TR_EFORMAT, "%s: the rope scaling makes no sense (factor %g)", path,
                       rope->factor);
    if (mscale_all_dim != 0)
        rope->score_scale = pow(tr_rope_mscale(rope->factor, mscale_all_dim), 2);
    rope->scale = scale > 0 ? scale : default_scale(rope, mscale, mscale_all_dim);
    return TR_OK;
}

// A model that turns whole heads ignores a fraction, but its scalings would compute fewer angles
// than it turns pairs.
static enum tr_status check_fraction(const struct tr_rope *rope, double *fraction,
                                     const struct tr_rope_defaults *defaults, const char *path,
                                     struct tr_err *err) {
    if (!defaults->whole)
        return TR_OK;
    if (rope->type != TR_ROPE_DEFAULT && *fraction != 1)
        return tr_fail(err, TR_EUNSUPPORTED,
                       "%s: \"partial_rotary_factor\" is %g beside a scaled rotation, but this "
                       "family turns whole heads",
                       path, *fraction);
    *fraction = 1;
    return TR_OK;
}

// Hunyuan's files call a base that is stretched once for all "dynamic".
static enum tr_status read_alpha(struct tr_rope *rope, const json_t *object,
                                 const struct tr_rope_defaults *defaults, const char *path,
                                 struct tr_err *err) {
    double alpha = 0, dim = (double)defaults->dim;
    if (!defaults->alpha || rope->type != TR_ROPE_DYNAMIC)
        return TR_OK;
    TR_TRY(tr_json_f64(object, "alpha", &alpha, path, err));
    if (alpha == 0)
        return TR_OK;
    rope->type = TR_ROPE_DEFAULT;
    rope->theta *= pow(alpha, dim / (dim - 2));
    return TR_OK;
}

enum tr_status tr_rope_read(struct tr_rope *rope_p, const json_t *object,
                            const struct tr_rope_defaults *defaults, const char *path,
                            struct tr_err *err) {
    struct tr_rope rope = {.theta = defaults->theta,
                           .low_factor = 1,
                           .high_factor = 4,
                           .beta_fast = 32,
                           .beta_slow = 1,
                           .scale = 1,
                           .score_scale = 1,
                           .positions = defaults->positions,
                           .original_positions = defaults->positions,
                           .truncate = true};
    double fraction = defaults->fraction;
    if (object) {
        TR_TRY(find_type(&rope, object, path, err));
        TR_TRY(tr_json_f64(object, "rope_theta", &rope.theta, path, err));
        TR_TRY(tr_json_f64(object, "partial_rotary_factor", &fraction, path, err));
        TR_TRY(read_alpha(&rope, object, defaults, path, err));
    }
    TR_TRY(check_fraction(&rope, &fraction, defaults, path, err));
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
static float yarn_ramp(const struct tr_rope *rope, int64_t i) {
    double low = correction_pair(rope, rope->beta_fast);
    double high = correction_pair(rope, rope->beta_slow);
    low = fmax(rope->truncate ? floor(low) : low, 0);
    high = fmin(rope->truncate ? ceil(high) : high, 2 * (double)rope->pairs - 1);
    if (low == high)
        high += 0.001;
    return fminf(fmaxf(((float)i - (float)low) / (float)(high - low), 0), 1);
}

static float yarn_frequency(const struct tr_rope *rope, int64_t i, float power) {
    float kept = 1 - yarn_ramp(rope, i);
    return 1 / ((float)rope->factor * power) * (1 - kept) + 1 / power * kept;
}

// Low frequencies, whose waves are longer than the original positions, are divided.
static float llama3_frequency(const struct tr_rope *rope, float frequency) {
    double positions = (double)rope->original_positions;
    float wave = 1 / frequency * (float)(2 * M_PI), factor = (float)rope->factor;
    float low = (float)rope->low_factor, span = (float)(rope->high_factor - rope->low_factor);
    if (wave > (float)(positions / rope->low_factor))
        return frequency / factor;
    if (wave < (float)(positions / rope->high_factor))
        return frequency;
    float smooth = (1 / wave * (float)positions - low) / span;
    return (1 - smooth) * frequency / factor + smooth * frequency;
}

static float base_of(const struct tr_rope *rope, int64_t seq_len) {
    float theta = (float)rope->theta, factor = (float)rope->factor;
    if (rope->type != TR_ROPE_DYNAMIC || seq_len <= rope->positions)
        return theta;
    double dim = 2 * (double)rope->pairs;
    float length = factor * (float)seq_len / (float)rope->positions;
    return theta * powf(length - (float)(rope->factor - 1), (float)(dim / (dim - 2)));
}

static float frequency_of(const struct tr_rope *rope, int64_t i, int64_t seq_len) {
    float exponent = (float)(2 * i) / (float)(2 * rope->pairs);
    float power = (float)pow((double)base_of(rope, seq_len), (double)exponent);
    const float *factors =
        seq_len > rope->original_positions ? rope->long_factors : rope->short_factors;
    switch (rope->type) {
    case TR_ROPE_LINEAR:
        return 1 / power / (float)rope->factor;
    case TR_ROPE_YARN:
        return yarn_frequency(rope, i, power);
    case TR_ROPE_LONG:
        return 1 / (factors[i] * power);
    case TR_ROPE_LLAMA3:
        return llama3_frequency(rope, 1 / power);
    case TR_ROPE_DEFAULT:
    case TR_ROPE_DYNAMIC:
        break;
    }
    return 1 / power;
}

// The rows of positions [begin, end).
static void fill_positions(const struct tr_rope *rope, int64_t seq_len, int64_t begin, int64_t end,
                           float *cos_table, float *sin_table) {
    float scale = (float)rope->scale;
    for (int64_t i = 0; i < rope->pairs; i++) {
        float frequency = frequency_of(rope, i, seq_len);
        for (int64_t position = begin; position < end; position++) {
            float angle = (float)position * frequency;
            cos_table[position * rope->pairs + i] = (float)cos((double)angle) * scale;
            sin_table[position * rope->pairs + i] = (float)sin((double)angle) * scale;
        }
    }
}

void tr_rope_tables(const struct tr_rope *rope, int64_t seq_len, float *cos_table,
                    float *sin_table) {
    enum { POSITIONS = 128 }; // whose rows fit into a cache
#pragma omp parallel for schedule(static) if (seq_len > POSITIONS)
    for (int64_t begin = 0; begin < seq_len; begin += POSITIONS) {
        int64_t end = begin + POSITIONS < seq_len ? begin + POSITIONS : seq_len;
        fill_positions(rope, seq_len, begin, end, cos_table, sin_table);
    }
}

int64_t tr_rope_reach(const struct tr_rope *rope, int64_t length) {
    if (rope->pairs && rope->type == TR_ROPE_DYNAMIC)
        return length > rope->positions ? length : rope->positions;
    if (rope->pairs && rope->type == TR_ROPE_LONG && length <= rope->original_positions)
        return rope->original_positions;
    return INT64_MAX;
}

// SPDX-License-Identifier: Apache-2.0
#include "config_keys.h"

#include <math.h>

#include "base/json.h"

// The name under which config.json has a key, NULL when the row does not read it from there.
static const char *name_of(const struct tr_config *c, enum tr_key key,
                           const struct tr_config_source *from) {
    const struct tr_key_row *row = &c->family->keys[key];
    const json_t *other = row->other ? json_object_get(from->root, row->other) : NULL;
    return other && !json_is_null(other) ? row->other : row->json;
}

// A null (Python's None) leaves these without a value to compute with.
static bool needs_value(enum tr_key key) {
    return key == TR_K_EPSILON || key == TR_K_ROPE_THETA || key == TR_K_LOCAL_THETA ||
           key == TR_K_ROTARY_FRACTION;
}

// The number that all entries of a list are.
static enum tr_status entry_of_all(const json_t *list, const char *name, double *value_p,
                                   const struct tr_config_source *from) {
    const json_t *first = json_array_get(list, 0);
    for (size_t i = 1; i < json_array_size(list); i++)
        if (!json_equal(json_array_get(list, i), first))
            return tr_fail(from->err, TR_EUNSUPPORTED,
                           "%s: \"%s\" differs from layer to layer: layers of one model that "
                           "differ are not supported",
                           from->path, name);
    if (!json_is_number(first))
        return tr_fail(from->err, TR_EFORMAT, "%s: \"%s\" must be a number or a list of equal ones",
                       from->path, name);
    *value_p = json_number_value(first);
    return TR_OK;
}

enum tr_status tr_key_number(const struct tr_config *c, enum tr_key key, double neutral,
                             double *value_p, const struct tr_config_source *from) {
    const struct tr_key_row *row = &c->family->keys[key];
    const char *name = name_of(c, key, from);
    const json_t *holder = tr_config_holder(&name, from->root);
    const json_t *value = name ? json_object_get(holder, name) : NULL;
    bool unwritten = !name && row->fallback == 0;
    bool plain = !unwritten && row->fallback != TR_DERIVED && !json_is_null(value);
    *value_p = plain ? row->fallback : neutral;
    if (row->alike && json_is_array(value))
        return entry_of_all(value, name, value_p, from);
    if (value && !json_is_null(value))
        return tr_json_f64(holder, name, value_p, from->path, from->err);
    if (row->fallback == TR_REQUIRED || (value && (row->needed || needs_value(key))))
        return tr_fail(from->err, TR_EFORMAT, "%s: \"%s\" is missing", from->path, name);
    return TR_OK;
}

enum tr_status tr_key_size(const struct tr_config *c, enum tr_key key, int64_t neutral, int64_t low,
                           int64_t high, int64_t *size_p, const struct tr_config_source *from) {
    double value;
    *size_p = neutral;
    TR_TRY(tr_key_number(c, key, (double)neutral, &value, from));
    if (!(value >= (double)low && value <= (double)high) || value != floor(value))
        return tr_fail(from->err, TR_EFORMAT,
                       "%s: \"%s\" is %g, expected an integer from %lld to %lld", from->path,
                       c->family->keys[key].json ? c->family->keys[key].json : "head size", value,
                       (long long)low, (long long)high);
    *size_p = (int64_t)value;
    return TR_OK;
}

enum tr_status tr_key_flag(const struct tr_config *c, enum tr_key key, bool neutral, bool *flag_p,
                           const struct tr_config_source *from) {
    double fallback = c->family->keys[key].fallback;
    const char *name = name_of(c, key, from);
    const json_t *value = name ? json_object_get(from->root, name) : NULL;
    *flag_p = name || fallback != 0 ? fallback != 0 : neutral;
    if (json_is_null(value) || json_is_number(value)) {
        *flag_p = json_number_value(value) != 0;
        return TR_OK;
    }
    return name ? tr_json_bool(from->root, name, flag_p, from->path, from->err) : TR_OK;
}

enum tr_status tr_key_real(const struct tr_config *c, enum tr_key key, double neutral,
                           float *value_p, const struct tr_config_source *from) {
    double value;
    TR_TRY(tr_key_number(c, key, neutral, &value, from));
    if (!(fabs(value) < 1e30))
        return tr_fail(from->err, TR_EFORMAT, "%s: \"%s\" is %g, which makes no sense", from->path,
                       c->family->keys[key].json, value);
    *value_p = (float)value;
    return TR_OK;
}

enum tr_status tr_key_bound(const struct tr_config *c, enum tr_key key, float *value_p,
                            const struct tr_config_source *from) {
    float value = 0;
    TR_TRY(tr_key_real(c, key, 0, &value, from));
    if (value < 0)
        return tr_fail(from->err, TR_EFORMAT, "%s: \"%s\" is %g, which makes no sense", from->path,
                       c->family->keys[key].json, (double)value);
    *value_p = value;
    return TR_OK;
}

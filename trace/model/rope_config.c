// SPDX-License-Identifier: Apache-2.0
#include "rope_config.h"

#include "base/json.h"

static const char full_layers[] = "full_attention", windowed_layers[] = "sliding_attention";

static bool is_empty(const json_t *object) {
    return json_object_size(object) == 0;
}

static bool is_nested(const json_t *object) {
    return json_object_get(object, full_layers) || json_object_get(object, windowed_layers);
}

static enum tr_status unsupported(const struct tr_rope_source *from, const char *what,
                                  struct tr_err *err) {
    return tr_fail(err, TR_EUNSUPPORTED, "%s: %s", from->path, what);
}

// ---- one rotation ------------------------------------------------------------------------------

// The class's own object stands in where the file has neither spelling. A null rope_scaling alone
// is that to transformers 5 and no scaling to 4.
static enum tr_status read_fallback(struct tr_rope ropes[2], const struct tr_rope_source *from,
                                    struct tr_err *err) {
    const char *text = from->family->rope_fallback;
    if (!text)
        return tr_rope_read(&ropes[0], NULL, &from->full, from->path, err);
    if (json_object_get(from->root, "rope_scaling"))
        return unsupported(from,
                           "\"rope_scaling\" is null or empty: transformers 4 does not scale then, "
                           "5 takes the scaling of the class; give a rope object",
                           err);
    if (from->full.theta != from->family->keys[TR_K_ROPE_THETA].fallback)
        return unsupported(
            from,
            "transformers 4 takes \"rope_theta\", 5 the base of the class's own rope "
            "object; give a rope object",
            err);
    json_t *fallback = json_loads(text, 0, NULL);
    if (!fallback)
        return tr_fail(err, TR_ENOMEM, "%s: no memory for the rope object", from->path);
    enum tr_status status = tr_rope_read(&ropes[0], fallback, &from->full, from->path, err);
    json_decref(fallback);
    return status;
}

static enum tr_status read_one(struct tr_rope ropes[2], const json_t *parameters,
                               const json_t *scaling, const struct tr_rope_source *from,
                               struct tr_err *err) {
    const json_t *object = is_empty(scaling) ? parameters : scaling;
    if (is_nested(object))
        return tr_fail(err, TR_EUNSUPPORTED,
                       "%s: the rope object holds one for each kind of layer, but all layers of %s "
                       "turn alike",
                       from->path, from->family->model_type);
    TR_TRY(object ? tr_rope_read(&ropes[0], object, &from->full, from->path, err)
                  : read_fallback(ropes, from, err));
    ropes[1] = ropes[0];
    return TR_OK;
}

// ---- two rotations -----------------------------------------------------------------------------

// Where no key gives windowed layers a base of their own, transformers 4 gives them rope_theta and
// 5 the class's base.
static enum tr_status check_bases(const json_t *windowed, const struct tr_rope_source *from,
                                  struct tr_err *err) {
    const struct tr_key_row *keys = from->family->keys;
    if (keys[TR_K_LOCAL_THETA].json || json_object_get(windowed, "rope_theta") ||
        from->full.theta == keys[TR_K_ROPE_THETA].fallback)
        return TR_OK;
    return unsupported(from,
                       "transformers 4 takes \"rope_theta\" for windowed layers, 5 the base of the "
                       "class; give \"rope_parameters\" with \"sliding_attention\"",
                       err);
}

// Laid over an object that has a "rope_type", the older spelling "type" says nothing.
static enum tr_status check_spelling(const json_t *scaling, const struct tr_rope_source *from,
                                     struct tr_err *err) {
    if (!json_object_get(scaling, "type") || json_object_get(scaling, "rope_type"))
        return TR_OK;
    return unsupported(
        from,
        "\"rope_scaling\" spells its type \"type\", which transformers 4 reads and 5 "
        "does not in this family; spell it \"rope_type\"",
        err);
}

static enum tr_status read_two(struct tr_rope ropes[2], const json_t *parameters,
                               const json_t *scaling, const struct tr_rope_source *from,
                               struct tr_err *err) {
    const json_t *full, *windowed;
    if (!is_empty(parameters) && !is_nested(parameters))
        return unsupported(from,
                           "\"rope_parameters\" must hold an object for \"full_attention\" and one "
                           "for \"sliding_attention\"",
                           err);
    TR_TRY(tr_json_object(parameters, full_layers, &full, from->path, err));
    TR_TRY(tr_json_object(parameters, windowed_layers, &windowed, from->path, err));
    TR_TRY(check_bases(windowed, from, err));
    TR_TRY(check_spelling(scaling, from, err));
    json_t *laid_over = full ? json_copy((json_t *)(uintptr_t)full) : json_object();
    if (!laid_over || (scaling && json_object_update(laid_over, (json_t *)(uintptr_t)scaling))) {
        json_decref(laid_over);
        return tr_fail(err, TR_ENOMEM, "%s: no memory for the rope object", from->path);
    }
    enum tr_status status = tr_rope_read(&ropes[0], laid_over, &from->full, from->path, err);
    json_decref(laid_over);
    TR_TRY(status);
    return tr_rope_read(&ropes[1], windowed, &from->windowed, from->path, err);
}

// The class does not read such an object; the model would be another one if it were read here.
static enum tr_status check_read(const json_t *object, const char *key, bool reads,
                                 const struct tr_rope_source *from, struct tr_err *err) {
    if (reads || is_empty(object))
        return TR_OK;
    return tr_fail(err, TR_EUNSUPPORTED, "%s: \"%s\" is there, but the code of %s does not read it",
                   from->path, key, from->family->model_type);
}

static enum tr_status check_type(const struct tr_rope *rope, const struct tr_rope_source *from,
                                 struct tr_err *err) {
    unsigned known = from->family->rope_types;
    if (!known || rope->type == TR_ROPE_DEFAULT || known >> rope->type & 1)
        return TR_OK;
    return tr_fail(err, TR_EUNSUPPORTED, "%s: the code of %s does not know the rope type \"%s\"",
                   from->path, from->family->model_type, tr_rope_type_name(rope->type));
}

enum tr_status tr_ropes_read(struct tr_rope ropes[2], bool *twice_p,
                             const struct tr_rope_source *from, struct tr_err *err) {
    const json_t *parameters, *scaling;
    TR_TRY(tr_json_object(from->root, "rope_parameters", &parameters, from->path, err));
    TR_TRY(tr_json_object(from->root, "rope_scaling", &scaling, from->path, err));
    enum tr_rope_objects reads = from->family->rope_objects;
    TR_TRY(check_read(parameters, "rope_parameters",
                      reads == TR_ROPE_EITHER || reads == TR_ROPE_PARAMETERS_ONLY, from, err));
    TR_TRY(check_read(scaling, "rope_scaling",
                      reads != TR_ROPE_NONE && reads != TR_ROPE_PARAMETERS_ONLY, from, err));
    *twice_p = !is_empty(parameters) && !is_empty(scaling) && !json_equal(parameters, scaling);
    TR_TRY((from->family->rope_full_layers_scaled ? read_two : read_one)(ropes, parameters, scaling,
                                                                         from, err));
    return check_type(&ropes[0], from, err);
}

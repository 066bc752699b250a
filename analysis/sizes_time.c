// SPDX-License-Identifier: Apache-2.0
// Measured milliseconds of sublayers, from what trace-eval --speed wrote.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/sizes.h"
#include "base/json.h"

static const uint64_t file_limit = 64 << 20;
static const double parts = 1 << 20; // of a millisecond: so that sums of times are exact

static enum tr_status read_time(double *time_p, const json_t *object, const char *what,
                                struct tr_err *err) {
    double time = -1;
    TR_TRY(tr_json_f64(object, "decode_ms", &time, what, err));
    if (!(time >= 0 && time <= 1e9))
        return tr_fail(err, TR_EFORMAT, "%s: \"decode_ms\" is no time", what);
    *time_p = round(time * parts) / parts;
    return TR_OK;
}

static enum tr_status read_sublayer(struct an_sizes *sizes, const json_t *entry, const char *what,
                                    struct tr_err *err) {
    const char *name = "";
    int64_t layer = -1;
    double time = 0;
    TR_TRY(tr_json_string(entry, "module", &name, what, err));
    TR_TRY(tr_json_i64(entry, "layer", &layer, what, err));
    TR_TRY(read_time(&time, entry, what, err));
    int module = strcmp(name, "attn") == 0 ? 0 : strcmp(name, "mlp") == 0 ? 1 : -1;
    if (module < 0 || layer < 0 || layer >= sizes->layers || !sizes->of[2 * layer + module].present)
        return tr_fail(err, TR_EUSAGE, "%s: the store has no \"%.20s\" of layer %lld", what, name,
                       (long long)layer);
    sizes->of[2 * layer + module].milliseconds = time;
    return TR_OK;
}

// The entry of that prompt, or the first.
static const json_t *find_shape(const json_t *list, int64_t context) {
    const json_t *entry;
    size_t i;
    json_array_foreach((json_t *)list, i, entry) {
        if (!context || json_integer_value(json_object_get(entry, "prompt")) == context)
            return entry;
    }
    return NULL;
}

static enum tr_status read_shape(struct an_sizes *sizes, const json_t *shape, const char *what,
                                 struct tr_err *err) {
    const json_t *list = NULL, *entry;
    double sublayers = 0, whole = 0;
    size_t i;
    TR_TRY(read_time(&whole, shape, what, err));
    TR_TRY(tr_json_list(shape, "sublayers", &list, what, err));
    if (list)
        json_array_foreach((json_t *)list, i, entry) TR_TRY(read_sublayer(sizes, entry, what, err));
    for (int64_t layer = 0; layer < sizes->layers; layer++)
        sublayers += an_size_of(sizes, AN_MILLISECONDS, 0, TR_BLOCK, layer);
    if (!(sublayers > 0))
        return tr_fail(err, TR_EUSAGE, "%s: its sublayers take no time", what);
    sizes->elsewhere_milliseconds = whole > sublayers ? whole - sublayers : 0;
    return TR_OK;
}

enum tr_status an_sizes_time(struct an_sizes *sizes, const char *path, int64_t context,
                             struct tr_err *err) {
    const json_t *list = NULL, *shape;
    json_t *file;
    TR_TRY(tr_json_load(&file, path, file_limit, err));
    enum tr_status status = tr_json_list(file, "sublayers", &list, path, err);
    shape = status == TR_OK ? find_shape(list, context) : NULL;
    if (shape)
        status = read_shape(sizes, shape, path, err);
    else if (status == TR_OK)
        status = tr_fail(err, TR_EUSAGE,
                         "%s has no times of sublayers%s; trace-eval --speed N --speed-sublayers "
                         "writes them",
                         path, context ? " with prompts of --context tokens" : "");
    json_decref(file);
    return status;
}

// SPDX-License-Identifier: Apache-2.0
// A recipe for mergekit, which then writes the smaller model itself. Output layers are counted over
// the slices, and of config.json the number of layers alone is changed.
#include <limits.h>
#include <stdlib.h>

#include "cut_config.h"
#include "form.h"
#include "model/config_layers.h"
#include "model/layer_names.h"

static enum tr_status check_lists(const struct tr_drop_job *job, struct tr_err *err) {
    const struct tr_layer_key *row;
    for (int i = 0; (row = tr_layer_key_at(i)); i++)
        if (json_array_size(json_object_get(job->root, row->key)) > 0)
            return tr_fail(err, TR_EUNSUPPORTED,
                           "%s: mergekit cuts no lists, and \"%s\" has one for the layers: write "
                           "it as smaller",
                           job->config_path, row->key);
    return TR_OK;
}

static enum tr_status check(const struct tr_drop_job *job, struct tr_err *err) {
    if (json_is_object(json_object_get(job->root, "quantization_config")))
        return tr_fail(err, TR_EUNSUPPORTED,
                       "%s: mergekit reads no quantized weights: write it as smaller",
                       job->config_path);
    json_t *root = json_deep_copy(job->root);
    enum tr_status status =
        root ? check_lists(job, err) : tr_fail(err, TR_ENOMEM, "out of memory for config.json");
    if (status == TR_OK)
        status = tr_form_smaller.check(job, err);
    if (status == TR_OK)
        status = tr_set_layers(job, root, err);
    if (status == TR_OK)
        status = tr_says_the_same(job, root, err);
    json_decref(root);
    return status;
}

// As torch calls the type that the first kept block has.
static const char *type_of(const struct tr_drop_job *job) {
    static const char *const names[] = {
        [TR_F64] = "float64", [TR_F32] = "float32", [TR_F16] = "float16", [TR_BF16] = "bfloat16"};
    for (int64_t i = 0; i < tr_checkpoint_tensor_count(job->checkpoint); i++) {
        const struct tr_tensor *tensor = tr_checkpoint_tensor(job->checkpoint, i);
        if (tr_layer_role(job->config.family, tensor->name) == TR_W_O &&
            tensor->dtype < TR_OTHER_DTYPE)
            return names[tensor->dtype];
    }
    return "bfloat16";
}

// The kept layers from `first` on that follow one another; the one behind them.
static int64_t end_of_run(const struct tr_drop_job *job, int64_t first) {
    while (first < job->config.layers && job->number[first] >= 0)
        first++;
    return first;
}

static enum tr_status write_slices(const struct tr_drop_job *job, const char *model,
                                   struct tr_string *text, struct tr_err *err) {
    TR_TRY(tr_string_format(text, err, "merge_method: passthrough\ndtype: %s\nslices:\n",
                            type_of(job)));
    for (int64_t layer = 0; layer < job->config.layers; layer++) {
        int64_t end = end_of_run(job, layer);
        if (end > layer)
            TR_TRY(tr_string_format(
                text, err, "  - sources:\n      - model: %s\n        layer_range: [%lld, %lld]\n",
                model, (long long)layer, (long long)end));
        layer = end > layer ? end : layer;
    }
    return TR_OK;
}

// JSON's strings are YAML's, too.
static enum tr_status recipe(const struct tr_drop_job *job, struct tr_string *text,
                             struct tr_err *err) {
    char path[PATH_MAX];
    json_t *string = realpath(job->options->source, path) ? json_string(path) : NULL;
    char *model = string ? json_dumps(string, JSON_ENCODE_ANY) : NULL;
    enum tr_status status =
        model ? write_slices(job, model, text, err)
              : tr_fail(err, TR_EUNSUPPORTED, "%s has a name that YAML cannot hold",
                        job->options->source);
    free(model);
    json_decref(string);
    return status;
}

const struct tr_drop_form tr_form_mergekit = {
    .name = "mergekit",
    .saves = "A recipe only: mergekit-yaml mergekit.yaml OUT makes the smaller model of it.",
    .loads = "mergekit, whose output loads wherever the original does.",
    .check = check,
    .recipe = recipe,
};

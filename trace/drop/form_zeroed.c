// SPDX-License-Identifier: Apache-2.0
// The last matrices of a sublayer, and their biases, are zero: it adds nothing, wherever it runs.
#include <stdio.h>
#include <string.h>

#include "config_file.h"
#include "form.h"
#include "model/weights.h"

// A matrix that is in no file cannot be zeroed, and readers would make one up: all that the model
// has without any set must be there.
static enum tr_status check_tensors(const struct tr_drop_job *job, struct tr_err *err) {
    struct tr_weight_plan plan = {0};
    struct tr_config config;
    const struct tr_wanted wanted = {.head = true};
    json_t *root = json_deep_copy(job->root);
    enum tr_status status = root ? tr_forget_drops(job, root, err)
                                 : tr_fail(err, TR_ENOMEM, "out of memory for config.json");
    if (status == TR_OK)
        status = tr_config_of(&config, root, job->config_path, err);
    if (status == TR_OK)
        status =
            tr_weight_plan_new(&plan, &config, job->checkpoint, job->options->source, &wanted, err);
    tr_weight_plan_free(&plan);
    json_decref(root);
    return status;
}

// What comes behind the last matrix must make zero of zero: a norm of RMSNorm's kind does, unless
// it divides by the root of zero.
static enum tr_status check_norms(const struct tr_drop_job *job, struct tr_err *err) {
    const char *const *weights = job->config.family->weights;
    bool normed = weights[TR_W_ATTN_POST_NORM] || weights[TR_W_MLP_POST_NORM];
    if (normed && !(job->config.epsilon > 0))
        return tr_fail(err, TR_EUNSUPPORTED,
                       "%s: what a sublayer adds is normed with epsilon 0, which makes no number "
                       "of zeros: it cannot be zeroed",
                       job->config_path);
    return TR_OK;
}

static enum tr_status check(const struct tr_drop_job *job, struct tr_err *err) {
    TR_TRY(check_norms(job, err));
    return check_tensors(job, err);
}

static enum tr_fate fate(const struct tr_drop_job *job, int64_t layer, enum tr_weight role) {
    switch (role) {
    case TR_W_O:
    case TR_W_O_BIAS:
    case TR_W_SCAN_OUT:
    case TR_W_SCAN_OUT_BIAS:
        return tr_job_drops(job, TR_ATTN, layer) ? TR_TENSOR_ZEROED : TR_TENSOR_STAYS;
    case TR_W_DOWN:
    case TR_W_DOWN_BIAS:
    case TR_W_EXPERT_DOWN:
    case TR_W_EXPERTS_OUT:
    case TR_W_EXPERTS_OUT_BIAS:
    case TR_W_SHARED_DOWN:
        return tr_job_drops(job, TR_MLP, layer) ? TR_TENSOR_ZEROED : TR_TENSOR_STAYS;
    default:
        return TR_TENSOR_STAYS;
    }
}

// {"skip": ["attention", "mlp"]} of one layer. NULL: no memory.
static json_t *skipped(const struct tr_drop_job *job, int64_t layer) {
    json_t *words = json_array();
    if (tr_job_drops(job, TR_ATTN, layer))
        json_array_append_new(words, json_string("attention"));
    if (tr_job_drops(job, TR_MLP, layer))
        json_array_append_new(words, json_string("mlp"));
    return json_pack("{s:o}", "skip", words);
}

// Numbers of one width, so that they sort, as transformers writes them.
static enum tr_status add_skips(const struct tr_drop_job *job, json_t *root, struct tr_err *err) {
    json_t *layers = json_object();
    int64_t last = job->config.layers - 1;
    int failed = json_object_set_new(root, "per_layer_config", layers);
    while (!tr_job_drops(job, TR_ATTN, last) && !tr_job_drops(job, TR_MLP, last))
        last--;
    int width = snprintf(NULL, 0, "%lld", (long long)last);
    for (int64_t layer = 0; layer <= last && !failed; layer++) {
        char key[24];
        snprintf(key, sizeof key, "%0*lld", width, (long long)layer);
        if (tr_job_drops(job, TR_ATTN, layer) || tr_job_drops(job, TR_MLP, layer))
            failed = json_object_set_new(layers, key, skipped(job, layer));
    }
    return failed ? tr_fail(err, TR_ENOMEM, "out of memory for config.json") : TR_OK;
}

static enum tr_status configure(const struct tr_drop_job *job, json_t *root, struct tr_err *err) {
    TR_TRY(tr_forget_drops(job, root, err));
    return job->options->skip ? add_skips(job, root, err) : TR_OK;
}

const struct tr_drop_form tr_form_zeroed = {
    .name = "zeroed",
    .saves = "Zeroed weights save nothing: parameters, memory and time are as before.",
    .loads = "Whatever loads the original loads it.",
    .check = check,
    .fate = fate,
    .configure = configure,
    .as_read = tr_forget_drops, // transformers up to 5.24 takes the key and does not apply it
};

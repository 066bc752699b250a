// SPDX-License-Identifier: Apache-2.0
// "block_configs": an entry for each layer, of which a part may be a no_op. Two dialects, which
// name what stays differently. Tensors of parts that are no_op are absent, their norms included.
// Sources: vLLM's nemotron_nas.py and anymodel.py, ModelOpt's puzzletron/block_config.py.
#include <string.h>

#include "base/json.h"
#include "form.h"

enum { FFN_MULTIPLE = 256 }; // DeciLM rounds widths up to these

static enum tr_status no_memory(struct tr_err *err) {
    return tr_fail(err, TR_ENOMEM, "out of memory for config.json");
}

// ---- both --------------------------------------------------------------------------------------

// Sets "block_configs", each entry of what `attention` and `ffn` make of its layer.
static enum tr_status set_blocks(const struct tr_drop_job *job, json_t *root,
                                 json_t *(*attention)(const struct tr_drop_job *job, bool dropped),
                                 json_t *(*ffn)(const struct tr_drop_job *job, bool dropped),
                                 struct tr_err *err) {
    json_t *blocks = json_array();
    for (int64_t layer = 0; layer < job->config.layers; layer++) {
        json_t *block =
            json_pack("{s:o, s:o}", "attention", attention(job, tr_job_drops(job, TR_ATTN, layer)),
                      "ffn", ffn(job, tr_job_drops(job, TR_MLP, layer)));
        if (json_array_append_new(blocks, block)) {
            json_decref(blocks);
            return no_memory(err);
        }
    }
    return json_object_set_new(root, "block_configs", blocks) ? no_memory(err) : TR_OK;
}

static enum tr_status set_names(json_t *root, const char *model_type, const char *class,
                                struct tr_err *err) {
    return json_object_set_new(root, "model_type", json_string(model_type)) ||
                   json_object_set_new(root, "architectures", json_pack("[s]", class))
               ? no_memory(err)
               : TR_OK;
}

// What entries repeat stands in the outer object, too.
static enum tr_status set_sizes(const struct tr_drop_job *job, json_t *root, struct tr_err *err) {
    return json_object_set_new(root, "num_key_value_heads", json_integer(job->config.kv_heads)) ||
                   json_object_set_new(root, "intermediate_size", json_integer(job->config.ffn))
               ? no_memory(err)
               : TR_OK;
}

// ---- AnyModel ----------------------------------------------------------------------------------

static const struct {
    const char *model_type, *class;
} bases[] = {{"llama", "LlamaForCausalLM"},
             {"mistral", "MistralForCausalLM"},
             {"qwen2", "Qwen2ForCausalLM"},
             {"qwen3", "Qwen3ForCausalLM"}};
enum { BASES = sizeof bases / sizeof *bases };

static int base_of(const struct tr_drop_job *job) {
    int i = 0;
    while (i < BASES && strcmp(bases[i].model_type, job->config.family->model_type))
        i++;
    return i;
}

static enum tr_status check_anymodel(const struct tr_drop_job *job, struct tr_err *err) {
    if (base_of(job) < BASES)
        return TR_OK;
    return tr_fail(err, TR_EUNSUPPORTED,
                   "%s: of what AnyModel knows, only llama, mistral, qwen2 and qwen3 are written, "
                   "not %s",
                   job->config_path, job->config.family->model_type);
}

static json_t *anymodel_attention(const struct tr_drop_job *job, bool dropped) {
    return dropped ? json_pack("{s:b, s:n}", "no_op", 1, "num_key_value_heads")
                   : json_pack("{s:b, s:I}", "no_op", 0, "num_key_value_heads",
                               (json_int_t)job->config.kv_heads);
}

static json_t *anymodel_ffn(const struct tr_drop_job *job, bool dropped) {
    return dropped ? json_pack("{s:b, s:n}", "no_op", 1, "intermediate_size")
                   : json_pack("{s:b, s:I}", "no_op", 0, "intermediate_size",
                               (json_int_t)job->config.ffn);
}

static enum tr_status configure_anymodel(const struct tr_drop_job *job, json_t *root,
                                         struct tr_err *err) {
    const char *base = bases[base_of(job)].class;
    TR_TRY(tr_forget_drops(job, root, err));
    TR_TRY(tr_spell_head(job, root, err));
    TR_TRY(set_names(root, "anymodel", "AnyModel", err));
    TR_TRY(set_sizes(job, root, err));
    if (json_object_set_new(root, "base_architecture", json_string(base)))
        return no_memory(err);
    return set_blocks(job, root, anymodel_attention, anymodel_ffn, err);
}

// The class that it names, of which each part that stays repeats a size.
static enum tr_status read_anymodel(const struct tr_drop_job *job, json_t *root,
                                    struct tr_err *err) {
    const char *class = json_string_value(json_object_get(root, "base_architecture"));
    const char *model_type = class ? tr_family_of_class(class) : NULL;
    if (!model_type)
        return tr_fail(err, TR_EFORMAT, "%s: \"base_architecture\" names no class that is known",
                       job->config_path);
    return set_names(root, model_type, class, err);
}

const struct tr_drop_form tr_form_anymodel = {
    .name = "block-configs",
    .dialect = "anymodel",
    .saves = "Dropped sublayers take no memory, cache or time, and their weights are gone.",
    .loads =
        "vLLM where it has AnyModel, and ModelOpt's tools. transformers refuses the model_type.",
    .check = check_anymodel,
    .fate = tr_fate_by_sublayer,
    .configure = configure_anymodel,
    .as_read = read_anymodel,
};

// ---- Nemotron-NAS (DeciLM) ---------------------------------------------------------------------

static enum tr_status refuse_deci(const struct tr_drop_job *job, const char *what,
                                  struct tr_err *err) {
    return tr_fail(err, TR_EUNSUPPORTED, "%s: nemotron-nas is a Llama with other layers: %s",
                   job->config_path, what);
}

enum tr_status tr_check_deci_first(const struct tr_drop_job *job, int64_t first,
                                   struct tr_err *err) {
    if (!tr_job_drops(job, TR_ATTN, first) || tr_job_drops(job, TR_MLP, first))
        return TR_OK;
    return tr_fail(err, TR_EUNSUPPORTED,
                   "vLLM's nemotron_nas fails where the first layer has an MLP and no attention: "
                   "keep attn:%lld, or drop block:%lld",
                   (long long)first, (long long)first);
}

static enum tr_status check_deci(const struct tr_drop_job *job, struct tr_err *err) {
    const struct tr_config *config = &job->config;
    const char *model_type = config->family->model_type;
    if (config->family->block_sizes)
        return refuse_deci(job, "this one is one already: as smaller it stays one", err);
    if (strcmp(model_type, "llama") && strcmp(model_type, "mistral"))
        return refuse_deci(job, "only llama, and mistral without a window, can be written so", err);
    if (config->window)
        return refuse_deci(job, "it has no attention window", err);
    if (config->activation != KN_SILU)
        return refuse_deci(job, "its activation is silu", err);
    if (config->ffn % FFN_MULTIPLE)
        return tr_fail(err, TR_EUNSUPPORTED,
                       "%s: nemotron-nas says an MLP's width as a multiple of %d, which %lld is "
                       "not: write it in the dialect anymodel, or as zeroed",
                       job->config_path, FFN_MULTIPLE, (long long)config->ffn);
    return tr_check_deci_first(job, 0, err);
}

static json_t *deci_attention(const struct tr_drop_job *job, bool dropped) {
    json_int_t group = job->config.heads / job->config.kv_heads;
    return json_pack("{s:b, s:o, s:b}", "no_op", dropped, "n_heads_in_group",
                     dropped ? json_null() : json_integer(group), "replace_with_linear", 0);
}

// width = 2/3 of the multiplier times hidden, rounded up.
static json_t *deci_ffn(const struct tr_drop_job *job, bool dropped) {
    double multiplier = 3.0 * (double)job->config.ffn / (2.0 * (double)job->config.hidden);
    return json_pack("{s:b, s:o, s:b}", "no_op", dropped, "ffn_mult",
                     dropped ? json_null() : json_real(multiplier), "replace_with_linear", 0);
}

static enum tr_status configure_deci(const struct tr_drop_job *job, json_t *root,
                                     struct tr_err *err) {
    TR_TRY(tr_forget_drops(job, root, err));
    TR_TRY(tr_spell_head(job, root, err));
    TR_TRY(set_names(root, "nemotron-nas", "DeciLMForCausalLM", err));
    TR_TRY(set_sizes(job, root, err));
    // The entries are read as attributes: a class has to make objects of them.
    if (json_object_set_new(root, "auto_map",
                            json_pack("{s:s, s:s}", "AutoConfig",
                                      "configuration_decilm.DeciLMConfig", "AutoModelForCausalLM",
                                      "modeling_decilm.DeciLMForCausalLM")))
        return no_memory(err);
    return set_blocks(job, root, deci_attention, deci_ffn, err);
}

// An MLP's width as vLLM computes it, 0 where there is none.
static int64_t width_of(const struct tr_drop_job *job, const json_t *ffn) {
    double multiplier = json_number_value(json_object_get(ffn, "ffn_mult"));
    int64_t width = (int64_t)(2 * multiplier * (double)job->config.hidden / 3);
    return (width + FFN_MULTIPLE - 1) / FFN_MULTIPLE * FFN_MULTIPLE;
}

// One entry in AnyModel's words.
static enum tr_status read_deci_block(const struct tr_drop_job *job, json_t *block,
                                      struct tr_err *err) {
    json_t *attention = json_object_get(block, "attention"), *ffn = json_object_get(block, "ffn");
    int64_t group = 0;
    TR_TRY(tr_json_i64(attention, "n_heads_in_group", &group, job->config_path, err));
    json_t *heads = group > 0 ? json_integer(job->config.heads / group) : json_null();
    json_t *width = json_integer(width_of(job, ffn));
    json_object_del(attention, "n_heads_in_group");
    json_object_del(ffn, "ffn_mult");
    return json_object_set_new(attention, "num_key_value_heads", heads) ||
                   json_object_set_new(ffn, "intermediate_size", width)
               ? no_memory(err)
               : TR_OK;
}

static enum tr_status read_deci(const struct tr_drop_job *job, json_t *root, struct tr_err *err) {
    json_t *blocks = json_object_get(root, "block_configs");
    for (size_t i = 0; i < json_array_size(blocks); i++)
        TR_TRY(read_deci_block(job, json_array_get(blocks, i), err));
    return set_names(root, "llama", "LlamaForCausalLM", err);
}

const struct tr_drop_form tr_form_nemotron_nas = {
    .name = "block-configs",
    .dialect = "nemotron-nas",
    .saves = "Dropped sublayers take no memory, cache or time, and their weights are gone.",
    .loads = "vLLM, SGLang and TensorRT-LLM as Nemotron-NAS, with trust_remote_code: put "
             "configuration_decilm.py, block_config.py and modeling_decilm.py of a published "
             "Nemotron-NAS model into this folder.",
    .check = check_deci,
    .fate = tr_fate_by_sublayer,
    .configure = configure_deci,
    .as_read = read_deci,
};

// SPDX-License-Identifier: Apache-2.0
// The keys that LLM-Drop's own model code reads. Weights stay as they are, for that code passes
// over those of dropped sublayers, and one that is missing by mistake would be made up at random.
// Source of the names: CASE-Lab-UMD/LLM-Drop, src/llmtuner/compression/prune/models.
#include <string.h>

#include "form.h"

static const struct {
    const char *model_type, *config_class, *model_class;
} code[] = {
    {"llama", "configuration_dropped_llama.LlamaConfig", "modeling_dropped_llama.LlamaForCausalLM"},
    {"mistral", "configuration_dropped_mistral.MistralConfig",
     "modeling_dropped_mistral.MistralForCausalLM"},
    {"gemma2", "configuration_dropped_gemma2.Gemma2Config",
     "modeling_dropped_gemma2.Gemma2ForCausalLM"},
    {"baichuan", "configuration_dropped_baichuan.BaichuanConfig",
     "modeling_dropped_baichuan.BaichuanForCausalLM"},
    {"deepseek", "configuration_deepseek.DeepseekConfig",
     "modeling_dropped_deepseek.DeepseekForCausalLM"},
};
enum { MODELS = sizeof code / sizeof *code };

static int code_of(const struct tr_drop_job *job) {
    int i = 0;
    while (i < MODELS && strcmp(code[i].model_type, job->config.family->model_type))
        i++;
    return i;
}

static enum tr_status check(const struct tr_drop_job *job, struct tr_err *err) {
    int64_t layer = 0;
    if (code_of(job) == MODELS)
        return tr_fail(err, TR_EUNSUPPORTED,
                       "%s: LLM-Drop has model code for llama, mistral, gemma2, baichuan and "
                       "deepseek, not for %s",
                       job->config_path, job->config.family->model_type);
    if (job->config.family->position == TR_ALIBI)
        return tr_fail(err, TR_EUNSUPPORTED,
                       "%s: whether LLM-Drop's model code for %s does ALiBi is not known",
                       job->config_path, job->config.family->model_type);
    while (layer < job->config.layers && tr_job_drops(job, TR_ATTN, layer))
        layer++;
    if (layer == job->config.layers)
        return tr_fail(
            err, TR_EUSAGE,
            "without any attention LLM-Drop's models have no cache, and cannot generate");
    return TR_OK;
}

static enum tr_fate fate(const struct tr_drop_job *job, int64_t layer, enum tr_weight role) {
    (void)job, (void)layer, (void)role;
    return TR_TENSOR_STAYS;
}

// Numbers, ascending: some of its classes read nothing else.
static json_t *layers_without(const struct tr_drop_job *job, enum tr_module module) {
    json_t *list = json_array();
    for (int64_t layer = 0; layer < job->config.layers; layer++)
        if (tr_job_drops(job, module, layer))
            json_array_append_new(list, json_integer(layer));
    return list;
}

// Beside what "auto_map" says of other classes.
static int map_classes(const struct tr_drop_job *job, json_t *root) {
    int model = code_of(job);
    json_t *map = json_object_get(root, "auto_map");
    if (!json_is_object(map)) {
        map = json_object();
        if (json_object_set_new(root, "auto_map", map))
            return -1;
    }
    return json_object_set_new(map, "AutoConfig", json_string(code[model].config_class)) ||
           json_object_set_new(map, "AutoModelForCausalLM", json_string(code[model].model_class));
}

static enum tr_status configure(const struct tr_drop_job *job, json_t *root, struct tr_err *err) {
    TR_TRY(tr_forget_drops(job, root, err));
    if (json_object_set_new(root, "drop_attn_list", layers_without(job, TR_ATTN)) ||
        json_object_set_new(root, "drop_mlp_list", layers_without(job, TR_MLP)) ||
        map_classes(job, root))
        return tr_fail(err, TR_ENOMEM, "out of memory for config.json");
    return TR_OK;
}

// The two lists are read here as there.
static enum tr_status as_read(const struct tr_drop_job *job, json_t *root, struct tr_err *err) {
    (void)job, (void)err;
    json_object_del(root, "per_layer_config");
    json_object_del(root, "block_configs");
    return TR_OK;
}

const struct tr_drop_form tr_form_llm_drop = {
    .name = "llm-drop",
    .saves = "Dropped sublayers take no memory, cache or time once loaded; the files keep their "
             "weights.",
    .loads = "LLM-Drop's model code alone, with trust_remote_code and the version of transformers "
             "that it pins (4.37): put its configuration_*.py and modeling_*.py that \"auto_map\" "
             "names into this folder. Anything else loads the whole model without a word.",
    .check = check,
    .fate = fate,
    .configure = configure,
    .as_read = as_read,
};

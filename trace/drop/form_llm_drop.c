// SPDX-License-Identifier: Apache-2.0
// The keys that LLM-Drop's own model code reads. Weights stay as they are, for that code passes
// over those of dropped sublayers, and one that is missing by mistake would be made up at random.
// Source of the names: CASE-Lab-UMD/LLM-Drop, src/llmtuner/compression/prune/models.
#include <string.h>

#include "form.h"

static const struct {
    const char *model_type, *config_class, *model_class;
    bool scales_rope; // it reads "rope_scaling", linear or dynamic
    bool head_dim;    // it reads "head_dim"; else a head's share of the hidden size
    bool wide_window; // its windows see the token itself beside "sliding_window" others
    bool unit_head;   // the head's rows always have length 1
    bool all_cached;  // its cache fails where attention is left out
} code[] = {
    {.model_type = "llama",
     .config_class = "configuration_dropped_llama.LlamaConfig",
     .model_class = "modeling_dropped_llama.LlamaForCausalLM",
     .scales_rope = true},
    {.model_type = "mistral",
     .config_class = "configuration_dropped_mistral.MistralConfig",
     .model_class = "modeling_dropped_mistral.MistralForCausalLM",
     .wide_window = true},
    {.model_type = "gemma2",
     .config_class = "configuration_dropped_gemma2.Gemma2Config",
     .model_class = "modeling_dropped_gemma2.Gemma2ForCausalLM",
     .head_dim = true},
    {.model_type = "baichuan",
     .config_class = "configuration_dropped_baichuan.BaichuanConfig",
     .model_class = "modeling_dropped_baichuan.BaichuanForCausalLM",
     .unit_head = true,
     .all_cached = true},
    {.model_type = "deepseek",
     .config_class = "configuration_deepseek.DeepseekConfig",
     .model_class = "modeling_dropped_deepseek.DeepseekForCausalLM",
     .scales_rope = true},
};
enum { MODELS = sizeof code / sizeof *code };

static int code_of(const struct tr_drop_job *job) {
    int i = 0;
    while (i < MODELS && strcmp(code[i].model_type, job->config.family->model_type))
        i++;
    return i;
}

static enum tr_status refuse(const struct tr_drop_job *job, const char *what, struct tr_err *err) {
    return tr_fail(err, TR_EUNSUPPORTED, "%s: LLM-Drop's model code for %s %s", job->config_path,
                   job->config.family->model_type, what);
}

// What it passes over in silence, written before newer models had it.
static enum tr_status check_model(const struct tr_drop_job *job, struct tr_err *err) {
    const struct tr_config *config = &job->config;
    const struct tr_rope *rope = &config->rope[0];
    int model = code_of(job);
    bool scaled = rope->type != TR_ROPE_DEFAULT;
    bool known = rope->type == TR_ROPE_LINEAR || rope->type == TR_ROPE_DYNAMIC;
    if (config->family->position != TR_ROTARY)
        return refuse(job, "turns queries and keys, and knows no ALiBi", err);
    if (scaled && !(known && code[model].scales_rope))
        return refuse(job, "does not know this scaling of positions", err);
    if (2 * rope->pairs != config->qk_dim)
        return refuse(job, "turns whole heads, not a part of them", err);
    if (!code[model].head_dim && config->qk_dim * config->heads != config->hidden)
        return refuse(job, "divides the hidden size by the heads and reads no \"head_dim\"", err);
    if (config->mlp_bias)
        return refuse(job, "knows no biases in the MLP", err);
    if (code[model].unit_head && !config->unit_head)
        return refuse(job, "scales the head's rows to length 1, as those of Baichuan 2 are", err);
    if (code[model].wide_window && config->window == 1)
        return refuse(job, "knows no window of one token", err);
    for (int layer = 0; layer < config->layers && config->family->keys[TR_K_WINDOW_PERIOD].fallback;
         layer++)
        if (config->window && tr_config_has(config, layer, TR_LAYER_WINDOWED) != (layer % 2 == 0))
            return refuse(job, "has a window in every second layer, whatever \"layer_types\" says",
                          err);
    return TR_OK;
}

static enum tr_status check_cache(const struct tr_drop_job *job, struct tr_err *err) {
    for (int64_t layer = 0; layer < job->config.layers && code[code_of(job)].all_cached; layer++)
        if (tr_job_drops(job, TR_ATTN, layer))
            return refuse(job, "fails with a cache where attention is left out", err);
    return TR_OK;
}

static enum tr_status check(const struct tr_drop_job *job, struct tr_err *err) {
    int64_t layer = 0;
    if (code_of(job) == MODELS)
        return tr_fail(err, TR_EUNSUPPORTED,
                       "%s: LLM-Drop has model code for llama, mistral, gemma2, baichuan and "
                       "deepseek, not for %s",
                       job->config_path, job->config.family->model_type);
    TR_TRY(check_model(job, err));
    while (layer < job->config.layers && tr_job_drops(job, TR_ATTN, layer))
        layer++;
    if (layer == job->config.layers)
        return tr_fail(
            err, TR_EUSAGE,
            "without any attention LLM-Drop's models have no cache, and cannot generate");
    return check_cache(job, err);
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

// That code reads the rotation where it stood before transformers 5.
static int spell_rotation(const struct tr_drop_job *job, json_t *root) {
    const struct tr_rope *rope = &job->config.rope[0];
    json_t *scaling = rope->type == TR_ROPE_DEFAULT
                          ? json_null()
                          : json_pack("{s:s, s:f}", "type", tr_rope_type_name(rope->type), "factor",
                                      rope->factor);
    json_object_del(root, "rope_parameters");
    return json_object_set_new(root, "rope_theta", json_real(rope->theta)) ||
           json_object_set_new(root, "rope_scaling", scaling);
}

// Its classes have other defaults than today's: what config.json leaves out is written.
static int spell_sizes(const struct tr_drop_job *job, json_t *root) {
    const struct tr_key_row *keys = job->config.family->keys;
    const struct {
        const char *key;
        json_int_t value;
    } sizes[] = {{keys[TR_K_KV_HEADS].json, job->config.kv_heads},
                 {keys[TR_K_QUERY_SCALAR].json, (json_int_t)keys[TR_K_QUERY_SCALAR].fallback}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i].key && !json_is_number(json_object_get(root, sizes[i].key)) &&
            json_object_set_new(root, sizes[i].key, json_integer(sizes[i].value)))
            return -1;
    return 0;
}

// As many tokens as are seen today.
static int spell_window(const struct tr_drop_job *job, json_t *root) {
    bool windows = code[code_of(job)].wide_window && job->config.window;
    return windows ? json_object_set_new(root, "sliding_window",
                                         json_integer((json_int_t)job->config.window - 1))
                   : 0;
}

static enum tr_status configure(const struct tr_drop_job *job, json_t *root, struct tr_err *err) {
    TR_TRY(tr_forget_drops(job, root, err));
    TR_TRY(tr_spell_head(job, root, err));
    if (json_object_set_new(root, "drop_attn_list", layers_without(job, TR_ATTN)) ||
        json_object_set_new(root, "drop_mlp_list", layers_without(job, TR_MLP)) ||
        spell_rotation(job, root) || spell_sizes(job, root) || spell_window(job, root) ||
        map_classes(job, root))
        return tr_fail(err, TR_ENOMEM, "out of memory for config.json");
    return TR_OK;
}

// The two lists are read here as there; keys that came later are not read there.
static enum tr_status as_read(const struct tr_drop_job *job, json_t *root, struct tr_err *err) {
    static const char *const later[] = {"per_layer_config", "block_configs", "rope_parameters",
                                        "layer_types", "mlp_bias"};
    json_int_t window = json_integer_value(json_object_get(root, "sliding_window"));
    for (size_t i = 0; i < sizeof later / sizeof *later; i++)
        json_object_del(root, later[i]);
    if (!code[code_of(job)].head_dim)
        json_object_del(root, "head_dim");
    if (code[code_of(job)].wide_window && window &&
        json_object_set_new(root, "sliding_window", json_integer(window + 1)))
        return tr_fail(err, TR_ENOMEM, "out of memory for config.json");
    return TR_OK;
}

const struct tr_drop_form tr_form_llm_drop = {
    .name = "llm-drop",
    .saves = "Dropped sublayers take no memory, cache or time once loaded; the files keep their "
             "weights.",
    .loads = "LLM-Drop's model code alone, with trust_remote_code and transformers of its time "
             "(tried: 4.44): put its configuration_*.py and modeling_*.py that \"auto_map\" "
             "names into this folder. Anything else loads the whole model without a word.",
    .check = check,
    .fate = fate,
    .configure = configure,
    .as_read = as_read,
};

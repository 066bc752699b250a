// SPDX-License-Identifier: Apache-2.0
#include "trainer_config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// One member of config.json, from the first of the paths that has a value, else from the text
// `otherwise` (JSON; NULL: the member is needed).
struct row {
    const char *to;
    const char *from[3];
    const char *otherwise;
};

// What a fact must be for config.json to say the same; `value` is JSON. Absent facts are well
// unless they are needed.
struct condition {
    const char *fact, *value;
    bool needed;
};

struct mapping {
    const char *whose, *model_type;
    struct row rows[20];             // ended by one without `to`
    struct condition conditions[14]; // ended by one without `fact`
};

#define NEEDED NULL
#define LEFT_OUT ""
static const struct mapping meta = {
    .whose = "Meta's",
    .model_type = "llama",
    .rows = {{"hidden_size", {"dim"}, NEEDED},
             {"num_hidden_layers", {"n_layers"}, NEEDED},
             {"num_attention_heads", {"n_heads"}, NEEDED},
             {"num_key_value_heads", {"n_kv_heads", "n_heads"}, NEEDED},
             {"vocab_size", {"vocab_size"}, NEEDED},
             {"intermediate_size", {"intermediate_size"}, NEEDED},
             {"rms_norm_eps", {"norm_eps"}, "1e-5"},
             {"rope_theta", {"rope_theta"}, "10000.0"},
             {"max_position_embeddings", {"max_seq_len"}, "2048"},
             {"tie_word_embeddings", {NULL}, "false"}},
    .conditions = {{"use_scaled_rope", "false", false},
                   {"moe", "null", false},
                   {"quantization_args", "null", false}},
};
static const struct mapping lit_llama = {
    .whose = "litgpt's",
    .model_type = "llama",
    .rows = {{"hidden_size", {"n_embd"}, NEEDED},
             {"num_hidden_layers", {"n_layer"}, NEEDED},
             {"num_attention_heads", {"n_head"}, NEEDED},
             {"num_key_value_heads", {"n_query_groups", "n_head"}, NEEDED},
             {"head_dim", {"head_size"}, LEFT_OUT},
             {"vocab_size", {"padded_vocab_size", "vocab_size"}, NEEDED},
             {"intermediate_size", {"intermediate_size"}, NEEDED},
             {"rms_norm_eps", {"norm_eps"}, "1e-5"},
             {"rope_theta", {"rope_base"}, "10000.0"},
             {"max_position_embeddings", {"block_size"}, "2048"},
             {"attention_bias", {"bias"}, "false"},
             {"tie_word_embeddings", {NULL}, "false"}},
    .conditions = {{"norm_class_name", "\"RMSNorm\"", false},
                   {"mlp_class_name", "\"LLaMAMLP\"", false},
                   {"parallel_residual", "false", false},
                   {"rotary_percentage", "1.0", false},
                   {"rope_adjustments", "null", false},
                   {"rope_condense_ratio", "1", false},
                   {"scale_embeddings", "false", false},
                   {"sliding_window_size", "null", false},
                   {"norm_qk", "false", false}},
};
static const struct mapping lit_neox = {
    .whose = "litgpt's",
    .model_type = "gpt_neox",
    .rows = {{"hidden_size", {"n_embd"}, NEEDED},
             {"num_hidden_layers", {"n_layer"}, NEEDED},
             {"num_attention_heads", {"n_head"}, NEEDED},
             {"vocab_size", {"padded_vocab_size", "vocab_size"}, NEEDED},
             {"intermediate_size", {"intermediate_size"}, NEEDED},
             {"layer_norm_eps", {"norm_eps"}, "1e-5"},
             {"rotary_emb_base", {"rope_base"}, "10000"},
             {"rotary_pct", {"rotary_percentage"}, "0.25"},
             {"use_parallel_residual", {"parallel_residual"}, "true"},
             {"max_position_embeddings", {"block_size"}, "2048"},
             {"hidden_act", {NULL}, "\"gelu\""},
             {"tie_word_embeddings", {NULL}, "false"}},
    .conditions = {{"gelu_approximate", "\"none\"", false},
                   {"bias", "true", false},
                   {"rope_condense_ratio", "1", false}},
};
static const struct mapping nanotron = {
    .whose = "nanotron's",
    .model_type = "llama",
    .rows = {{"hidden_size", {"hidden_size"}, NEEDED},
             {"num_hidden_layers", {"num_hidden_layers"}, NEEDED},
             {"num_attention_heads", {"num_attention_heads"}, NEEDED},
             {"num_key_value_heads", {"num_key_value_heads", "num_attention_heads"}, NEEDED},
             {"vocab_size", {"vocab_size"}, NEEDED},
             {"intermediate_size", {"intermediate_size"}, NEEDED},
             {"rms_norm_eps", {"rms_norm_eps"}, "1e-6"},
             {"rope_theta", {"rope_theta"}, "10000.0"},
             {"rope_interleaved", {"rope_interleaved"}, "false"},
             {"max_position_embeddings", {"max_position_embeddings"}, "2048"},
             {"hidden_act", {"hidden_act"}, "\"silu\""},
             {"tie_word_embeddings", {"tie_word_embeddings"}, "false"}},
    .conditions = {{"is_llama_config", "true", false}, {"rope_scaling", "null", false}},
};
#define OLMO_ROWS                                                                                  \
    {                                                                                              \
        {"hidden_size", {"model.d_model"}, NEEDED},                                                \
            {"num_hidden_layers", {"model.n_layers"}, NEEDED},                                     \
            {"num_attention_heads", {"model.block.attention.n_heads"}, NEEDED},                    \
            {"num_key_value_heads",                                                                \
             {"model.block.attention.n_kv_heads", "model.block.attention.n_heads"},                \
             NEEDED},                                                                              \
            {"vocab_size", {"model.vocab_size"}, NEEDED},                                          \
            {"intermediate_size", {"model.block.feed_forward.hidden_size"}, NEEDED},               \
            {"rms_norm_eps", {"model.block.layer_norm.eps"}, "1e-5"},                              \
            {"rope_theta", {"model.block.attention.rope.theta"}, "500000"},                        \
            {"max_position_embeddings",                                                            \
             {"dataset.sequence_length", "train_module.max_sequence_length"},                      \
             "2048"},                                                                              \
            {"hidden_act", {NULL}, "\"silu\""}, {                                                  \
            "tie_word_embeddings", {NULL}, "false"                                                 \
        }                                                                                          \
    }
#define OLMO_CONDITIONS                                                                            \
    {"model.block.attention.rope.scaling", "null", false},                                         \
        {"model.block.attention.sliding_window", "null", false},                                   \
        {"model.block.attention.bias", "false", false}, {                                          \
        "model.block_overrides", "null"                                                            \
    }
static const struct mapping olmo_behind = {
    .whose = "OLMo-core's",
    .model_type = "olmo2",
    .rows = OLMO_ROWS,
    .conditions = {{"model.block.name", "\"reordered_norm\"", false}, OLMO_CONDITIONS},
};
static const struct mapping olmo_before = {
    .whose = "OLMo-core's",
    .model_type = "llama",
    .rows = OLMO_ROWS,
    .conditions = {{"model.block.name", "\"default\"", false},
                   {"model.block.attention.qk_norm", "null", false},
                   OLMO_CONDITIONS},
};
static const struct mapping megatron_llama = {
    .whose = "Megatron's",
    .model_type = "llama",
    .rows = {{"hidden_size", {"hidden_size"}, NEEDED},
             {"num_hidden_layers", {"num_layers"}, NEEDED},
             {"num_attention_heads", {"num_attention_heads"}, NEEDED},
             {"num_key_value_heads", {"kv_heads", "num_attention_heads"}, NEEDED},
             {"head_dim", {"kv_channels"}, LEFT_OUT},
             {"vocab_size", {"vocab_size", "padded_vocab_size"}, NEEDED},
             {"intermediate_size", {"ffn_hidden_size"}, NEEDED},
             {"rms_norm_eps", {"norm_epsilon", "layernorm_epsilon"}, "1e-5"},
             {"rope_theta", {"rotary_base"}, "10000.0"},
             {"max_position_embeddings", {"max_position_embeddings", "seq_length"}, "2048"},
             {"attention_bias", {"add_qkv_bias"}, "false"},
             {"hidden_act", {NULL}, "\"silu\""},
             {"tie_word_embeddings", {"tied"}, "false"}},
    .conditions = {{"normalization", "\"RMSNorm\"", true},
                   {"swiglu", "true", true},
                   {"position_embedding_type", "\"rope\"", true},
                   {"rotary_percent", "1.0", false},
                   {"add_bias_linear", "false", false},
                   {"add_qkv_bias", "false", false},
                   {"rotary_interleaved", "false", false},
                   {"num_experts", "null", false},
                   {"qk_layernorm", "false", false},
                   {"apply_layernorm_1p", "false", false},
                   {"use_rope_scaling", "false", false},
                   {"multi_latent_attention", "false", false}},
};
#define NEOX_ROWS(layers, eps)                                                                     \
    {                                                                                              \
        {"hidden_size", {"hidden_size"}, NEEDED}, {"num_hidden_layers", {"num_layers"}, NEEDED},   \
            {"num_attention_heads", {"num_attention_heads"}, NEEDED},                              \
            {"vocab_size", {"vocab_size", "padded_vocab_size"}, NEEDED},                           \
            {"intermediate_size", {"ffn_hidden_size", "intermediate_size"}, NEEDED},               \
            {"layer_norm_eps", {"norm_epsilon", "layernorm_epsilon"}, "1e-5"},                     \
            {"rotary_emb_base", {"rotary_base", "rotary_emb_base"}, "10000"},                      \
            {"rotary_pct", {"rotary_percent", "rotary_pct"}, "1.0"},                               \
            {"use_parallel_residual", {"gpt_j_residual"}, "false"},                                \
            {"max_position_embeddings", {"max_position_embeddings"}, "2048"},                      \
            {"hidden_act", {NULL}, "\"gelu\""}, {                                                  \
            "tie_word_embeddings", {"tied"}, "false"                                               \
        }                                                                                          \
    }
static const struct mapping neox = {
    .whose = "GPT-NeoX's",
    .model_type = "gpt_neox",
    .rows = NEOX_ROWS("num_layers", "layernorm_epsilon"),
    .conditions = {{"norm", "\"layernorm\"", false},
                   {"pos_emb", "\"rotary\"", false},
                   {"activation", "\"gelu\"", false}},
};

// ---- what a table alone does not say -----------------------------------------------------------

static const struct mapping *choose(enum tr_trainer trainer, const json_t *facts) {
    const json_t *kind =
        tr_fact(facts, trainer == TR_OLMO_CORE ? "model.block.name" : "mlp_class_name");
    const char *text = json_is_string(kind) ? json_string_value(kind) : "";
    switch (trainer) {
    case TR_META:
        return &meta;
    case TR_LITGPT:
        return strcmp(text, "GptNeoxMLP") ? &lit_llama : &lit_neox;
    case TR_NANOTRON:
        return &nanotron;
    case TR_OLMO_CORE:
        return strcmp(text, "reordered_norm") ? &olmo_before : &olmo_behind;
    case TR_MEGATRON:
        return &megatron_llama;
    case TR_NEOX:
        break;
    }
    return &neox;
}

// The width of Meta's feed-forward network (llama/model.py, FeedForward).
static void derive_width(json_t *facts) {
    int64_t dim, multiple = 256;
    double factor = 1;
    if (!tr_fact_i64(facts, "dim", &dim) || dim < 1 || dim > 1 << 24)
        return;
    tr_fact_i64(facts, "multiple_of", &multiple);
    tr_fact_f64(facts, "ffn_dim_multiplier", &factor);
    if (multiple < 1 || multiple > 1 << 24 || !(factor > 0) || factor > 64)
        return;
    int64_t width = (int64_t)(factor * (double)(2 * 4 * dim / 3));
    width = (width + multiple - 1) / multiple * multiple;
    json_object_set_new(facts, "intermediate_size", json_integer(width));
}

static void derive(enum tr_trainer trainer, json_t *facts) {
    int64_t number;
    if (trainer == TR_META) {
        derive_width(facts);
        if (tr_fact_i64(facts, "vocab_size", &number) && number < 1) // that of the tokenizer
            json_object_del(facts, "vocab_size");
    }
    if (trainer == TR_MEGATRON) {
        if (tr_fact_true(facts, "group_query_attention") &&
            tr_fact_i64(facts, "num_query_groups", &number))
            json_object_set_new(facts, "kv_heads", json_integer(number));
        if (tr_fact_true(facts, "use_rotary_position_embeddings")) // before the type had a name
            json_object_set_new(facts, "position_embedding_type", json_string("rope"));
        const json_t *untied = tr_fact(facts, "untie_embeddings_and_output_weights");
        json_object_set_new(facts, "tied", json_boolean(untied && json_is_false(untied)));
    }
    if (trainer == TR_NEOX) {
        json_object_set_new(facts, "tied", json_boolean(!tr_fact_true(facts, "no_weight_tying")));
        if (!tr_fact(facts, "intermediate_size") && tr_fact_i64(facts, "hidden_size", &number))
            json_object_set_new(facts, "intermediate_size", json_integer(4 * number));
    }
}

// ---- the mapping -------------------------------------------------------------------------------

static bool is_equal(const json_t *fact, const char *value) {
    json_t *wanted = json_loads(value, JSON_DECODE_ANY, NULL);
    bool equal = !fact || (json_is_number(fact) && json_is_number(wanted)
                               ? fabs(json_number_value(fact) - json_number_value(wanted)) < 1e-9
                               : json_equal(fact, wanted));
    json_decref(wanted);
    return equal;
}

static enum tr_status check_conditions(const struct mapping *mapping, const json_t *facts,
                                       const char *path, struct tr_err *err) {
    for (const struct condition *c = mapping->conditions; c->fact; c++)
        if ((c->needed && !tr_fact(facts, c->fact)) || !is_equal(tr_fact(facts, c->fact), c->value))
            return tr_fail(
                err, TR_EUNSUPPORTED,
                "%s: %s \"%s\" is not %s, of which no config.json is made here: give one "
                "with --config",
                path, mapping->whose, c->fact, c->value);
    return TR_OK;
}

static enum tr_status map_row(const struct mapping *mapping, const struct row *row,
                              const json_t *facts, json_t *config, const char *path,
                              struct tr_err *err) {
    const json_t *found = NULL;
    for (int i = 0; i < 3 && row->from[i] && !found; i++)
        found = tr_fact(facts, row->from[i]);
    if (found && (json_is_number(found) || json_is_boolean(found) || json_is_string(found)))
        json_object_set(config, row->to, (json_t *)found);
    else if (row->otherwise && *row->otherwise)
        json_object_set_new(config, row->to, json_loads(row->otherwise, JSON_DECODE_ANY, NULL));
    else if (!row->otherwise)
        return tr_fail(err, TR_EUNSUPPORTED,
                       "%s does not say %s \"%s\": give a config.json with --config", path,
                       mapping->whose, row->from[0]);
    return TR_OK;
}

static enum tr_status map_all(const struct mapping *mapping, const json_t *facts, json_t *config,
                              const char *path, struct tr_err *err) {
    TR_TRY(check_conditions(mapping, facts, path, err));
    json_object_set_new(config, "model_type", json_string(mapping->model_type));
    for (const struct row *row = mapping->rows; row->to; row++)
        TR_TRY(map_row(mapping, row, facts, config, path, err));
    return TR_OK;
}

static enum tr_status give(struct tr_checkpoint *checkpoint, const json_t *config, const char *name,
                           struct tr_err *err) {
    char *text = json_dumps(config, JSON_SORT_KEYS);
    if (!text)
        return tr_fail(err, TR_ENOMEM, "out of memory for a model's configuration");
    enum tr_status status = tr_checkpoint_set_config(checkpoint, name, text, strlen(text), err);
    free(text);
    return status;
}

enum tr_status tr_trainer_configure(struct tr_checkpoint *checkpoint, enum tr_trainer trainer,
                                    const json_t *facts, const char *name, struct tr_err *err) {
    json_t *config = json_object(), *own = json_copy((json_t *)facts);
    char *path = NULL;
    enum tr_status status = tr_path_join(&path, checkpoint->folder, name, err);
    if (status == TR_OK && (!config || !own))
        status = tr_fail(err, TR_ENOMEM, "out of memory for a model's configuration");
    if (status == TR_OK) {
        derive(trainer, own);
        status = map_all(choose(trainer, own), own, config, path, err);
    }
    if (status == TR_OK)
        status = give(checkpoint, config, name, err);
    json_decref(config);
    json_decref(own);
    free(path);
    return status;
}

// ---- files of their own ------------------------------------------------------------------------

typedef enum tr_status parse_facts(json_t **facts_p, const char *bytes, size_t size,
                                   const char *what, struct tr_err *err);

// Nothing where the file is not there: then a config.json has to be.
static enum tr_status configure(struct tr_checkpoint *checkpoint, enum tr_trainer trainer,
                                const char *name, parse_facts *parse, struct tr_err *err) {
    enum { LIMIT = 16 << 20 };
    char *bytes = NULL;
    size_t size;
    json_t *facts = NULL;
    bool there = false;
    TR_TRY(tr_folder_has(checkpoint->folder, name, &there, err));
    if (!there)
        return TR_OK;
    TR_TRY(tr_checkpoint_load(checkpoint, name, LIMIT, &bytes, &size, NULL, err));
    char *path = NULL;
    enum tr_status status = tr_path_join(&path, checkpoint->folder, name, err);
    if (status == TR_OK)
        status = parse(&facts, bytes, size, path, err);
    free(path);
    free(bytes);
    if (status == TR_OK)
        status = tr_trainer_configure(checkpoint, trainer, facts, name, err);
    json_decref(facts);
    return status;
}

enum tr_status tr_configure_meta(struct tr_checkpoint *checkpoint, const char *name,
                                 struct tr_err *err) {
    (void)name;
    return configure(checkpoint, TR_META, "params.json", tr_json_parse, err);
}

enum tr_status tr_configure_litgpt(struct tr_checkpoint *checkpoint, const char *name,
                                   struct tr_err *err) {
    (void)name;
    return configure(checkpoint, TR_LITGPT, "model_config.yaml", tr_facts_of_yaml, err);
}

enum tr_status tr_configure_nanotron(struct tr_checkpoint *checkpoint, const char *name,
                                     struct tr_err *err) {
    (void)name;
    return configure(checkpoint, TR_NANOTRON, "model_config.json", tr_json_parse, err);
}

enum tr_status tr_configure_olmo_core(struct tr_checkpoint *checkpoint, const char *name,
                                      struct tr_err *err) {
    (void)name;
    return configure(checkpoint, TR_OLMO_CORE, "config.json", tr_json_parse, err);
}

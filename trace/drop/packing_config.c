// SPDX-License-Identifier: Apache-2.0
// "quantization_config" in the words of each layout's readers: compressed-tensors 0.20
// (quantization/quant_config.py), GPTQModel 7 (quantization/config.py), transformers 5
// (utils/quantization_config.py) and vLLM (model_executor/layers/quantization).
#include "packing_config.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/strings.h"
#include "config_file.h"
#include "model/layer_names.h"
#include "tensor_fate.h"

static enum tr_status no_memory(struct tr_err *err) {
    return tr_fail(err, TR_ENOMEM, "out of memory for \"quantization_config\"");
}

// ---- modules that are left out -----------------------------------------------------------------

static bool is_table(const struct tr_family *family, const char *name) {
    static const enum tr_weight roles[] = {TR_W_EMBED, TR_W_POSITIONS};
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (family->weights[roles[i]] &&
            !strcmp(tr_bare_name(family->weights[roles[i]]), tr_bare_name(name)))
            return true;
    return false;
}

static size_t module_length(const char *name) {
    static const char ending[] = ".weight";
    size_t size = strlen(name), tail = sizeof ending - 1;
    return size > tail && !strcmp(name + size - tail, ending) ? size - tail : 0;
}

// Whether the tensor is a linear module's weight that is written as it is.
static bool is_left_out(const struct tr_drop_job *job, const struct tr_tensor *tensor) {
    return tensor->dims == 2 && module_length(tensor->name) &&
           !is_table(job->config.family, tensor->name) &&
           tr_fate_of(job, tensor) != TR_TENSOR_GONE &&
           tr_packing_fate_of(job, tensor) != TR_PACKING_CODES;
}

static enum tr_status append_module(const struct tr_drop_job *job, json_t *list, const char *name,
                                    struct tr_err *err) {
    char *renamed;
    TR_TRY(tr_new_name(&renamed, job, name, err));
    const char *text = renamed ? renamed : name;
    int failed = json_array_append_new(list, json_stringn(text, module_length(text)));
    free(renamed);
    return failed ? no_memory(err) : TR_OK;
}

// Tensors of one name follow one another.
enum tr_status tr_list_left_out(const struct tr_drop_job *job, json_t **list_p,
                                struct tr_err *err) {
    json_t *list = json_array();
    const char *last = "";
    enum tr_status status = list ? TR_OK : no_memory(err);
    for (int64_t i = 0; i < tr_checkpoint_tensor_count(job->checkpoint) && status == TR_OK; i++) {
        const struct tr_tensor *tensor = tr_checkpoint_tensor(job->checkpoint, i);
        if (strcmp(last, tensor->name) != 0 && is_left_out(job, tensor))
            status = append_module(job, list, tensor->name, err);
        last = tensor->name;
    }
    if (status == TR_OK)
        *list_p = list;
    else
        json_decref(list);
    return status;
}

static bool has_name(const json_t *list, const char *name) {
    const json_t *entry;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)list, i,
                       entry) if (!strcmp(json_string_value(entry), name)) return true;
    return false;
}

// ---- compressed-tensors ------------------------------------------------------------------------

// A tied head has no tensor, and would else be taken for one of the modules that are packed.
static json_t *say_compressed(const struct tr_packing *p, json_t *left_out) {
    bool rows = p->group_size < 0;
    if (!has_name(left_out, "lm_head"))
        json_array_append_new(left_out, json_string("lm_head"));
    json_t *weights =
        json_pack("{s:i, s:s, s:b, s:s, s:o, s:n, s:b}", "num_bits", p->bits, "type", "int",
                  "symmetric", p->symmetric, "strategy", rows ? "channel" : "group", "group_size",
                  rows ? json_null() : json_integer(p->group_size), "actorder", "dynamic", 0);
    json_t *group =
        json_pack("{s:[s], s:s, s:n, s:n, s:o}", "targets", "Linear", "format", "pack-quantized",
                  "input_activations", "output_activations", "weights", weights);
    return json_pack("{s:s, s:s, s:s, s:O, s:n, s:{s:o}}", "quant_method", "compressed-tensors",
                     "format", "pack-quantized", "quantization_status", "compressed", "ignore",
                     left_out, "kv_cache_scheme", "config_groups", "group_0", group);
}

// ---- GPTQ --------------------------------------------------------------------------------------

// vLLM joins modules, and looks for the joined one's name.
static const char *joined_name(const char *leaf) {
    static const char *const names[][2] = {{"q_proj", "qkv_proj"},
                                           {"k_proj", "qkv_proj"},
                                           {"v_proj", "qkv_proj"},
                                           {"gate_proj", "gate_up_proj"},
                                           {"up_proj", "gate_up_proj"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i][0], leaf))
            return names[i][1];
    return NULL;
}

// "-:^model\.layers\.0\.mlp\.(gate_proj|gate_up_proj)$": {}
static enum tr_status add_rule(json_t *rules, const char *module, struct tr_err *err) {
    struct tr_string rule = {0};
    const char *dot = strrchr(module, '.'), *leaf = dot ? dot + 1 : module;
    const char *joined = joined_name(leaf);
    enum tr_status status = tr_string_format(&rule, err, "-:^");
    for (const char *at = module; at < leaf && status == TR_OK; at++)
        status = tr_string_format(&rule, err, *at == '.' ? "\\%c" : "%c", *at);
    if (status == TR_OK)
        status = joined ? tr_string_format(&rule, err, "(%s|%s)$", leaf, joined)
                        : tr_string_format(&rule, err, "%s$", leaf);
    if (status == TR_OK && json_object_set_new(rules, rule.data, json_object()))
        status = no_memory(err);
    tr_string_free(&rule);
    return status;
}

// Only modules in blocks are taken for packed ones.
static enum tr_status add_rules(const struct tr_drop_job *job, json_t *said, const json_t *left_out,
                                struct tr_err *err) {
    json_t *rules = json_object(), *entry;
    enum tr_status status = rules ? TR_OK : no_memory(err);
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)left_out, i, entry) {
        const char *module = json_string_value(entry);
        if (status == TR_OK && tr_layer_number(job->config.family, module))
            status = add_rule(rules, module, err);
    }
    if (status == TR_OK && json_object_size(rules) && json_object_set(said, "dynamic", rules))
        status = no_memory(err);
    json_decref(rules);
    return status;
}

static json_t *say_gptq(const struct tr_packing *p, json_t *left_out) {
    const char *version = p->layout->zeros_less_one ? "gptq" : "gptq_v2";
    (void)left_out;
    return json_pack("{s:i, s:I, s:b, s:b, s:b, s:s, s:s, s:s, s:s, s:s, s:O*}", "bits", p->bits,
                     "group_size", (json_int_t)p->group_size, "desc_act", p->ordered, "sym",
                     p->symmetric, "lm_head", 0, "quant_method", "gptq", "method", "gptq", "format",
                     version, "checkpoint_format", version, "pack_dtype", "int32", "meta", p->meta);
}

// ---- AWQ ---------------------------------------------------------------------------------------

static json_t *say_awq(const struct tr_packing *p, json_t *left_out) {
    if (json_array_size(left_out) && !has_name(left_out, "lm_head"))
        json_array_append_new(left_out, json_string("lm_head"));
    return json_pack("{s:s, s:i, s:I, s:b, s:s, s:O?}", "quant_method", "awq", "bits", p->bits,
                     "group_size", (json_int_t)p->group_size, "zero_point", 1, "version", "gemm",
                     "modules_to_not_convert", json_array_size(left_out) ? left_out : NULL);
}

// Names are looked for anywhere in a module's.
static enum tr_status check_substrings(const struct tr_drop_job *job, const json_t *left_out,
                                       struct tr_err *err) {
    const json_t *entry;
    size_t at;
    json_array_foreach((json_t *)(uintptr_t)left_out, at, entry) {
        const char *name = json_string_value(entry);
        for (int64_t i = 0; i < tr_checkpoint_tensor_count(job->checkpoint); i++) {
            const struct tr_tensor *tensor = tr_checkpoint_tensor(job->checkpoint, i);
            if (tr_packing_fate_of(job, tensor) == TR_PACKING_CODES && strstr(tensor->name, name))
                return tr_fail(err, TR_EUNSUPPORTED,
                               "readers of awq would leave %s out with %s, in whose name it "
                               "begins: pack both or neither",
                               tensor->name, name);
        }
    }
    return TR_OK;
}

// ---- layouts -----------------------------------------------------------------------------------

static const struct words {
    const char *method; // of the layout
    json_t *(*say)(const struct tr_packing *packing, json_t *left_out);
    const char *loads;
} table[] = {
    {"compressed-tensors", say_compressed,
     "transformers with the package compressed-tensors, vLLM and SGLang."},
    {"gptq", say_gptq, "transformers with the packages gptqmodel and optimum, vLLM and SGLang."},
    {"awq", say_awq, "transformers with the package gptqmodel, vLLM and SGLang."},
};

static const struct words *words_of(const struct tr_packing *packing) {
    size_t i = 0;
    while (strcmp(table[i].method, packing->layout->method) != 0)
        i++; // each layout's method has a row
    return &table[i];
}

const char *tr_packing_loads(const struct tr_packing *packing) {
    return words_of(packing)->loads;
}

static enum tr_status say(const struct tr_drop_job *job, json_t *left_out, json_t **said_p,
                          struct tr_err *err) {
    const struct tr_packing *packing = job->options->packing;
    if (!strcmp(packing->layout->method, "awq"))
        TR_TRY(check_substrings(job, left_out, err));
    json_t *said = words_of(packing)->say(packing, left_out);
    enum tr_status status = said ? TR_OK : no_memory(err);
    if (status == TR_OK && !strcmp(packing->layout->method, "gptq"))
        status = add_rules(job, said, left_out, err);
    if (status == TR_OK)
        *said_p = said;
    else
        json_decref(said);
    return status;
}

static enum tr_status say_all(const struct tr_drop_job *job, json_t **said_p, struct tr_err *err) {
    json_t *left_out;
    TR_TRY(tr_list_left_out(job, &left_out, err));
    enum tr_status status = say(job, left_out, said_p, err);
    json_decref(left_out);
    return status;
}

enum tr_status tr_packing_configure(const struct tr_drop_job *job, json_t *root,
                                    struct tr_err *err) {
    json_t *said;
    TR_TRY(say_all(job, &said, err));
    return json_object_set_new(root, "quantization_config", said) ? no_memory(err) : TR_OK;
}

// GPTQ's older readers look for a file of its own.
enum tr_status tr_packing_write_beside(const struct tr_drop_job *job, const char *folder,
                                       struct tr_err *err) {
    char *text = NULL, *path = NULL;
    json_t *said;
    if (strcmp(job->options->packing->layout->method, "gptq") != 0)
        return TR_OK;
    TR_TRY(say_all(job, &said, err));
    enum tr_status status = tr_config_dump(&text, said, folder, err);
    if (status == TR_OK)
        status = tr_path_join(&path, folder, "quantize_config.json", err);
    if (status == TR_OK)
        status = tr_file_replace(path, text, strlen(text), err);
    json_decref(said);
    free(path);
    free(text);
    return status;
}

// ---- what can be packed -------------------------------------------------------------------------

static enum tr_status check_one(const struct tr_drop_job *job, const struct tr_tensor *tensor,
                                struct tr_err *err) {
    enum tr_packing_fate fate = tr_packing_fate_of(job, tensor);
    if (fate == TR_PACKING_STAYS)
        return TR_OK;
    if (tensor->dtype == TR_OTHER_DTYPE || tensor->packed)
        return tr_fail(err, TR_EUNSUPPORTED, "%s is of type %s: other values are not written",
                       tensor->name, tensor->packed ? "of few bits" : tensor->dtype_text);
    if (fate == TR_PACKING_VALUES)
        return TR_OK;
    if (job->config.family->transposed)
        return tr_fail(err, TR_EUNSUPPORTED,
                       "%s cannot be stored in few bits: the weights of %s lie transposed, which "
                       "readers of quantized ones take for the other way",
                       tensor->name, job->config.family->model_type);
    if (job->config.multipliers)
        return tr_fail(err, TR_EUNSUPPORTED,
                       "%s cannot be stored in few bits: it has a learned multiplier beside it",
                       tensor->name);
    return tr_packing_check(job->options->packing, tensor, err);
}

enum tr_status tr_packing_check_all(const struct tr_drop_job *job, struct tr_err *err) {
    if (json_is_object(json_object_get(job->root, "quantization_config")))
        return tr_fail(err, TR_EUNSUPPORTED, "%s: the model is quantized already",
                       job->config_path);
    if (job->options->form->recipe)
        return tr_fail(err, TR_EUSAGE, "a recipe (%s) holds no weights: they cannot be in few bits",
                       job->options->form->name);
    for (int64_t i = 0; i < tr_checkpoint_tensor_count(job->checkpoint); i++)
        TR_TRY(check_one(job, tr_checkpoint_tensor(job->checkpoint, i), err));
    return TR_OK;
}

// SPDX-License-Identifier: Apache-2.0
#include "sublayer_sizes.h"

#include <string.h>

#include "base/json.h"
#include "model/costs.h"

struct sizes {
    bool present, chunks;
    int64_t parameters, met, kept, key, window;
};

static void attention_sizes(struct sizes *sizes, const struct tr_config *c, int layer) {
    bool windowed = tr_config_has(c, layer, TR_LAYER_WINDOWED);
    if (tr_config_has(c, layer, TR_LAYER_SCAN)) // keeps its state, however long the text
        return;
    sizes->kept = c->kv_rank ? c->kv_rank + c->rope_dim
                             : tr_config_kv_heads(c, layer) * (c->qk_dim + c->v_dim);
    sizes->key = 2 * c->heads * (c->qk_dim + c->v_dim);
    sizes->window = windowed ? c->window : 0;
    sizes->chunks = sizes->window && c->chunks;
}

static struct sizes sizes_of(const struct tr_config *c, const struct tr_drop_set *drop,
                             enum tr_module module, int layer) {
    struct sizes sizes = {.present = tr_config_keeps(c, drop, module, layer)};
    if (!sizes.present)
        return sizes;
    sizes.parameters = (int64_t)tr_sublayer_parameters(c, module, layer, false);
    sizes.met = (int64_t)tr_sublayer_parameters(c, module, layer, true);
    if (module == TR_ATTN)
        attention_sizes(&sizes, c, layer);
    return sizes;
}

static bool are_alike(const struct sizes *a, const struct sizes *b) {
    return a->present == b->present && a->parameters == b->parameters && a->met == b->met &&
           a->kept == b->kept && a->key == b->key && a->window == b->window &&
           a->chunks == b->chunks;
}

static json_t *entry_of(enum tr_module module, int first, int last, const struct sizes *sizes) {
    return json_pack("{sssisisIsIsIsIsIso*}", "module", tr_module_names[module], "first", first,
                     "last", last, "parameters", (json_int_t)sizes->parameters, "met",
                     (json_int_t)sizes->met, "kept", (json_int_t)sizes->kept, "key",
                     (json_int_t)sizes->key, "window", (json_int_t)sizes->window, "chunks",
                     sizes->chunks ? json_true() : NULL);
}

// NULL: no memory.
static json_t *list_of(const struct tr_config *c, const struct tr_drop_set *drop) {
    json_t *list = json_array();
    for (enum tr_module module = TR_ATTN; list && module <= TR_MLP; module++)
        for (int first = 0, next; first < c->layers; first = next) {
            struct sizes sizes = sizes_of(c, drop, module, first), other;
            for (next = first + 1; next < c->layers; next++)
                if (other = sizes_of(c, drop, module, next), !are_alike(&sizes, &other))
                    break;
            if (sizes.present &&
                json_array_append_new(list, entry_of(module, first, next - 1, &sizes))) {
                json_decref(list);
                return NULL;
            }
        }
    return list;
}

enum tr_status tr_sublayer_sizes_text(const struct tr_config *config,
                                      const struct tr_drop_set *drop, int64_t weight_bytes,
                                      struct tr_string *out, struct tr_err *err) {
    int64_t table = config->vocabulary * config->hidden;
    json_t *object = json_pack("{sIsIsIso*}", "weight_bytes", (json_int_t)weight_bytes, "elsewhere",
                               (json_int_t)(config->tied ? table : 2 * table), "head",
                               (json_int_t)(2 * table), "sublayers", list_of(config, drop));
    bool whole = object && json_object_get(object, "sublayers");
    char *text = whole ? json_dumps(object, 0) : NULL;
    enum tr_status status =
        text ? tr_string_append(out, text, strlen(text), err)
             : tr_fail(err, TR_ENOMEM, "out of memory for the sizes of the sublayers");
    free(text);
    json_decref(object);
    return status;
}

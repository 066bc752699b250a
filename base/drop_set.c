// SPDX-License-Identifier: Apache-2.0
#include "base/drop_set.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

enum { MAX_LAYER = 1 << 20 };

bool tr_drop_set_has(const struct tr_drop_set *set, enum tr_module module, int64_t layer) {
    bool attn = false, mlp = false;
    for (int64_t i = 0; set && i < set->count; i++) {
        const struct tr_drop *drop = &set->drops[i];
        if (drop->layer != layer)
            continue;
        attn |= drop->module != TR_MLP;
        mlp |= drop->module != TR_ATTN;
    }
    return module == TR_ATTN ? attn : module == TR_MLP ? mlp : attn && mlp;
}

enum tr_status tr_drop_set_add(struct tr_drop_set *set, enum tr_module module, int64_t layer,
                               struct tr_err *err) {
    if (layer < 0 || layer > MAX_LAYER)
        return tr_fail(err, TR_EUSAGE, "%lld is no layer's number", (long long)layer);
    bool attn = module != TR_MLP && tr_drop_set_has(set, TR_ATTN, layer);
    bool mlp = module != TR_ATTN && tr_drop_set_has(set, TR_MLP, layer);
    if (attn || mlp)
        return tr_fail(err, TR_EUSAGE, "the drop set names %s %lld twice", attn ? "attn" : "mlp",
                       (long long)layer);
    TR_TRY(tr_grow((void **)&set->drops, &set->capacity, (uint64_t)set->count + 1,
                   sizeof *set->drops, "a drop set", err));
    set->drops[set->count++] = (struct tr_drop){module, (int32_t)layer};
    return TR_OK;
}

void tr_drop_set_free(struct tr_drop_set *set) {
    free(set->drops);
    *set = (struct tr_drop_set){0};
}

// ---- reading -----------------------------------------------------------------------------------

static enum tr_status refuse(const char *word, size_t size, struct tr_err *err) {
    return tr_fail(
        err, TR_EUSAGE,
        "\"%.*s\" is no part of a drop set, which reads like attn:25,26 mlp:27 block:3-5",
        size > 64 ? 64 : (int)size, word);
}

// Reads the number whose digits begin at *at and moves *at behind them.
static bool read_layer(const char **at, int64_t *layer_p) {
    const char *first = *at;
    int64_t value = 0;
    for (; **at >= '0' && **at <= '9' && value <= MAX_LAYER; (*at)++)
        value = 10 * value + (**at - '0');
    *layer_p = value;
    return *at > first && value <= MAX_LAYER;
}

// Reads a layer "a" or a range "a-b" at *at and moves *at behind it.
static enum tr_status add_range(struct tr_drop_set *set, enum tr_module module, const char **at,
                                const char *word, size_t size, struct tr_err *err) {
    int64_t first, last;
    if (!read_layer(at, &first))
        return refuse(word, size, err);
    last = first;
    if (**at == '-') {
        (*at)++;
        if (!read_layer(at, &last) || last < first)
            return refuse(word, size, err);
    }
    for (int64_t layer = first; layer <= last; layer++)
        TR_TRY(tr_drop_set_add(set, module, layer, err));
    return TR_OK;
}

// Adds the members of one word "module:layers" of `size` bytes.
static enum tr_status add_word(struct tr_drop_set *set, const char *word, size_t size,
                               struct tr_err *err) {
    const char *end = word + size, *colon = memchr(word, ':', size);
    int module = 0;
    while (module < TR_MODULES && colon &&
           (strlen(tr_module_names[module]) != (size_t)(colon - word) ||
            memcmp(tr_module_names[module], word, (size_t)(colon - word))))
        module++;
    if (!colon || module == TR_MODULES)
        return refuse(word, size, err);
    const char *at = colon;
    do {
        at++;
        TR_TRY(add_range(set, (enum tr_module)module, &at, word, size, err));
    } while (at < end && *at == ',');
    return at == end ? TR_OK : refuse(word, size, err);
}

enum tr_status tr_drop_set_parse(struct tr_drop_set *set, const char *text, struct tr_err *err) {
    static const char spaces[] = " \t\r\n";
    *set = (struct tr_drop_set){0};
    for (text += strspn(text, spaces); *text; text += strspn(text, spaces)) {
        size_t size = strcspn(text, spaces);
        enum tr_status status = add_word(set, text, size, err);
        if (status != TR_OK) {
            tr_drop_set_free(set);
            return status;
        }
        text += size;
    }
    return TR_OK;
}

enum tr_status tr_drop_set_check(const struct tr_drop_set *set, int64_t layers,
                                 struct tr_err *err) {
    if (set->of_layers && set->of_layers != layers)
        return tr_fail(err, TR_EUSAGE,
                       "the drop set is of a model of %lld layers, this one has %lld",
                       (long long)set->of_layers, (long long)layers);
    for (int64_t i = 0; i < set->count; i++)
        if (set->drops[i].layer >= layers)
            return tr_fail(
                err, TR_EUSAGE, "the drop set names %s %d, and the model has layers 0 to %lld",
                tr_module_names[set->drops[i].module], set->drops[i].layer, (long long)layers - 1);
    return TR_OK;
}

// ---- writing -----------------------------------------------------------------------------------

// Whether the canonical text names the layer under this module.
static bool is_named(const struct tr_drop_set *set, enum tr_module module, int64_t layer) {
    bool whole = tr_drop_set_has(set, TR_BLOCK, layer);
    return module == TR_BLOCK ? whole : !whole && tr_drop_set_has(set, module, layer);
}

enum tr_status tr_drop_set_text(const struct tr_drop_set *set, struct tr_string *text,
                                struct tr_err *err) {
    int64_t layers = 0;
    bool first_word = true;
    for (int64_t i = 0; set && i < set->count; i++)
        layers = set->drops[i].layer >= layers ? set->drops[i].layer + 1 : layers;
    for (int module = 0; module < TR_MODULES; module++) {
        bool first = true;
        for (int64_t layer = 0; layer < layers; layer++) {
            if (!is_named(set, (enum tr_module)module, layer))
                continue;
            TR_TRY(first ? tr_string_format(text, err, "%s%s:%lld", first_word ? "" : " ",
                                            tr_module_names[module], (long long)layer)
                         : tr_string_format(text, err, ",%lld", (long long)layer));
            first = first_word = false;
        }
    }
    return TR_OK;
}

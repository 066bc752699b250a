// SPDX-License-Identifier: Apache-2.0
// LLM-Drop's reserved_layers.json: an array with the numbers of what is kept. Of what and of how
// many it does not say, so that whoever names the file does.
#include "kept_layers.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"

enum { MOST_LAYERS = 1 << 16, LARGEST = 1 << 24 };

// Of joint lists numbers below `layers` are attentions, the others MLPs; of blocks and of one kind
// of sublayer they are layers.
struct kept {
    enum tr_module first;
    bool joint;
    int64_t layers;
    const char *path;
    bool *is_kept; // [numbers]
};

static int64_t numbers_of(const struct kept *kept) {
    return kept->joint ? 2 * kept->layers : kept->layers;
}

// "attn/32", `size` bytes of it.
static bool read_word(struct kept *kept, const char *word, size_t size) {
    const char *slash = memchr(word, '/', size);
    char number[16] = {0};
    if (!slash || (size_t)(word + size - slash - 1) >= sizeof number)
        return false;
    size_t name = (size_t)(slash - word);
    memcpy(number, slash + 1, size - name - 1);
    kept->joint = name == strlen("joint") && !memcmp(word, "joint", name);
    bool known = kept->joint;
    for (int module = 0; module < TR_MODULES && !known; module++) {
        known =
            strlen(tr_module_names[module]) == name && !memcmp(word, tr_module_names[module], name);
        kept->first = (enum tr_module)module;
    }
    if (kept->joint)
        kept->first = TR_ATTN;
    return known && tr_parse_i64(number, 1, MOST_LAYERS, &kept->layers);
}

static enum tr_status mark(struct kept *kept, const json_t *list, struct tr_err *err) {
    size_t index;
    const json_t *value;
    if (!json_is_array(list))
        return tr_fail(err, TR_EUSAGE, "%s is no list of kept layers: a JSON array of numbers",
                       kept->path);
    json_array_foreach(list, index, value) {
        json_int_t number = json_integer_value(value);
        if (!json_is_integer(value) || number < 0 || number >= numbers_of(kept))
            return tr_fail(err, TR_EUSAGE, "%s, entry %zu: of %lld layers it is no number of one",
                           kept->path, index, (long long)kept->layers);
        if (kept->is_kept[number])
            return tr_fail(err, TR_EUSAGE, "%s names %lld twice", kept->path, (long long)number);
        kept->is_kept[number] = true;
    }
    return TR_OK;
}

static enum tr_status drop_others(struct tr_drop_set *set, const struct kept *kept,
                                  struct tr_err *err) {
    set->of_layers = kept->layers;
    for (int64_t i = 0; i < numbers_of(kept); i++)
        if (!kept->is_kept[i])
            TR_TRY(tr_drop_set_add(set, i < kept->layers ? kept->first : TR_MLP, i % kept->layers,
                                   err));
    return TR_OK;
}

enum tr_status tr_kept_layers_read(struct tr_drop_set *set, const char *argument,
                                   struct tr_err *err) {
    const char *at = strchr(argument, '@');
    struct kept kept = {.path = at + 1};
    json_t *list;
    if (!read_word(&kept, argument, (size_t)(at - argument)))
        return tr_fail(err, TR_EUSAGE,
                       "\"%.40s\": a list of kept layers is named as attn/32@FILE: attn, mlp, "
                       "block or joint, and of how many layers",
                       argument);
    TR_TRY(tr_json_load(&list, kept.path, LARGEST, err));
    enum tr_status status = TR_NEW(&kept.is_kept, numbers_of(&kept), "kept layers", err);
    if (status == TR_OK)
        status = mark(&kept, list, err);
    if (status == TR_OK)
        status = drop_others(set, &kept, err);
    free(kept.is_kept);
    json_decref(list);
    return status;
}

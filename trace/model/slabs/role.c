// SPDX-License-Identifier: Apache-2.0
#include "slabs/role.h"

#include <stdio.h>
#include <string.h>

#include "ckpt/name_pattern.h"

int64_t tr_shape_elements(const int64_t *shape, int dims) {
    int64_t count = 1;
    for (int i = 0; i < dims; i++)
        count *= shape[i];
    return count;
}

// Roles whose tensors have two dimensions, be one of them 1; the others are vectors, but for norms
// of a weight for each head.
static const bool has_two_dimensions[TR_WEIGHTS] = {
    [TR_W_EMBED] = true,
    [TR_W_POSITIONS] = true,
    [TR_W_QKV] = true,
    [TR_W_Q] = true,
    [TR_W_K] = true,
    [TR_W_V] = true,
    [TR_W_Q_A] = true,
    [TR_W_Q_B] = true,
    [TR_W_KV_A] = true,
    [TR_W_KV_B] = true,
    [TR_W_O] = true,
    [TR_W_SCAN_IN] = true,
    [TR_W_SCAN_OUT] = true,
    [TR_W_GATE_UP] = true,
    [TR_W_GATE] = true,
    [TR_W_UP] = true,
    [TR_W_DOWN] = true,
    [TR_W_ROUTER] = true,
    [TR_W_EXPERT_GATE] = true,
    [TR_W_EXPERT_UP] = true,
    [TR_W_EXPERT_DOWN] = true,
    [TR_W_SHARED_GATE] = true,
    [TR_W_SHARED_UP] = true,
    [TR_W_SHARED_DOWN] = true,
    [TR_W_SHARED_SWITCH] = true,
    [TR_W_HEAD_DENSE] = true,
    [TR_W_HEAD] = true,
};

// Whether the tensor has that shape; as a vector a scalar counts as [1].
static bool fits(const struct tr_tensor *tensor, int dims, const int64_t *shape) {
    if (dims == 1)
        return tensor->dims <= 1 && tr_shape_elements(tensor->shape, tensor->dims) == shape[0];
    return tensor->dims == dims && !memcmp(tensor->shape, shape, (size_t)dims * sizeof *shape);
}

// What a whole model puts before the names of the base model within it: the prefix that the row
// names, or else the first part of the embedding's name. Files may have it or not.
static const char *root_of(const struct tr_family *family, char out[64]) {
    const char *embed = family->weights[TR_W_EMBED], *dot = strchr(embed, '.');
    if (family->prefix)
        return family->prefix;
    bool nested = dot && strchr(dot + 1, '.');
    snprintf(out, 64, "%.*s", nested ? (int)(dot + 1 - embed) : 0, embed);
    return out;
}

// A tensor of that name behind a word that is not known; NULL when there is none.
static const char *behind_a_word(const struct tr_checkpoint *checkpoint, const char *name) {
    for (int64_t i = 0; i < tr_checkpoint_tensor_count(checkpoint); i++) {
        const char *other = tr_checkpoint_tensor(checkpoint, i)->name;
        size_t size = strlen(other), tail = strlen(name);
        if (size > tail && other[size - tail - 1] == '.' && !strcmp(other + size - tail, name))
            return other;
    }
    return NULL;
}

static enum tr_status missing(const struct tr_binder *b, enum tr_weight weight, const char *name) {
    bool loss = weight == TR_W_HEAD || weight == TR_W_HEAD_BIAS;
    const char *sign = NULL, *whose = tr_checkpoint_whose(b->checkpoint, &sign);
    const char *wrapped = behind_a_word(b->checkpoint, name);
    char hint[256] = "";
    if (loss)
        snprintf(hint, sizeof hint, "; --no-nll leaves out the loss, which alone needs it");
    else if (whose)
        snprintf(hint, sizeof hint, "; the names are %s (%.128s)", whose, sign);
    else if (wrapped)
        snprintf(hint, sizeof hint, "; the files hold %.128s: save the language model alone",
                 wrapped);
    return tr_fail(b->err, TR_EFORMAT,
                   "%s: tensor %s is missing (config.json: %s with %lld layers)%s", b->folder, name,
                   b->config->family->model_type, (long long)b->config->layers, hint);
}

enum tr_status tr_role_look_for(const struct tr_binder *b, enum tr_weight weight, int layer,
                                int64_t index, char name[256], const struct tr_tensor **tensor_p) {
    const char *pattern = b->config->family->weights[weight];
    char root[64];
    *tensor_p = NULL;
    if (!pattern)
        return TR_OK;
    const struct tr_name_numbers numbers = {{layer, index, index}};
    if (!tr_pattern_expand(pattern, &numbers, name, 256))
        return tr_fail(b->err, TR_EUNSUPPORTED, "%s: the name %s is too long", b->folder, pattern);
    return tr_checkpoint_want(b->checkpoint, name, root_of(b->config->family, root), tensor_p,
                              b->err);
}

static enum tr_status check_type(const struct tr_binder *b, const struct tr_tensor *tensor,
                                 const char *name) {
    if (tensor->dtype != TR_OTHER_DTYPE)
        return TR_OK;
    return tr_fail(b->err, TR_EUNSUPPORTED, "%s: tensor %s has type %s; known: F64, F32, F16, BF16",
                   tr_checkpoint_file(b->checkpoint, tensor), name, tensor->dtype_text);
}

enum tr_status tr_role_find_shape(const struct tr_binder *b, enum tr_weight weight, int layer,
                                  int64_t index, int dims, const int64_t *shape,
                                  const struct tr_tensor **tensor_p) {
    char name[256], expected[TR_INDEX_MAX], found[TR_INDEX_MAX];
    const struct tr_tensor *tensor = NULL;
    TR_TRY(tr_role_look_for(b, weight, layer, index, name, &tensor));
    if (!tensor)
        return missing(b, weight, name);
    if (!fits(tensor, dims, shape))
        return tr_fail(b->err, TR_EFORMAT, "%s: tensor %s has shape %s, config.json asks for %s",
                       tr_checkpoint_file(b->checkpoint, tensor), name,
                       tr_index_text(tensor->dims, tensor->shape, found),
                       tr_index_text(dims, shape, expected));
    TR_TRY(check_type(b, tensor, name));
    *tensor_p = tensor;
    return TR_OK;
}

enum tr_status tr_role_find(const struct tr_binder *b, enum tr_weight weight, int layer,
                            int64_t index, int64_t rows, int64_t cols,
                            const struct tr_tensor **tensor_p) {
    const int64_t shape[2] = {rows, cols};
    bool vector = cols == 1 && !has_two_dimensions[weight];
    return tr_role_find_shape(b, weight, layer, index, vector ? 1 : 2, shape, tensor_p);
}

enum tr_status tr_role_side(const struct tr_binder *b, enum tr_weight weight, int layer,
                            int64_t index, bool *transposed_p) {
    const struct tr_tensor *tensor;
    char name[256];
    *transposed_p = b->config->family->transposed && has_two_dimensions[weight];
    if (!*transposed_p)
        return TR_OK;
    TR_TRY(tr_role_look_for(b, weight, layer, index, name, &tensor));
    *transposed_p = !tensor || !tensor->packed;
    return TR_OK;
}

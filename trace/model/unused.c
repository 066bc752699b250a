// SPDX-License-Identifier: Apache-2.0
#include "unused.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "layer_names.h"

struct inspection {
    struct tr_weight_plan *plan;
    const struct tr_config *config;
    struct tr_checkpoint *checkpoint;
    const struct tr_wanted *wanted;
    struct tr_err *err;
};

// ---- names -------------------------------------------------------------------------------------

static bool ends_with(const char *text, const char *end) {
    size_t size = strlen(text), tail = strlen(end);
    return size >= tail && strcmp(text + size - tail, end) == 0;
}

// Buffers that older versions saved: what they hold follows from config.json.
static bool is_buffer(const struct tr_tensor *tensor, const struct tr_family *family) {
    static const char *const ends[] = {".inv_freq",   ".masked_bias",  ".cos_cached",
                                       ".sin_cached", ".position_ids", "._float_tensor",
                                       ".version"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ends_with(tensor->name, ends[i]))
            return true;
    if (family->weights[TR_W_ALPHA_P] &&
        (ends_with(tensor->name, ".act_fn.beta") || ends_with(tensor->name, ".act_fn.eps")))
        return true; // of xIELU
    bool mask = ends_with(tensor->name, "attn.bias") || ends_with(tensor->name, "attention.bias");
    return mask && tensor->dims == 4;
}

// Whether two names of tensors outside the blocks are of one module: equal up to their last dot.
static bool same_module(const char *a, const char *b) {
    const char *a_end = strrchr(a, '.'), *b_end = strrchr(b, '.');
    return a_end && b_end && a_end - a == b_end - b && memcmp(a, b, (size_t)(a_end - a)) == 0;
}

// Whether a name is of a module that stands in the trunk beside the embedding, as a norm does that
// the family has not. Deeper ones are other models' (a vision tower), which the forward leaves out.
static bool is_in_trunk(const struct tr_family *family, const char *name) {
    const char *embedding = family->weights[TR_W_EMBED], *end = strrchr(embedding, '.');
    while (end && end > embedding && end[-1] != '.')
        end--;
    size_t size = end ? (size_t)(end - embedding) : 0;
    if (!size || strncmp(name, embedding, size) != 0)
        return false;
    const char *dot = strchr(name + size, '.');
    return !dot || !strchr(dot + 1, '.');
}

// ---- biases of quantized weights ---------------------------------------------------------------

// The quantized weight that the tensor is a bias of, NULL where it is none.
static const struct tr_tensor *weight_of_bias(const struct tr_checkpoint *checkpoint,
                                              const struct tr_tensor *tensor) {
    char name[512];
    int module = (int)(strlen(tensor->name) - strlen(".bias"));
    if (!ends_with(tensor->name, ".bias") || tensor->dims != 1 ||
        snprintf(name, sizeof name, "%.*s.weight", module, tensor->name) >= (int)sizeof name)
        return NULL;
    const struct tr_tensor *weight = tr_checkpoint_find(checkpoint, name);
    return weight && weight->packed && weight->shape[0] == tensor->shape[0] ? weight : NULL;
}

// AutoGPTQ gave every quantized weight a bias, which is zero where the model has none.
static enum tr_status is_zero_bias(struct tr_checkpoint *checkpoint, const struct tr_tensor *tensor,
                                   bool *zero_p, struct tr_err *err) {
    char *bytes;
    *zero_p = weight_of_bias(checkpoint, tensor) != NULL;
    if (!*zero_p)
        return TR_OK;
    TR_TRY(TR_NEW(&bytes, tensor->bytes, tensor->name, err));
    enum tr_status status =
        tr_checkpoint_read(checkpoint, tensor, 0, bytes, (size_t)tensor->bytes, err);
    for (uint64_t i = 0; i < tensor->bytes; i++)
        *zero_p = *zero_p && !bytes[i];
    free(bytes);
    return status;
}

// ---- verdicts ----------------------------------------------------------------------------------

static enum tr_status refuse(const struct inspection *in, const struct tr_tensor *tensor) {
    return tr_fail(in->err, TR_EUNSUPPORTED,
                   "%s: tensor %s would not be used: %s has none there with what config.json says",
                   tr_checkpoint_file(in->checkpoint, tensor), tensor->name,
                   in->config->family->model_type);
}

// Where a sublayer of a layer is left out, its tensors may be there unused.
static enum tr_status check_in_block(const struct inspection *in, const struct tr_tensor *tensor,
                                     const char *number) {
    const struct tr_config *c = in->config;
    long long layer = strtoll(number, NULL, 10);
    if (layer < c->layers && (!tr_config_keeps(c, in->wanted->drop, TR_ATTN, (int)layer) ||
                              !tr_config_keeps(c, in->wanted->drop, TR_MLP, (int)layer)))
        return TR_OK;
    if (layer < c->layers)
        return refuse(in, tensor);
    if (layer - c->layers < c->ahead)
        return TR_OK;
    return tr_fail(in->err, TR_EFORMAT,
                   "%s: tensor %s is of layer %lld, but config.json says \"%s\" is %lld",
                   tr_checkpoint_file(in->checkpoint, tensor), tensor->name, layer,
                   c->family->keys[TR_K_LAYERS].json, (long long)c->layers);
}

// Names that some class gives a head: transformers 5 takes either for GPT-NeoX, say.
static bool is_head(const char *name) {
    return strcmp(name, "lm_head.weight") == 0 || strcmp(name, "embed_out.weight") == 0;
}

// Beside a role's tensor: of its module, and no role's itself (a head that is not asked for).
// Anything else is of another model, which the plan remembers.
static enum tr_status check_outside(const struct inspection *in, const struct tr_tensor *tensor) {
    const struct tr_family *family = in->config->family;
    const char *name = tr_bare_name(tensor->name);
    bool beside = is_head(name) || is_in_trunk(family, tensor->name);
    for (int w = 0; w < TR_WEIGHTS; w++) {
        const char *role = family->weights[w] ? tr_bare_name(family->weights[w]) : "{";
        if (strchr(role, '{'))
            continue;
        if (strcmp(role, name) == 0)
            return TR_OK;
        beside = beside || same_module(role, name);
    }
    in->plan->others |= !beside;
    return beside ? refuse(in, tensor) : TR_OK;
}

static enum tr_status check(const struct inspection *in, const struct tr_tensor *tensor) {
    const char *number = tr_layer_number(in->config->family, tensor->name);
    bool idle = is_buffer(tensor, in->config->family);
    if (!idle)
        TR_TRY(is_zero_bias(in->checkpoint, tensor, &idle, in->err));
    if (idle)
        return TR_OK;
    return number ? check_in_block(in, tensor, number) : check_outside(in, tensor);
}

// ---- all tensors -------------------------------------------------------------------------------

static void mark_used(bool *used, const struct tr_weight_plan *plan,
                      const struct tr_checkpoint *checkpoint) {
    const struct tr_tensor *first = tr_checkpoint_tensor(checkpoint, 0);
    for (int64_t s = 0; s < plan->count; s++)
        for (uint64_t p = 0; p < plan->slabs[s].placement_count; p++) {
            const struct tr_placement *placement = &plan->slabs[s].placements[p];
            used[placement->tensor - first] = true;
            if (placement->times)
                used[placement->times - first] = true;
        }
}

enum tr_status tr_check_unused(struct tr_weight_plan *plan, const struct tr_config *config,
                               struct tr_checkpoint *checkpoint, const struct tr_wanted *wanted,
                               struct tr_err *err) {
    const struct inspection in = {plan, config, checkpoint, wanted, err};
    int64_t count = tr_checkpoint_tensor_count(checkpoint);
    enum tr_status status = TR_OK;
    bool *used;
    TR_TRY(TR_NEW(&used, (uint64_t)count, "the table of tensors", err));
    mark_used(used, plan, checkpoint);
    for (int64_t i = 0; i < count && status == TR_OK; i++)
        if (!used[i] && !tr_checkpoint_tensor(checkpoint, i)->copy)
            status = check(&in, tr_checkpoint_tensor(checkpoint, i));
    free(used);
    return status;
}

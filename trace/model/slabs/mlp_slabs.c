// SPDX-License-Identifier: Apache-2.0
// What an MLP reads; of a mixture of experts the router, the shared expert and the experts.
#include "slabs/place.h"
#include "slabs/planners.h"
#include "slabs/role.h"

// The fused tensor of gate and up, as [gate | up] whichever comes first in the file.
static enum tr_status bind_gate_up(const struct tr_binder *b, struct tr_slab_plan *slab) {
    const struct tr_config *c = b->config;
    int64_t ffn = tr_config_ffn(c, slab->layer);
    struct tr_placement *p;
    TR_TRY(tr_bind_index(b, slab, TR_SLOT_IN, TR_W_GATE_UP, 0, 2 * ffn, c->hidden, 0, &p));
    if (!p || !c->family->up_first)
        return TR_OK;
    p->segment_count = 2;
    p->segments[0].rows = p->segments[1].rows = ffn;
    p->segments[0].to = ffn;
    p->segments[1].to = 0;
    return TR_OK;
}

enum tr_status tr_plan_mlp(const struct tr_binder *b, struct tr_slab_plan *slab) {
    const struct tr_config *c = b->config;
    int64_t ffn = tr_config_ffn(c, slab->layer);
    int64_t up = c->family->gated ? ffn : 0; // the up rows follow the gate's
    bool shared = c->parallel && c->family->parallel_shares_norm;
    TR_TRY(tr_bind_norm(b, slab, TR_SLOT_NORM, shared ? TR_W_ATTN_NORM : TR_W_MLP_NORM, c->hidden));
    TR_TRY(tr_bind(b, slab, TR_SLOT_NORM_BIAS, shared ? TR_W_ATTN_NORM_BIAS : TR_W_MLP_NORM_BIAS,
                   c->hidden, 1, 0));
    TR_TRY(bind_gate_up(b, slab));
    TR_TRY(tr_bind(b, slab, TR_SLOT_IN, TR_W_GATE, ffn, c->hidden, 0));
    TR_TRY(tr_bind(b, slab, TR_SLOT_IN, TR_W_UP, ffn, c->hidden, up));
    TR_TRY(tr_bind(b, slab, TR_SLOT_OUT, TR_W_DOWN, c->hidden, ffn, 0));
    if (c->activation == KN_XIELU) {
        TR_TRY(tr_bind(b, slab, TR_SLOT_ALPHAS, TR_W_ALPHA_P, 1, 1, 0));
        TR_TRY(tr_bind(b, slab, TR_SLOT_ALPHAS, TR_W_ALPHA_N, 1, 1, 1));
    }
    TR_TRY(tr_bind_norm(b, slab, TR_SLOT_POST_NORM, TR_W_MLP_POST_NORM, c->hidden));
    if (!c->mlp_bias)
        return TR_OK;
    TR_TRY(tr_bind(b, slab, TR_SLOT_IN_BIAS, TR_W_GATE_UP_BIAS, 2 * ffn, 1, 0));
    TR_TRY(tr_bind(b, slab, TR_SLOT_IN_BIAS, TR_W_GATE_BIAS, ffn, 1, 0));
    TR_TRY(tr_bind(b, slab, TR_SLOT_IN_BIAS, TR_W_UP_BIAS, ffn, 1, up));
    return tr_bind(b, slab, TR_SLOT_OUT_BIAS, TR_W_DOWN_BIAS, c->hidden, 1, 0);
}

// As a vector, also where the file has a matrix of one row.
static enum tr_status bind_correction(const struct tr_binder *b, struct tr_slab_plan *slab) {
    const struct tr_config *c = b->config;
    const struct tr_tensor *tensor;
    struct tr_placement *p;
    if (!tr_config_corrects(c))
        return TR_OK;
    bool row = c->family->correction_is_row;
    TR_TRY(tr_role_find(b, TR_W_ROUTER_CORRECTION, slab->layer, 0, row ? 1 : c->experts,
                        row ? c->experts : 1, &tensor));
    return tr_place(slab, TR_SLOT_ROUTER_CORRECTION, tensor, c->experts, 1, 0, &p, b->err);
}

enum tr_status tr_plan_router(const struct tr_binder *b, struct tr_slab_plan *slab) {
    const struct tr_config *c = b->config;
    int64_t ffn = c->shared_ffn;
    TR_TRY(tr_bind_norm(b, slab, TR_SLOT_NORM, TR_W_MLP_NORM, c->hidden));
    TR_TRY(tr_bind(b, slab, TR_SLOT_NORM_BIAS, TR_W_MLP_NORM_BIAS, c->hidden, 1, 0));
    TR_TRY(tr_bind(b, slab, TR_SLOT_ROUTER, TR_W_ROUTER, c->experts, c->hidden, 0));
    TR_TRY(tr_bind(b, slab, TR_SLOT_ROUTER_BIAS, TR_W_ROUTER_BIAS, c->experts, 1, 0));
    TR_TRY(bind_correction(b, slab));
    if (!ffn)
        return TR_OK;
    TR_TRY(tr_bind(b, slab, TR_SLOT_IN, TR_W_SHARED_GATE, ffn, c->hidden, 0));
    TR_TRY(
        tr_bind(b, slab, TR_SLOT_IN, TR_W_SHARED_UP, ffn, c->hidden, c->family->gated ? ffn : 0));
    TR_TRY(tr_bind(b, slab, TR_SLOT_OUT, TR_W_SHARED_DOWN, c->hidden, ffn, 0));
    return tr_bind(b, slab, TR_SLOT_SHARED_GATE, TR_W_SHARED_SWITCH, 1, c->hidden, 0);
}

// ---- all experts of a layer in one tensor ------------------------------------------------------

// The tensor of a role, which must have the shape [experts, rows] or, with `cols`, [experts, cols,
// rows], in few bits [experts, rows, cols]; NULL where the family has none.
static enum tr_status find_stack(const struct tr_binder *b, const struct tr_slab_plan *slab,
                                 enum tr_weight weight, int64_t rows, int64_t cols,
                                 const struct tr_tensor **tensor_p) {
    const int64_t turned[3] = {b->config->experts, cols ? cols : rows, rows};
    const int64_t packed[3] = {b->config->experts, rows, cols};
    const struct tr_tensor *tensor;
    char name[256];
    *tensor_p = NULL;
    if (!b->config->family->weights[weight])
        return TR_OK;
    TR_TRY(tr_role_look_for(b, weight, slab->layer, 0, name, &tensor));
    return tr_role_find_shape(b, weight, slab->layer, 0, cols ? 3 : 2,
                              tensor && tensor->packed ? packed : turned, tensor_p);
}

// Rows that are of `parts` matrices in turn go to these, one below the other from row `at` on.
static void unweave(struct tr_placement *p, int64_t rows, int parts, int64_t at) {
    p->group_rows = parts;
    p->segment_count = parts;
    for (int s = 0; s < parts; s++) {
        p->segments[s].rows = 1;
        p->segments[s].to = at + s * (rows / parts);
    }
}

// Binds the slab's experts' parts of a stack, each with `rows` rows in the slot.
static enum tr_status bind_stack(const struct tr_binder *b, struct tr_slab_plan *slab,
                                 enum tr_slot slot, enum tr_weight weight, int64_t rows,
                                 int64_t cols, int parts) {
    const struct tr_tensor *tensor;
    struct tr_placement *p;
    TR_TRY(find_stack(b, slab, weight, rows, cols, &tensor));
    bool turned = cols && tensor && !tensor->packed;
    for (int64_t e = slab->first_id; tensor && e < slab->last_id; e++) {
        int64_t at = (e - slab->first_id) * rows;
        TR_TRY(tr_place(slab, slot, tensor, rows, cols ? cols : 1, at, &p, b->err));
        p->first_row = e * (turned ? cols : rows); // of the stored rows
        p->transform = turned ? TR_TRANSPOSED : TR_AS_STORED;
        if (parts > 1)
            unweave(p, rows, parts, at);
    }
    return TR_OK;
}

static enum tr_status bind_stacks(const struct tr_binder *b, struct tr_slab_plan *slab) {
    int64_t hidden = b->config->hidden, ffn = b->config->expert_ffn;
    int parts = b->config->family->experts_halved ? 1 : 2; // that alternate
    TR_TRY(bind_stack(b, slab, TR_SLOT_IN, TR_W_EXPERTS_IN, 2 * ffn, hidden, parts));
    TR_TRY(bind_stack(b, slab, TR_SLOT_IN_BIAS, TR_W_EXPERTS_IN_BIAS, 2 * ffn, 0, parts));
    TR_TRY(bind_stack(b, slab, TR_SLOT_OUT, TR_W_EXPERTS_OUT, hidden, ffn, 1));
    return bind_stack(b, slab, TR_SLOT_OUT_BIAS, TR_W_EXPERTS_OUT_BIAS, hidden, 0, 1);
}

enum tr_status tr_plan_experts(const struct tr_binder *b, struct tr_slab_plan *slab) {
    const struct tr_config *c = b->config;
    int64_t ffn = c->expert_ffn, in_rows = tr_config_in_rows(c, ffn);
    struct tr_placement *p;
    for (int64_t e = slab->first_id; e < slab->last_id; e++) {
        int64_t at = (e - slab->first_id) * in_rows, up = c->family->gated ? ffn : 0;
        TR_TRY(tr_bind_index(b, slab, TR_SLOT_IN, TR_W_EXPERT_GATE, e, ffn, c->hidden, at, &p));
        TR_TRY(tr_bind_index(b, slab, TR_SLOT_IN, TR_W_EXPERT_UP, e, ffn, c->hidden, at + up, &p));
        TR_TRY(tr_bind_index(b, slab, TR_SLOT_OUT, TR_W_EXPERT_DOWN, e, c->hidden, ffn,
                             (e - slab->first_id) * c->hidden, &p));
    }
    TR_TRY(bind_stacks(b, slab));
    return tr_bind_norm(b, slab, TR_SLOT_POST_NORM, TR_W_MLP_POST_NORM, c->hidden);
}

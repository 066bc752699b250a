// SPDX-License-Identifier: Apache-2.0
// What stands before the blocks and behind them: embedding, positions, head.
#include "slabs/place.h"
#include "slabs/planners.h"
#include "slabs/role.h"

// Whether two tensors begin at the same byte.
static bool same_place(const struct tr_tensor *a, const struct tr_tensor *b) {
    int64_t a_count, b_count;
    const struct tr_piece *x = tr_tensor_pieces(a, &a_count), *y = tr_tensor_pieces(b, &b_count);
    return a_count == b_count && x->file == y->file && x->offset == y->offset;
}

// One that shares the embedding's bytes is none of its own.
enum tr_status tr_has_own_head(const struct tr_binder *b, bool *own_p) {
    char name[256];
    const struct tr_tensor *table, *head;
    TR_TRY(tr_role_look_for(b, TR_W_EMBED, 0, 0, name, &table));
    TR_TRY(tr_role_look_for(b, TR_W_HEAD, 0, 0, name, &head));
    *own_p = !b->config->tied;
    if (b->config->tied && head && table)
        *own_p = !same_place(head, table);
    return TR_OK;
}

// The table of the head, or of the embedding. A model that ties them may be saved with the head's
// alone.
static enum tr_status find_table(const struct tr_binder *b, bool head,
                                 const struct tr_tensor **table_p) {
    const struct tr_config *c = b->config;
    const struct tr_tensor *own = NULL, *other = NULL;
    char name[256];
    bool is_head = false;
    if (head)
        TR_TRY(tr_has_own_head(b, &is_head));
    if (!is_head && c->tied) {
        TR_TRY(tr_role_look_for(b, TR_W_EMBED, 0, 0, name, &own));
        TR_TRY(own ? TR_OK : tr_role_look_for(b, TR_W_HEAD, 0, 0, name, &other));
        is_head = other != NULL;
    }
    return tr_role_find(b, is_head ? TR_W_HEAD : TR_W_EMBED, 0, 0, c->table_rows, c->hidden,
                        table_p);
}

enum tr_status tr_plan_head_dense(const struct tr_binder *b, struct tr_slab_plan *slab) {
    const struct tr_config *c = b->config;
    TR_TRY(tr_bind_norm(b, slab, TR_SLOT_NORM, TR_W_FINAL_NORM, c->hidden));
    TR_TRY(tr_bind(b, slab, TR_SLOT_IN, TR_W_HEAD_DENSE, c->hidden, c->hidden, 0));
    if (c->head_dense_bias)
        TR_TRY(tr_bind(b, slab, TR_SLOT_IN_BIAS, TR_W_HEAD_DENSE_BIAS, c->hidden, 1, 0));
    return tr_bind_norm(b, slab, TR_SLOT_POST_NORM, TR_W_HEAD_NORM, c->hidden);
}

// One panel of the embedding or head table: vocabulary rows [first_id, last_id).
enum tr_status tr_plan_panel(const struct tr_binder *b, struct tr_slab_plan *slab) {
    const struct tr_config *c = b->config;
    bool head = slab->kind == TR_SLAB_HEAD;
    const struct tr_tensor *table, *bias;
    struct tr_placement *p;
    int64_t rows = slab->last_id - slab->first_id;
    if (head && !c->family->weights[TR_W_HEAD_DENSE]) {
        TR_TRY(tr_bind_norm(b, slab, TR_SLOT_NORM, TR_W_FINAL_NORM, c->hidden));
        TR_TRY(tr_bind(b, slab, TR_SLOT_NORM_BIAS, TR_W_FINAL_NORM_BIAS, c->hidden, 1, 0));
    }
    TR_TRY(find_table(b, head, &table));
    TR_TRY(tr_place(slab, TR_SLOT_IN, table, rows, c->hidden, 0, &p, b->err));
    p->first_row = slab->first_id;
    if (head)
        TR_TRY(tr_bind_times(b, slab, TR_W_HEAD, p));
    if (head && c->unit_head) {
        p->transform = TR_UNIT_ROWS;
        slab->slots[TR_SLOT_IN].type = KN_F32;
    }
    if (!head || !c->head_bias)
        return TR_OK;
    TR_TRY(tr_role_find(b, TR_W_HEAD_BIAS, 0, 0, c->table_rows, 1, &bias));
    TR_TRY(tr_place(slab, TR_SLOT_IN_BIAS, bias, rows, 1, 0, &p, b->err));
    p->first_row = slab->first_id;
    return TR_OK;
}

enum tr_status tr_plan_positions(const struct tr_binder *b, struct tr_slab_plan *slab) {
    const struct tr_config *c = b->config;
    const struct tr_tensor *table; // never transposed
    struct tr_placement *p;
    int64_t rows = c->positions + c->family->position_offset;
    TR_TRY(tr_role_find(b, TR_W_POSITIONS, 0, 0, rows, c->hidden, &table));
    return tr_place(slab, TR_SLOT_IN, table, rows, c->hidden, 0, &p, b->err);
}

enum tr_status tr_plan_embed_norm(const struct tr_binder *b, struct tr_slab_plan *slab) {
    TR_TRY(tr_bind_norm(b, slab, TR_SLOT_NORM, TR_W_EMBED_NORM, b->config->hidden));
    return tr_bind(b, slab, TR_SLOT_NORM_BIAS, TR_W_EMBED_NORM_BIAS, b->config->hidden, 1, 0);
}

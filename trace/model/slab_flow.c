// SPDX-License-Identifier: Apache-2.0
// Slabs on their way from the reader to the steps. On the host they are used where they were read.
// On a device two slabs of its memory take turns: slab s + 1 is copied while slab s is used, and
// events order the two lanes, so that the host waits for a copy at most, never for a step.
#include <math.h>

#include "forward_state.h"

void tr_flow_start(struct tr_forward *f, struct tr_reader *reader) {
    struct tr_flow *flow = &f->flow;
    flow->reader = reader;
    flow->current = flow->next = NULL;
    flow->next_taken = false;
    flow->taken = flow->used = 0;
    flow->waited = 0;
    flow->reader_waited = tr_reader_waited(reader);
}

// Makes room; what used the old memory has been waited for.
static enum tr_status reserve(struct tr_forward *f, struct tr_growing *room, size_t bytes,
                              struct tr_err *err) {
    if (bytes <= room->capacity)
        return TR_OK;
    KN_TRY(f->kn->ops->sync(f->kn), "waiting for the last slab");
    f->kn->ops->free(f->kn, room->memory);
    *room = (struct tr_growing){0};
    KN_TRY(f->kn->ops->alloc(f->kn, (void **)&room->memory, bytes), "allocating a slab of weights");
    room->capacity = bytes;
    return TR_OK;
}

// The copy waits until the slab before the last one, which had this memory, is used.
static enum tr_status copy_ahead(struct tr_forward *f, const struct tr_slab *slab, int half,
                                 struct tr_err *err) {
    const struct kn_ops *ops = f->kn->ops;
    struct tr_flow *flow = &f->flow;
    size_t bytes = slab->plan->bytes;
    TR_TRY(reserve(f, &flow->slab[half], bytes, err));
    KN_TRY(ops->await(f->kn, KN_LANE_COPIES, TR_EVENT_USED + half), "copying weights");
    KN_TRY(ops->copy_ahead(f->kn, flow->slab[half].memory, slab->memory, bytes), "copying weights");
    KN_TRY(ops->record(f->kn, KN_LANE_COPIES, TR_EVENT_COPIED + half), "copying weights");
    return TR_OK;
}

// Takes the slab behind the current one from the reader, once, and lets it come.
static enum tr_status take_next(struct tr_forward *f, struct tr_err *err) {
    struct tr_flow *flow = &f->flow;
    if (flow->next_taken)
        return TR_OK;
    TR_TRY(tr_reader_next(flow->reader, &flow->next, err));
    flow->next_taken = true;
    if (!flow->next || f->kn->unified)
        return TR_OK;
    return copy_ahead(f, flow->next, (int)(flow->taken++ % 2), err);
}

// The matrices that are not of the activation type, once for all products with them.
static enum tr_status convert(struct tr_forward *f, struct tr_weights *w, struct tr_err *err) {
    struct tr_flow *flow = &f->flow;
    enum kn_type type = f->kn->activation_type;
    size_t at = 0, bytes = tr_slab_converted_bytes(w->plan, type);
    TR_TRY(reserve(f, &flow->converted, bytes, err));
    for (int s = 0; s < TR_SLOTS; s++) {
        struct kn_matrix *m = &w->matrix[s];
        if (m->type == type || !tr_slab_multiplies(w->plan, (enum tr_slot)s))
            continue;
        struct kn_conversion op = {.to = flow->converted.memory + at,
                                   .from = m->data,
                                   .to_type = type,
                                   .from_type = m->type,
                                   .count = m->rows * m->cols};
        KN_TRY(f->kn->ops->convert(f->kn, &op), "converting weights");
        *m = kn_matrix(op.to, type, m->rows, m->cols);
        at += ((size_t)op.count * kn_type_size(type) + 255) & ~(size_t)255;
    }
    return TR_OK;
}

// xIELU's parameters from its two stored scalars: softplus of each, beta, and the bound of expm1.
static void fill_xielu(float out[4], const float *alphas) {
    out[0] = (float)log1p(exp((double)alphas[0]));
    out[1] = (float)log1p(exp((double)alphas[1]));
    out[2] = 0.5f;
    out[3] = -1e-6f;
}

static void fill_weights(struct tr_weights *w, const struct tr_slab *slab, char *memory) {
    *w = (struct tr_weights){.plan = slab->plan};
    for (int s = 0; s < TR_SLOTS; s++) {
        const struct tr_slot_plan *slot = &slab->plan->slots[s];
        if (!slot->rows)
            continue;
        w->matrix[s] = kn_matrix(memory + slot->offset, slot->type, slot->rows, slot->cols);
        w->vector[s] = (const float *)(const void *)(memory + slot->offset);
    }
    if (w->vector[TR_SLOT_ALPHAS]) {
        size_t at = slab->plan->slots[TR_SLOT_ALPHAS].offset;
        fill_xielu(w->xielu, (const float *)(const void *)(slab->memory + at));
    }
}

// On the host a wait for the reader is a wait of the steps. On a device it is one only for the
// first slab of a checkpoint: later the steps of the slab before may still run.
static void count_wait_for_reader(struct tr_flow *flow, bool unified) {
    double all = tr_reader_waited(flow->reader);
    if (unified || flow->used == 0)
        flow->waited += all - flow->reader_waited;
    flow->reader_waited = all;
}

enum tr_status tr_flow_next(struct tr_forward *f, struct tr_weights *weights, bool *more_p,
                            struct tr_err *err) {
    struct tr_flow *flow = &f->flow;
    int half = (int)(flow->used % 2);
    TR_TRY(take_next(f, err));
    count_wait_for_reader(flow, f->kn->unified);
    flow->current = flow->next;
    flow->next_taken = false;
    *more_p = flow->current != NULL;
    if (!flow->current)
        return TR_OK;
    fill_weights(weights, flow->current,
                 f->kn->unified ? flow->current->memory : flow->slab[half].memory);
    if (f->kn->unified)
        return TR_OK;
    if (tr_reader_ready(flow->reader))
        TR_TRY(take_next(f, err));
    KN_TRY(f->kn->ops->await(f->kn, KN_LANE_OPS, TR_EVENT_COPIED + half), "copying weights");
    return convert(f, weights, err);
}

enum tr_status tr_flow_done(struct tr_forward *f, struct tr_err *err) {
    struct tr_flow *flow = &f->flow;
    int half = (int)(flow->used++ % 2);
    if (!f->kn->unified) {
        KN_TRY(f->kn->ops->record(f->kn, KN_LANE_OPS, TR_EVENT_USED + half), "a slab's steps");
        KN_TRY(f->kn->ops->await(f->kn, KN_LANE_HOST, TR_EVENT_COPIED + half), "copying weights");
        if (flow->used > 1) // from the end of the last slab's steps to the arrival of this slab
            flow->waited +=
                f->kn->ops->lag(f->kn, TR_EVENT_USED + 1 - half, TR_EVENT_COPIED + half);
    }
    flow->current = NULL;
    tr_reader_release(flow->reader);
    return TR_OK;
}

double tr_forward_waited(const struct tr_forward *f) {
    return f->flow.waited;
}

void tr_flow_stop(struct tr_forward *f) {
    for (int half = 0; half < 2 && !f->kn->unified; half++)
        f->kn->ops->await(f->kn, KN_LANE_HOST, TR_EVENT_COPIED + half);
}

// SPDX-License-Identifier: Apache-2.0
// Slabs on their way from the reader to the steps. On the host they are used where they were read.
// On a device two slabs of its memory take turns: slab s + 1 is copied while slab s is used, and
// events order the two lanes, so that the host waits for a copy at most, never for a step.
#include <stdlib.h>

#include "base/alloc.h"
#include "events.h"
#include "weight_views.h"

// Memory of the backend that only grows.
struct growing {
    char *memory;
    size_t capacity; // bytes
};

struct tr_streamed {
    struct kn_backend *kn;
    struct tr_slab_reader *reader;
    const struct tr_slab *current, *ahead; // held; NULL: none
    bool ahead_taken;                      // `ahead` is known, if only to be none
    int64_t taken, used;                   // slabs of this pass so far
    struct growing slab[2], converted;
    double waited, reader_waited; // seconds of this pass; the reader's in all, when last looked at
};

// Makes the memory larger where it is too small. Whatever used the old memory has been waited for.
static enum tr_status reserve(struct tr_streamed *s, struct growing *room, size_t bytes,
                              struct tr_err *err) {
    const struct kn_ops *ops = s->kn->ops;
    if (bytes <= room->capacity)
        return TR_OK;
    KN_TRY_ON(s->kn, ops->sync(s->kn), "waiting for the last slab");
    ops->free(s->kn, room->memory);
    *room = (struct growing){0};
    KN_TRY_ON(s->kn, ops->alloc(s->kn, (void **)&room->memory, bytes),
              "allocating a slab of weights");
    room->capacity = bytes;
    return TR_OK;
}

double tr_streamed_bytes(const struct kn_backend *kn, size_t slab_bytes, size_t converted_bytes) {
    return kn->unified ? 0 : 2 * (double)slab_bytes + (double)converted_bytes;
}

enum tr_status tr_streamed_new(struct tr_streamed **streamed_p, struct kn_backend *kn,
                               size_t slab_bytes, size_t converted_bytes, struct tr_err *err) {
    struct tr_streamed *s;
    TR_TRY(TR_NEW(&s, 1, "the slabs", err));
    s->kn = kn;
    enum tr_status status = TR_OK;
    for (int half = 0; half < 2 && status == TR_OK && !kn->unified; half++)
        status = reserve(s, &s->slab[half], slab_bytes, err);
    if (status == TR_OK && !kn->unified)
        status = reserve(s, &s->converted, converted_bytes, err);
    if (status == TR_OK)
        *streamed_p = s;
    else
        tr_streamed_free(s);
    return status;
}

void tr_streamed_free(struct tr_streamed *s) {
    if (!s)
        return;
    s->kn->ops->free(s->kn, s->slab[0].memory);
    s->kn->ops->free(s->kn, s->slab[1].memory);
    s->kn->ops->free(s->kn, s->converted.memory);
    free(s);
}

// The copy waits until the slab before the last one, which had this memory, is used.
static enum tr_status copy_ahead(struct tr_streamed *s, const struct tr_slab *slab, int half,
                                 struct tr_err *err) {
    const struct kn_ops *ops = s->kn->ops;
    size_t bytes = slab->plan->bytes;
    TR_TRY(reserve(s, &s->slab[half], bytes, err));
    KN_TRY_ON(s->kn, ops->await(s->kn, KN_LANE_COPIES, TR_EVENT_USED + half), "copying weights");
    KN_TRY_ON(s->kn, ops->copy_ahead(s->kn, s->slab[half].memory, slab->memory, bytes),
              "copying weights");
    KN_TRY_ON(s->kn, ops->record(s->kn, KN_LANE_COPIES, TR_EVENT_COPIED + half), "copying weights");
    return TR_OK;
}

// Takes the slab behind the current one from the reader, once, and begins to copy it.
static enum tr_status take_ahead(struct tr_streamed *s, struct tr_err *err) {
    if (s->ahead_taken)
        return TR_OK;
    TR_TRY(tr_slab_reader_next(s->reader, &s->ahead, err));
    s->ahead_taken = true;
    if (!s->ahead || s->kn->unified)
        return TR_OK;
    return copy_ahead(s, s->ahead, (int)(s->taken++ % 2), err);
}

// On the host a wait for the reader is a wait of the steps. On a device it is one only for the
// first slab of a checkpoint: later the steps of the slab before may still run.
static void count_wait_for_reader(struct tr_streamed *s) {
    double all = tr_slab_reader_waited(s->reader);
    if (s->kn->unified || s->used == 0)
        s->waited += all - s->reader_waited;
    s->reader_waited = all;
}

static enum tr_status convert(struct tr_streamed *s, struct tr_weights *weights,
                              struct tr_err *err) {
    size_t bytes = tr_slab_converted_bytes(weights->plan, s->kn->activation_type);
    TR_TRY(reserve(s, &s->converted, bytes, err));
    return tr_weights_convert(s->kn, weights, s->converted.memory, err);
}

static enum tr_status done(void *user, struct tr_err *err) {
    struct tr_streamed *s = user;
    const struct kn_ops *ops = s->kn->ops;
    int half = (int)(s->used++ % 2);
    if (!s->kn->unified) {
        KN_TRY_ON(s->kn, ops->record(s->kn, KN_LANE_OPS, TR_EVENT_USED + half), "a slab's steps");
        KN_TRY_ON(s->kn, ops->await(s->kn, KN_LANE_HOST, TR_EVENT_COPIED + half),
                  "copying weights");
        if (s->used > 1) // from the end of the last slab's steps to the arrival of this slab
            s->waited += ops->lag(s->kn, TR_EVENT_USED + 1 - half, TR_EVENT_COPIED + half);
    }
    s->current = NULL;
    tr_slab_reader_release(s->reader);
    return TR_OK;
}

// The reader's next slab becomes the current one.
static enum tr_status step_forward(struct tr_streamed *s, struct tr_err *err) {
    TR_TRY(take_ahead(s, err));
    count_wait_for_reader(s);
    s->current = s->ahead;
    s->ahead_taken = false;
    return s->current ? TR_OK
                      : tr_fail(err, TR_EUSAGE, "the reader has only %lld slabs of weights",
                                (long long)s->used);
}

// Passes over the slabs before the one that is wanted.
static enum tr_status next(void *user, int64_t index, struct tr_weights *weights,
                           struct tr_err *err) {
    struct tr_streamed *s = user;
    TR_TRY(step_forward(s, err));
    while (s->used < index) {
        TR_TRY(done(s, err));
        TR_TRY(step_forward(s, err));
    }
    int half = (int)(s->used % 2);
    tr_weights_view(weights, s->current,
                    s->kn->unified ? s->current->memory : s->slab[half].memory);
    if (s->kn->unified)
        return TR_OK;
    if (tr_slab_reader_ready(s->reader))
        TR_TRY(take_ahead(s, err));
    KN_TRY_ON(s->kn, s->kn->ops->await(s->kn, KN_LANE_OPS, TR_EVENT_COPIED + half),
              "copying weights");
    return convert(s, weights, err);
}

static void stop(void *user) {
    struct tr_streamed *s = user;
    for (int half = 0; half < 2 && !s->kn->unified; half++)
        s->kn->ops->await(s->kn, KN_LANE_HOST, TR_EVENT_COPIED + half);
}

struct tr_weight_source tr_streamed_begin(struct tr_streamed *s, struct tr_slab_reader *reader) {
    s->reader = reader;
    s->current = s->ahead = NULL;
    s->ahead_taken = false;
    s->taken = s->used = 0;
    s->waited = 0;
    s->reader_waited = tr_slab_reader_waited(reader);
    return (struct tr_weight_source){
        .user = s, .plan = tr_slab_reader_plan(reader), .next = next, .done = done, .stop = stop};
}

double tr_streamed_waited(const struct tr_streamed *s) {
    return s->waited;
}

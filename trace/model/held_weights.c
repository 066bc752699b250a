// SPDX-License-Identifier: Apache-2.0
// Slabs that are changed in memory, before and between passes.
#include <stdlib.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "loaded.h"
#include "slab_fill.h"
#include "weight_views.h"

struct held_memory {
    char *host;    // a slab as it is changed; page-locked where the backend has a device
    char *backend; // the same and its converted matrices; where memory is unified `host` itself
    size_t host_bytes, backend_bytes;
};

struct held_slab {
    struct held_memory memory;
    struct tr_weights weights;
};

// Of slabs that were let go, for the next ones: page-locked memory is slow to come by.
enum { SPARE_MOST = 8, DEVICE_READERS = 8 };

struct tr_held {
    struct kn_backend *kn;
    struct tr_opened opened;
    struct tr_filler *filler;
    struct held_slab *slabs; // [plan.count]
    int64_t first, last;     // held
    int64_t passing;         // another one that is in memory, -1: none
    struct held_memory spare[SPARE_MOST];
    int spares;
};

static size_t padded_bytes(const struct tr_slab_plan *plan) {
    return (plan->bytes + 255) & ~(size_t)255;
}

static void release(struct tr_held *h, struct held_memory *memory) {
    if (memory->backend && memory->backend != memory->host)
        h->kn->ops->free(h->kn, memory->backend);
    if (memory->host)
        h->kn->ops->host_free(h->kn, memory->host);
    *memory = (struct held_memory){0};
}

static void forget(struct tr_held *h, int64_t index) {
    struct held_slab *slab = &h->slabs[index];
    if (slab->memory.host && h->spares < SPARE_MOST && !h->kn->unified)
        h->spare[h->spares++] = slab->memory;
    else
        release(h, &slab->memory);
    *slab = (struct held_slab){0};
}

static enum tr_status bring(struct tr_held *h, int64_t index, struct tr_err *err) {
    const struct tr_slab_plan *plan = &h->opened.plan.slabs[index];
    const struct kn_ops *ops = h->kn->ops;
    struct held_slab *held = &h->slabs[index];
    struct tr_slab slab = {.plan = plan, .memory = held->memory.host};
    tr_weights_view(&held->weights, &slab, held->memory.backend);
    if (h->kn->unified)
        return TR_OK;
    KN_TRY_ON(h->kn, ops->upload(h->kn, held->memory.backend, held->memory.host, plan->bytes),
              "copying weights");
    TR_TRY(
        tr_weights_convert(h->kn, &held->weights, held->memory.backend + padded_bytes(plan), err));
    KN_TRY_ON(h->kn, ops->sync(h->kn), "copying weights");
    return TR_OK;
}

static bool take_spare(struct tr_held *h, struct held_memory *memory, size_t host, size_t backend) {
    for (int i = 0; i < h->spares; i++)
        if (h->spare[i].host_bytes == host && h->spare[i].backend_bytes == backend) {
            *memory = h->spare[i];
            h->spare[i] = h->spare[--h->spares];
            return true;
        }
    return false;
}

static enum tr_status make_room(struct tr_held *h, int64_t index, struct tr_err *err) {
    const struct tr_slab_plan *plan = &h->opened.plan.slabs[index];
    struct held_memory *memory = &h->slabs[index].memory;
    size_t bytes = padded_bytes(plan) + tr_slab_converted_bytes(plan, h->kn->activation_type) + 1;
    const char *doing = "allocating the weights";
    if (take_spare(h, memory, plan->bytes, bytes))
        return TR_OK;
    memory->host_bytes = plan->bytes;
    memory->backend_bytes = bytes;
    KN_TRY_ON(h->kn, h->kn->ops->host_alloc(h->kn, (void **)&memory->host, plan->bytes), doing);
    memory->backend = memory->host;
    if (!h->kn->unified) {
        memory->backend = NULL;
        KN_TRY_ON(h->kn, h->kn->ops->alloc(h->kn, (void **)&memory->backend, bytes), doing);
    }
    return TR_OK;
}

static enum tr_status read_slab(struct tr_held *h, int64_t index, struct tr_err *err) {
    enum tr_status status = make_room(h, index, err);
    if (status == TR_OK)
        status = tr_filler_fill(h->filler, h->opened.checkpoint, &h->opened.plan.slabs[index],
                                h->slabs[index].memory.host, err);
    if (status == TR_OK)
        status = bring(h, index, err);
    if (status != TR_OK)
        forget(h, index);
    return status;
}

enum tr_status tr_held_open(struct tr_held **held_p, struct kn_backend *kn, const char *folder,
                            const struct tr_wanted *wanted, struct tr_err *err) {
    struct tr_held *h;
    struct tr_wanted wide = *wanted;
    enum tr_status status;
    TR_TRY(TR_NEW(&h, 1, "the weights", err));
    h->kn = kn;
    h->passing = -1;
    wide.wide = true;
    TR_GO(status, tr_opened_open(&h->opened, folder, &wide, err), out);
    TR_GO(status, TR_NEW(&h->slabs, h->opened.plan.count, "the weights", err), out);
    status = tr_filler_new(&h->filler, kn->unified ? 1 : DEVICE_READERS, err);
out:
    if (status == TR_OK)
        *held_p = h;
    else
        tr_held_close(h);
    return status;
}

void tr_held_close(struct tr_held *h) {
    if (!h)
        return;
    for (int64_t i = 0; h->slabs && i < h->opened.plan.count; i++)
        forget(h, i);
    for (int i = 0; i < h->spares; i++)
        release(h, &h->spare[i]);
    free(h->slabs);
    tr_filler_free(h->filler);
    tr_opened_close(&h->opened);
    free(h);
}

const struct tr_loaded *tr_held_loaded(const struct tr_held *h) {
    return &h->opened.loaded;
}

const struct tr_checkpoint *tr_held_checkpoint(const struct tr_held *h) {
    return h->opened.checkpoint;
}

static void forget_passing(struct tr_held *h) {
    if (h->passing >= 0)
        forget(h, h->passing);
    h->passing = -1;
}

enum tr_status tr_held_take(struct tr_held *h, int64_t first, int64_t last, struct tr_err *err) {
    TR_ASSERT(first >= 0 && first <= last && last <= h->opened.plan.count);
    forget_passing(h);
    for (int64_t i = h->first; i < h->last; i++)
        forget(h, i);
    h->first = h->last = first;
    for (; h->last < last; h->last++)
        TR_TRY(read_slab(h, h->last, err));
    return tr_checkpoint_unchanged(h->opened.checkpoint, err);
}

float *tr_held_slot(const struct tr_held *h, int64_t slab, enum tr_slot slot) {
    const struct tr_slot_plan *plan = &h->opened.plan.slabs[slab].slots[slot];
    TR_ASSERT(slab >= h->first && slab < h->last);
    return plan->rows ? (float *)(void *)(h->slabs[slab].memory.host + plan->offset) : NULL;
}

enum tr_status tr_held_changed(struct tr_held *h, int64_t slab, struct tr_err *err) {
    return h->kn->unified ? TR_OK : bring(h, slab, err);
}

static enum tr_status next(void *user, int64_t index, struct tr_weights *weights,
                           struct tr_err *err) {
    struct tr_held *h = user;
    if ((index < h->first || index >= h->last) && index != h->passing) {
        forget_passing(h);
        TR_TRY(read_slab(h, index, err));
        h->passing = index;
    }
    *weights = h->slabs[index].weights;
    return TR_OK;
}

static enum tr_status done(void *user, struct tr_err *err) {
    (void)user;
    (void)err;
    return TR_OK;
}

static void stop(void *user) {
    (void)user;
}

struct tr_weight_source tr_held_source(struct tr_held *h) {
    return (struct tr_weight_source){
        .user = h, .plan = &h->opened.plan, .next = next, .done = done, .stop = stop};
}

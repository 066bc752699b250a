// SPDX-License-Identifier: Apache-2.0
// All weights of a checkpoint in the backend's memory.
#include <stdlib.h>

#include "base/alloc.h"
#include "loaded.h"
#include "slab_fill.h"
#include "weight_views.h"

struct tr_resident {
    struct kn_backend *kn;
    struct tr_opened opened;
    struct tr_filler *filler;
    struct tr_weights *weights; // [plan.count]
    char **memory;              // [plan.count], in the backend: the slab, its converted matrices
    double bytes;               // of all
};

// Brings the slab's bytes from the host to `memory`.
static enum tr_status upload(struct tr_resident *r, char *memory, const struct tr_slab *slab,
                             struct tr_err *err) {
    const struct kn_ops *ops = r->kn->ops;
    KN_TRY_ON(r->kn, ops->upload(r->kn, memory, slab->memory, slab->plan->bytes),
              "copying weights");
    KN_TRY_ON(r->kn, ops->sync(r->kn), "copying weights");
    return TR_OK;
}

// Bytes of a slab as it is read, and of its matrices in the type that a device wants.
struct slab_bytes {
    size_t read, converted;
};

static struct slab_bytes bytes_of(const struct kn_backend *kn, const struct tr_slab_plan *plan) {
    return (struct slab_bytes){
        .read = (plan->bytes + 255) & ~(size_t)255,
        .converted = kn->unified ? 0 : tr_slab_converted_bytes(plan, kn->activation_type)};
}

static enum tr_status take_slab(struct tr_resident *r, int64_t index, char *staging,
                                struct tr_err *err) {
    const struct tr_slab_plan *plan = &r->opened.plan.slabs[index];
    struct tr_slab slab = {.plan = plan, .memory = staging};
    struct slab_bytes bytes = bytes_of(r->kn, plan);
    size_t all = bytes.read + bytes.converted;
    KN_TRY_ON(r->kn, r->kn->ops->alloc(r->kn, (void **)&r->memory[index], all ? all : 1),
              "allocating the weights");
    r->bytes += (double)all;
    TR_TRY(tr_filler_fill(r->filler, r->opened.checkpoint, plan, staging, err));
    TR_TRY(upload(r, r->memory[index], &slab, err));
    tr_weights_view(&r->weights[index], &slab, r->memory[index]);
    if (r->kn->unified)
        return TR_OK;
    return tr_weights_convert(r->kn, &r->weights[index], r->memory[index] + bytes.read, err);
}

static enum tr_status take_all(struct tr_resident *r, struct tr_err *err) {
    char *staging;
    TR_TRY(TR_NEW(&staging, r->opened.plan.largest, "a slab of weights", err));
    enum tr_status status = TR_OK;
    for (int64_t i = 0; i < r->opened.plan.count && status == TR_OK; i++)
        status = take_slab(r, i, staging, err);
    free(staging);
    return status == TR_OK ? tr_checkpoint_unchanged(r->opened.checkpoint, err) : status;
}

enum tr_status tr_resident_open(struct tr_resident **resident_p, struct kn_backend *kn,
                                const char *folder, const struct tr_wanted *wanted,
                                struct tr_err *err) {
    struct tr_resident *r;
    enum tr_status status;
    TR_TRY(TR_NEW(&r, 1, "the weights", err));
    r->kn = kn;
    TR_GO(status, tr_opened_open(&r->opened, folder, wanted, err), out);
    TR_GO(status, TR_NEW(&r->weights, r->opened.plan.count, "the weights", err), out);
    TR_GO(status, TR_NEW(&r->memory, r->opened.plan.count, "the weights", err), out);
    TR_GO(status, tr_filler_new(&r->filler, 1, err), out);
    status = take_all(r, err);
out:
    if (status == TR_OK)
        *resident_p = r;
    else
        tr_resident_close(r);
    return status;
}

enum tr_status tr_resident_examine(struct tr_loaded *loaded, double *bytes_p,
                                   const struct kn_backend *kn, const char *folder,
                                   const struct tr_wanted *wanted, struct tr_err *err) {
    struct tr_opened opened = {0};
    enum tr_status status = tr_opened_open(&opened, folder, wanted, err);
    *bytes_p = 0;
    for (int64_t i = 0; i < opened.plan.count && status == TR_OK; i++) {
        struct slab_bytes bytes = bytes_of(kn, &opened.plan.slabs[i]);
        *bytes_p += (double)(bytes.read + bytes.converted);
    }
    *loaded = opened.loaded;
    tr_opened_close(&opened);
    return status;
}

void tr_resident_close(struct tr_resident *r) {
    if (!r)
        return;
    for (int64_t i = 0; r->memory && i < r->opened.plan.count; i++)
        r->kn->ops->free(r->kn, r->memory[i]);
    free(r->memory);
    free(r->weights);
    tr_filler_free(r->filler);
    tr_opened_close(&r->opened);
    free(r);
}

const struct tr_loaded *tr_resident_loaded(const struct tr_resident *r) {
    return &r->opened.loaded;
}

double tr_resident_bytes(const struct tr_resident *r) {
    return r->bytes;
}

static enum tr_status next(void *user, int64_t index, struct tr_weights *weights,
                           struct tr_err *err) {
    const struct tr_resident *r = user;
    (void)err;
    *weights = r->weights[index];
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

struct tr_weight_source tr_resident_source(struct tr_resident *r) {
    return (struct tr_weight_source){.user = r,
                                     .plan = &r->opened.plan,
                                     .next = next,
                                     .done = done,
                                     .stays = true,
                                     .stop = stop};
}

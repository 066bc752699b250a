// SPDX-License-Identifier: Apache-2.0
// The folder: what becomes of each tensor of the checkpoint, taken from the parts of its blocks.
#include <stdlib.h>
#include <string.h>

#include "awq_scaling.h"
#include "base/alloc.h"
#include "drop/packing.h"
#include "drop/write.h"
#include "model/weight_source.h"
#include "quantizer.h"
#include "targets.h"

// Where a tensor is looked for.
struct entry {
    const char *name;
    int layer;
    enum tr_packing_fate fate;
};

// Files end within blocks, so the parts of two are kept in memory.
enum { PARTS = 2 };

struct packing {
    const struct tr_quantizer *q;
    struct entry *entries; // [count] by name
    int64_t count;
    uint64_t capacity;
    int layers[PARTS]; // whose parts are in memory; -1: none
    struct tr_part parts[PARTS];
    int last; // which of them was asked for last
};

static struct packing packing_of(const struct tr_quantizer *q) {
    return (struct packing){.q = q, .layers = {-1, -1}};
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static enum tr_packing_fate fate_of(const struct tr_quantizer *q, int64_t slab,
                                    const struct tr_placement *placement) {
    if (tr_quantizer_takes(q, &q->plan->slabs[slab], placement))
        return TR_PACKING_CODES;
    bool changes = q->settings->method == TR_QUANT_AWQ && tr_awq_changes(q, slab, placement);
    return changes ? TR_PACKING_VALUES : TR_PACKING_STAYS;
}

static enum tr_status list_entries(struct packing *p, struct tr_err *err) {
    const struct tr_weight_plan *plan = p->q->plan;
    for (int64_t s = 0; s < plan->count; s++)
        for (uint64_t i = 0; i < plan->slabs[s].placement_count; i++) {
            const struct tr_placement *placement = &plan->slabs[s].placements[i];
            enum tr_packing_fate what = fate_of(p->q, s, placement);
            if (what == TR_PACKING_STAYS)
                continue;
            TR_TRY(tr_grow((void **)&p->entries, &p->capacity, (uint64_t)p->count + 1,
                           sizeof *p->entries, "the weights' names", err));
            p->entries[p->count++] =
                (struct entry){placement->tensor->name, plan->slabs[s].layer, what};
        }
    if (p->count)
        qsort(p->entries, (size_t)p->count, sizeof *p->entries, by_name);
    return TR_OK;
}

static const struct entry *find(const struct packing *p, const char *name) {
    const struct entry wanted = {.name = name};
    return p->count ? bsearch(&wanted, p->entries, (size_t)p->count, sizeof *p->entries, by_name)
                    : NULL;
}

static enum tr_packing_fate fate(void *user, const struct tr_tensor *tensor) {
    const struct entry *entry = find(user, tensor->name);
    return entry ? entry->fate : TR_PACKING_STAYS;
}

static enum tr_status load(struct packing *p, int layer, struct tr_err *err) {
    char *path;
    bool found;
    for (int i = 0; i < PARTS; i++)
        if (p->layers[i] == layer) {
            p->last = i;
            return TR_OK;
        }
    p->last = (p->last + 1) % PARTS;
    tr_part_free(&p->parts[p->last]);
    p->layers[p->last] = -1;
    TR_TRY(tr_quantizer_part_path(p->q, layer, &path, err));
    enum tr_status status = tr_part_read(&p->parts[p->last], path, p->q->identity, &found, err);
    if (status == TR_OK && !found)
        status = tr_fail(err, TR_EIO, "%s vanished", path);
    free(path);
    TR_TRY(status);
    p->layers[p->last] = layer;
    return TR_OK;
}

static enum tr_status take(struct packing *p, const char *name,
                           const struct tr_quantized **tensor_p, struct tr_err *err) {
    const struct entry *entry = find(p, name);
    if (!entry)
        return tr_fail(err, TR_EFORMAT, "nothing is known of %s", name);
    TR_TRY(load(p, entry->layer, err));
    *tensor_p = tr_part_find(&p->parts[p->last], name);
    return *tensor_p ? TR_OK : tr_fail(err, TR_EFORMAT, "%s is in no part", name);
}

static enum tr_status give_codes(void *user, const struct tr_tensor *tensor, struct tr_codes *codes,
                                 struct tr_err *err) {
    const struct tr_quantized *found;
    TR_TRY(take(user, tensor->name, &found, err));
    const struct tr_codes *from = &found->codes;
    size_t scales = (size_t)(from->out * from->groups);
    TR_TRY(tr_codes_new(codes, from->out, from->in, from->bits, from->group_size,
                        from->group_of != NULL, tensor->name, err));
    codes->symmetric = from->symmetric;
    codes->scale_dtype = from->scale_dtype;
    memcpy(codes->code, from->code, (size_t)(from->out * from->in));
    memcpy(codes->scale, from->scale, scales * sizeof *from->scale);
    memcpy(codes->zero, from->zero, scales);
    if (from->group_of)
        memcpy(codes->group_of, from->group_of, (size_t)from->in * sizeof *from->group_of);
    return TR_OK;
}

static enum tr_status give_values(void *user, const struct tr_tensor *tensor, float *values,
                                  struct tr_err *err) {
    const struct tr_quantized *found;
    TR_TRY(take(user, tensor->name, &found, err));
    memcpy(values, found->values, (size_t)found->count * sizeof *values);
    return TR_OK;
}

static struct tr_packing describe(struct packing *p, json_t *meta) {
    static const enum tr_dtype dtypes[] = {
        [KN_F32] = TR_F32, [KN_F16] = TR_F16, [KN_BF16] = TR_BF16};
    const struct tr_quant_settings *s = p->q->settings;
    const struct kn_grid *grid = &p->q->grid;
    return (struct tr_packing){.layout = s->layout,
                               .bits = grid->bits,
                               .group_size = grid->group_size ? grid->group_size : -1,
                               .symmetric = grid->symmetric,
                               .ordered =
                                   s->method == TR_QUANT_GPTQ && s->gptq.order == KN_ORDER_GROUPS,
                               .scale_dtype = dtypes[grid->scale_type],
                               .method = tr_quant_method_names[s->method],
                               .meta = meta,
                               .user = p,
                               .fate = fate,
                               .codes = give_codes,
                               .values = give_values};
}

static enum tr_status check_all(struct packing *p, struct tr_err *err) {
    const struct tr_weight_plan *plan = p->q->plan;
    struct tr_packing packing = describe(p, NULL);
    TR_TRY(list_entries(p, err));
    if (!p->count)
        return tr_fail(err, TR_EUSAGE, "nothing is left to be put into few bits");
    for (int64_t s = 0; s < plan->count; s++)
        for (uint64_t i = 0; i < plan->slabs[s].placement_count; i++) {
            const struct tr_placement *placement = &plan->slabs[s].placements[i];
            if (!tr_quantizer_takes(p->q, &plan->slabs[s], placement))
                continue;
            if (!tr_target_fits(&plan->slabs[s], placement))
                return tr_fail(err, TR_EUNSUPPORTED,
                               "%s is stored [in, out] or as a part of another tensor, which "
                               "readers of weights in few bits take for [out, in]",
                               placement->tensor->name);
            TR_TRY(tr_packing_check(&packing, placement->tensor, err));
        }
    return TR_OK;
}

static void close_packing(struct packing *p) {
    for (int i = 0; i < PARTS; i++)
        tr_part_free(&p->parts[i]);
    free(p->entries);
}

enum tr_status tr_quantizer_check(const struct tr_quantizer *q, struct tr_err *err) {
    struct packing p = packing_of(q);
    enum tr_status status = check_all(&p, err);
    close_packing(&p);
    return status;
}

// ---- writing -----------------------------------------------------------------------------------

static json_t *provenance(const struct tr_quantizer *q) {
    const struct tr_quant_settings *s = q->settings;
    static const char *const orders[] = {
        [KN_ORDER_FILE] = "off", [KN_ORDER_STATIC] = "static", [KN_ORDER_GROUPS] = "groups"};
    const struct tr_calibration *c = &q->job.calibration;
    bool runs = s->method != TR_QUANT_NEAREST;
    json_t *meta = json_pack("{s:[s], s:s}", "quantizer", s->made_by, "method",
                             tr_quant_method_names[s->method]);
    if (meta && s->method == TR_QUANT_GPTQ)
        json_object_update_new(meta,
                               json_pack("{s:f, s:s, s:b, s:b}", "damp_percent", s->gptq.damping,
                                         "act_order", orders[s->gptq.order], "static_groups",
                                         s->gptq.order == KN_ORDER_STATIC, "true_sequential", 1));
    if (meta && runs)
        json_object_update_new(meta, json_pack("{s:s, s:I, s:I, s:s}", "calibration", c->label,
                                               "calibration_rows", (json_int_t)q->sequences,
                                               "calibration_row_tokens", (json_int_t)c->seq_len,
                                               "calibration_digest", c->ids_digest));
    if (meta && q->grid.clip)
        json_object_set_new(meta, "mse", json_real(2.4));
    if (meta && s->method == TR_QUANT_AWQ)
        json_object_set_new(meta, "clip", json_boolean(s->grid.clip));
    return meta;
}

static enum tr_status write_folder(struct packing *p, json_t *meta, struct tr_string *told,
                                   struct tr_err *err) {
    const struct tr_quant_settings *s = p->q->settings;
    struct tr_packing packing = describe(p, meta);
    const char *as = s->drop_as ? s->drop_as : "smaller";
    struct tr_drop_write_options options = {.source = s->run.paths[0],
                                            .target = s->target,
                                            .drop = s->run.drop,
                                            .form =
                                                s->run.drop ? tr_drop_form_find(as, NULL) : NULL,
                                            .link = s->link,
                                            .threads = p->q->threads,
                                            .made_by = s->made_by,
                                            .stop = s->run.stop,
                                            .packing = &packing};
    TR_TRY(list_entries(p, err));
    return tr_drop_write(&options, told, err);
}

enum tr_status tr_quantizer_write(const struct tr_quantizer *q, struct tr_string *told,
                                  struct tr_err *err) {
    struct packing p = packing_of(q);
    json_t *meta = provenance(q);
    enum tr_status status = meta ? write_folder(&p, meta, told, err)
                                 : tr_fail(err, TR_ENOMEM, "out of memory for the provenance");
    json_decref(meta);
    close_packing(&p);
    return status;
}

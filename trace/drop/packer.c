// SPDX-License-Identifier: Apache-2.0
#include "packer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "kernels/convert.h"

void tr_packer_free(struct tr_packer *packer) {
    tr_codes_free(&packer->codes);
    free(packer->now.bytes);
    for (int64_t i = 0; i < packer->kept_count; i++)
        free(packer->kept[i].bytes);
    free(packer->kept);
    *packer = (struct tr_packer){.packing = packer->packing};
}

struct tr_codes tr_packing_form(const struct tr_packing *packing, const struct tr_tensor *tensor) {
    static int32_t some;
    int64_t in = tensor->shape[1];
    bool row = packing->group_size < 0 || packing->group_size > in;
    struct tr_codes form = {.out = tensor->shape[0],
                            .in = in,
                            .bits = packing->bits,
                            .symmetric = packing->symmetric,
                            .group_size = row ? in : packing->group_size,
                            .group_of = packing->ordered ? &some : NULL,
                            .scale_dtype = packing->scale_dtype};
    form.groups = (in - 1) / form.group_size + 1;
    return form;
}

// Values from which on several threads look at them.
enum { MANY = 1 << 20 };

static bool ends_with(const char *text, const char *end) {
    size_t size = strlen(text), tail = strlen(end);
    return size >= tail && !strcmp(text + size - tail, end);
}

enum tr_status tr_packing_check(const struct tr_packing *packing, const struct tr_tensor *tensor,
                                struct tr_err *err) {
    if (tensor->packed)
        return tr_fail(err, TR_EUNSUPPORTED, "%s is quantized already", tensor->name);
    if (tensor->dims != 2 || tensor->shape[0] < 1 || tensor->shape[1] < 1 ||
        !ends_with(tensor->name, ".weight"))
        return tr_fail(err, TR_EUNSUPPORTED,
                       "%s cannot be stored in few bits: it is no module's matrix", tensor->name);
    const struct tr_codes form = tr_packing_form(packing, tensor);
    return tr_layout_check(packing->layout, &form, tensor->name, err);
}

// ---- codes -------------------------------------------------------------------------------------

static bool has_form(const struct tr_codes *codes, const struct tr_codes *form) {
    return codes->out == form->out && codes->in == form->in && codes->bits == form->bits &&
           codes->symmetric == form->symmetric && codes->groups == form->groups &&
           codes->group_size == form->group_size && codes->scale_dtype == form->scale_dtype &&
           !codes->group_of == !form->group_of;
}

static bool holds(enum tr_dtype dtype, float scale) {
    float rounded = dtype == TR_F16    ? kn_float_of_f16(kn_f16_of_float(scale))
                    : dtype == TR_BF16 ? kn_float_of_bf16(kn_bf16_of_float(scale))
                                       : scale;
    return isfinite(scale) && rounded == scale;
}

static bool in_range(const struct tr_codes *codes) {
    int most = (1 << codes->bits) - 1, half = 1 << (codes->bits - 1);
    int64_t values = codes->out * codes->in;
    int beyond = 0;
#pragma omp parallel for schedule(static) reduction(| : beyond) if (values > MANY)
    for (int64_t i = 0; i < values; i++)
        beyond |= codes->code[i] > most;
    bool good = !beyond;
    for (int64_t i = 0; i < codes->out * codes->groups; i++)
        good = good && codes->zero[i] <= most && holds(codes->scale_dtype, codes->scale[i]) &&
               (!codes->symmetric || codes->zero[i] == half);
    for (int64_t i = 0; codes->group_of && i < codes->in; i++)
        good = good && codes->group_of[i] >= 0 && codes->group_of[i] < codes->groups;
    return good;
}

static enum tr_status take_codes(struct tr_packer *packer, const struct tr_tensor *tensor,
                                 struct tr_err *err) {
    const struct tr_packing *packing = packer->packing;
    const struct tr_codes form = tr_packing_form(packing, tensor);
    if (packer->weight == tensor)
        return TR_OK;
    tr_codes_free(&packer->codes);
    packer->weight = NULL;
    TR_TRY(packing->codes(packing->user, tensor, &packer->codes, err));
    if (!has_form(&packer->codes, &form))
        return tr_fail(err, TR_EUSAGE, "the codes of %s are not of its form", tensor->name);
    if (!in_range(&packer->codes))
        return tr_fail(err, TR_EUSAGE,
                       "the codes of %s hold a code, a zero, a scale or a group that cannot be "
                       "stored",
                       tensor->name);
    packer->weight = tensor;
    return TR_OK;
}

// ---- parts -------------------------------------------------------------------------------------

static bool same_scales(const float *a, const float *b, int64_t count) {
    return !memcmp(a, b, (size_t)count * sizeof *a);
}

// Whether what was packed is the codes: each part is one of their arrays.
static bool is_same(const struct tr_codes *a, const struct tr_codes *b, enum tr_packed_part part) {
    int64_t values = a->out * a->in, scales = a->out * a->groups;
    switch (part) {
    case TR_PART_CODES:
        return !memcmp(a->code, b->code, (size_t)values);
    case TR_PART_ZEROS:
        return !memcmp(a->zero, b->zero, (size_t)scales);
    case TR_PART_SCALES:
        return same_scales(a->scale, b->scale, scales);
    case TR_PART_GROUPS:
        return !a->group_of || !memcmp(a->group_of, b->group_of, (size_t)a->in * 4);
    default:
        return a->out == b->out && a->in == b->in;
    }
}

static enum tr_status compare(const struct tr_packed_layout *layout, const struct tr_codes *codes,
                              const struct tr_packed_bytes *packed, struct tr_err *err) {
    const char *name = packed->tensor->name;
    struct tr_codes again;
    TR_TRY(tr_codes_new(&again, codes->out, codes->in, codes->bits, codes->group_size, true, name,
                        err));
    again.scale_dtype = codes->scale_dtype;
    tr_layout_unpack(layout, &again, packed->part, packed->bytes);
    bool same = is_same(codes, &again, packed->part);
    tr_codes_free(&again);
    return same ? TR_OK
                : tr_fail(err, TR_EUNSUPPORTED,
                          "%s does not come back as it was from what %s holds of it", name,
                          layout->name);
}

// A part of codes, or of a form for a part that has no array; *packed_p is the caller's.
static enum tr_status pack(struct tr_packed_bytes *packed_p, const struct tr_packed_layout *layout,
                           const struct tr_codes *codes, const struct tr_tensor *tensor,
                           enum tr_packed_part part, struct tr_err *err) {
    struct tr_packed_bytes packed = {.tensor = tensor, .part = part};
    struct tr_part_form form;
    tr_layout_part(layout, codes, part, &form);
    packed.size = form.bytes;
    TR_TRY(TR_NEW_UNSET(&packed.bytes, form.bytes, tensor->name, err));
    tr_layout_pack(layout, codes, part, packed.bytes);
    enum tr_status status = compare(layout, codes, &packed, err);
    if (status == TR_OK)
        *packed_p = packed;
    else
        free(packed.bytes);
    return status;
}

static struct tr_packed_bytes *find_kept(const struct tr_packer *packer,
                                         const struct tr_tensor *tensor, enum tr_packed_part part) {
    for (int64_t i = packer->kept_count; i-- > 0;)
        if (packer->kept[i].tensor == tensor && packer->kept[i].part == part)
            return &packer->kept[i];
    return NULL;
}

// Packs what a weight has beside its codes but for the part that is asked for, and keeps it.
static enum tr_status keep_small(struct tr_packer *packer, const struct tr_tensor *tensor,
                                 enum tr_packed_part asked, struct tr_err *err) {
    static const enum tr_packed_part small[] = {TR_PART_ZEROS, TR_PART_SCALES, TR_PART_GROUPS};
    const struct tr_packed_layout *layout = packer->packing->layout;
    struct tr_part_form form;
    for (size_t i = 0; i < sizeof small / sizeof *small; i++) {
        if (small[i] == asked || !tr_layout_part(layout, &packer->codes, small[i], &form))
            continue;
        TR_TRY(tr_grow((void **)&packer->kept, &packer->kept_capacity,
                       (uint64_t)packer->kept_count + 1, sizeof *packer->kept, tensor->name, err));
        TR_TRY(
            pack(&packer->kept[packer->kept_count], layout, &packer->codes, tensor, small[i], err));
        packer->kept_count++;
    }
    return TR_OK;
}

static enum tr_status pack_part(struct tr_packer *packer, const struct tr_tensor *tensor,
                                enum tr_packed_part part, struct tr_err *err) {
    const struct tr_packed_layout *layout = packer->packing->layout;
    struct tr_packed_bytes *kept = find_kept(packer, tensor, part);
    if (kept) {
        packer->now = *kept;
        *kept = packer->kept[--packer->kept_count];
        return TR_OK;
    }
    if (part == TR_PART_SHAPE) {
        const struct tr_codes form = tr_packing_form(packer->packing, tensor);
        return pack(&packer->now, layout, &form, tensor, part, err);
    }
    bool known = packer->weight == tensor;
    TR_TRY(take_codes(packer, tensor, err));
    if (!known)
        TR_TRY(keep_small(packer, tensor, part, err));
    return pack(&packer->now, layout, &packer->codes, tensor, part, err);
}

// ---- values ------------------------------------------------------------------------------------

static void put_value(char *bytes, uint64_t index, float value, enum tr_dtype dtype) {
    double wide = value;
    uint16_t half = dtype == TR_F16 ? kn_f16_of_float(value) : kn_bf16_of_float(value);
    size_t size = tr_dtype_size(dtype);
    const void *from = dtype == TR_F64   ? (const void *)&wide
                       : dtype == TR_F32 ? (const void *)&value
                                         : (const void *)&half;
    memcpy(bytes + index * size, from, size);
}

static enum tr_status round_values(struct tr_packer *packer, const struct tr_tensor *tensor,
                                   const float *values, uint64_t count, struct tr_err *err) {
    for (uint64_t i = 0; i < count; i++) {
        if (!isfinite(values[i]) ||
            (tensor->dtype == TR_F16 && !isfinite(kn_float_of_f16(kn_f16_of_float(values[i])))))
            return tr_fail(err, TR_EUSAGE, "the new values of %s are not finite", tensor->name);
        put_value(packer->now.bytes, i, values[i], tensor->dtype);
    }
    return TR_OK;
}

static enum tr_status take_values(struct tr_packer *packer, const struct tr_tensor *tensor,
                                  struct tr_err *err) {
    uint64_t count = tensor->bytes / tr_dtype_size(tensor->dtype);
    float *values;
    TR_TRY(TR_NEW(&packer->now.bytes, tensor->bytes, tensor->name, err));
    packer->now.size = tensor->bytes;
    TR_TRY(TR_NEW(&values, count, tensor->name, err));
    enum tr_status status = packer->packing->values(packer->packing->user, tensor, values, err);
    if (status == TR_OK)
        status = round_values(packer, tensor, values, count, err);
    free(values);
    return status;
}

// ---- bytes -------------------------------------------------------------------------------------

static enum tr_status fill(struct tr_packer *packer, const struct tr_tensor *tensor,
                           enum tr_packed_part part, struct tr_err *err) {
    if (packer->now.tensor == tensor && packer->now.part == part)
        return TR_OK;
    free(packer->now.bytes);
    packer->now = (struct tr_packed_bytes){0};
    TR_TRY(part == TR_PACKED_PARTS ? take_values(packer, tensor, err)
                                   : pack_part(packer, tensor, part, err));
    packer->now.tensor = tensor;
    packer->now.part = part;
    return TR_OK;
}

enum tr_status tr_packer_read(struct tr_packer *packer, const struct tr_tensor *tensor,
                              enum tr_packed_part part, uint64_t begin, void *bytes, size_t size,
                              struct tr_err *err) {
    TR_TRY(fill(packer, tensor, part, err));
    if (begin > packer->now.size || size > packer->now.size - begin)
        return tr_fail(err, TR_EUSAGE, "%s: bytes behind its end were asked for", tensor->name);
    memcpy(bytes, packer->now.bytes + begin, size);
    return TR_OK;
}

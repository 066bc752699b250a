// SPDX-License-Identifier: Apache-2.0
// Puts one tensor, under a plain weight's name, in the place of those that a packed one lies in.
#include "packed_tensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "float_blocks.h"

struct joining {
    struct tr_checkpoint *checkpoint;
    struct tr_packed_scheme scheme;
    bool *joined; // [tensor_count], those that are parts of a weight
    struct tr_err *err;
};

// A weight that is being put together.
struct weight {
    struct joining *joining;
    const char *file;   // of its codes, opens sentences
    const char *module; // [length] of the name of its codes
    int length;
    struct tr_packed *packed;
};

static const struct tr_tensor *part_of(const struct tr_packed *packed, enum tr_packed_part part) {
    return packed->place[part] < 0 ? NULL : &packed->parts[packed->place[part]];
}

// ---- finding its parts -------------------------------------------------------------------------

static enum tr_status check_once(const struct weight *w, int64_t at) {
    const struct tr_checkpoint *c = w->joining->checkpoint;
    bool again =
        (at > 0 && !strcmp(c->tensors[at - 1].name, c->tensors[at].name)) ||
        (at + 1 < c->tensor_count && !strcmp(c->tensors[at + 1].name, c->tensors[at].name));
    return again ? tr_fail(w->joining->err, TR_EFORMAT,
                           "%s: tensor %s, a part of a quantized weight, is there more than once",
                           c->folder, c->tensors[at].name)
                 : TR_OK;
}

// Where the index says that it is, if it says so.
static enum tr_status check_place(const struct weight *w, const struct tr_tensor *tensor) {
    const struct tr_checkpoint *c = w->joining->checkpoint;
    const struct tr_index_entry *entry = tr_index_find(&c->index, tensor->name);
    const char *file = c->files[tensor->piece.file].name;
    if (!entry || !strcmp(entry->shard, file))
        return TR_OK;
    return tr_fail(w->joining->err, TR_EFORMAT, "%s places tensor %s in %s, it is in %s",
                   c->index_path, tensor->name, entry->shard, file);
}

static enum tr_status look_for(struct weight *w, enum tr_packed_part part) {
    struct tr_checkpoint *c = w->joining->checkpoint;
    struct tr_packed *packed = w->packed;
    const char *ending = w->joining->scheme.layout->endings[part];
    char name[512];
    packed->place[part] = -1;
    if (!ending ||
        snprintf(name, sizeof name, "%.*s%s", w->length, w->module, ending) >= (int)sizeof name)
        return TR_OK;
    const struct tr_tensor *tensor = tr_checkpoint_find(c, name);
    if (!tensor)
        return TR_OK;
    TR_TRY(check_once(w, tensor - c->tensors));
    TR_TRY(check_place(w, tensor));
    packed->place[part] = packed->count;
    packed->parts[packed->count++] = *tensor;
    w->joining->joined[tensor - c->tensors] = true;
    return TR_OK;
}

// ---- what they say of its shape ----------------------------------------------------------------

static enum tr_status missing(const struct weight *w, enum tr_packed_part part) {
    return tr_fail(w->joining->err, TR_EFORMAT,
                   "%s: tensor %.*s%s is missing, which the weight of %s needs", w->file, w->length,
                   w->module, w->joining->scheme.layout->endings[part],
                   w->joining->scheme.layout->name);
}

static enum tr_status misshapen(const struct weight *w, const struct tr_tensor *tensor) {
    char shape[TR_INDEX_MAX];
    return tr_fail(w->joining->err, TR_EFORMAT,
                   "%s: tensor %s of type %s and shape %s is none of a weight of %d bits in %s",
                   w->file, tensor->name, tensor->dtype_text,
                   tr_index_text(tensor->dims, tensor->shape, shape), w->joining->scheme.bits,
                   w->joining->scheme.layout->name);
}

static enum tr_status read_shape(const struct weight *w, const struct tr_tensor *tensor) {
    struct tr_packed *packed = w->packed;
    struct tr_codes said = packed->form;
    char bytes[16];
    if (strcmp(tensor->dtype_text, "I64") != 0 || tensor->dims != 1 || tensor->shape[0] != 2)
        return misshapen(w, tensor);
    TR_TRY(tr_checkpoint_read(w->joining->checkpoint, tensor, 0, bytes, sizeof bytes,
                              w->joining->err));
    tr_layout_unpack(packed->scheme.layout, &said, TR_PART_SHAPE, bytes);
    if (said.out != packed->form.out || said.in < 1)
        return tr_fail(w->joining->err, TR_EFORMAT,
                       "%s: tensor %s says that the weight is of shape [%" PRId64 ", %" PRId64
                       "], its scales are of %" PRId64 " rows",
                       w->file, tensor->name, said.out, said.in, packed->form.out);
    packed->form.in = said.in;
    return TR_OK;
}

// From the tensor that says it, or from the codes, whose words are then full.
static enum tr_status find_inputs(const struct weight *w) {
    struct tr_packed *packed = w->packed;
    const struct tr_word_matrix *matrix = &packed->scheme.layout->codes;
    const struct tr_tensor *codes = part_of(packed, TR_PART_CODES);
    const struct tr_tensor *shape = part_of(packed, TR_PART_SHAPE);
    const struct tr_tensor *groups = part_of(packed, TR_PART_GROUPS);
    int64_t words = codes->shape[matrix->turned ? 0 : 1];
    if (shape)
        return read_shape(w, shape);
    if (packed->scheme.layout->endings[TR_PART_SHAPE])
        return missing(w, TR_PART_SHAPE);
    packed->form.in = groups && groups->dims == 1 ? groups->shape[0]
                      : matrix->along_out         ? words
                                                  : words * (32 / packed->scheme.bits);
    return packed->form.in < 1 ? misshapen(w, codes) : TR_OK;
}

static enum tr_status find_groups(const struct weight *w) {
    struct tr_codes *form = &w->packed->form;
    int64_t size = w->joining->scheme.group_size;
    form->group_size = size < 0 || size > form->in ? form->in : size;
    int64_t groups = (form->in - 1) / form->group_size + 1;
    if (groups == form->groups)
        return TR_OK;
    return tr_fail(w->joining->err, TR_EFORMAT,
                   "%s: tensor %s has scales of %" PRId64 " groups, %" PRId64
                   " inputs in groups of %" PRId64 " (config.json) make %" PRId64,
                   w->file, part_of(w->packed, TR_PART_SCALES)->name, form->groups, form->in,
                   form->group_size, groups);
}

static enum tr_status read_form(const struct weight *w) {
    struct tr_packed *packed = w->packed;
    const struct tr_tensor *codes = part_of(packed, TR_PART_CODES);
    const struct tr_tensor *scales = part_of(packed, TR_PART_SCALES);
    bool turned = packed->scheme.layout->scales_turned;
    if (!scales)
        return missing(w, TR_PART_SCALES);
    if (codes->dims != 2)
        return misshapen(w, codes);
    if (scales->dims != 2 || scales->shape[0] < 1 || scales->shape[1] < 1 ||
        scales->dtype == TR_OTHER_DTYPE || scales->dtype == TR_F64)
        return misshapen(w, scales);
    packed->form = (struct tr_codes){.out = scales->shape[turned],
                                     .bits = packed->scheme.bits,
                                     .groups = scales->shape[!turned],
                                     .scale_dtype = scales->dtype};
    TR_TRY(find_inputs(w));
    return find_groups(w);
}

// Whether each part is as the layout has it in a weight of this form.
static enum tr_status check_parts(const struct weight *w) {
    struct tr_packed *packed = w->packed;
    struct tr_part_form expected;
    int32_t some;
    struct tr_codes form = packed->form;
    form.group_of = part_of(packed, TR_PART_GROUPS) ? &some : NULL;
    for (int part = 0; part < TR_PACKED_PARTS; part++) {
        const struct tr_tensor *tensor = part_of(packed, part);
        if (!tensor)
            continue;
        if (!tr_layout_part(packed->scheme.layout, &form, part, &expected) ||
            strcmp(tensor->dtype_text, expected.dtype_text) != 0 || tensor->dims != expected.dims ||
            tensor->shape[0] != expected.shape[0] ||
            (tensor->dims == 2 && tensor->shape[1] != expected.shape[1]))
            return misshapen(w, tensor);
    }
    if (!part_of(packed, TR_PART_ZEROS) &&
        (packed->scheme.layout->always_zeros || !packed->form.symmetric))
        return missing(w, TR_PART_ZEROS);
    return packed->scheme.ordered && !form.group_of ? missing(w, TR_PART_GROUPS) : TR_OK;
}

// Zeros that are there are used, whatever is said of them.
static void decide_symmetry(struct tr_packed *packed) {
    const struct tr_packed_layout *layout = packed->scheme.layout;
    packed->form.symmetric =
        packed->scheme.symmetric && (layout->always_zeros || packed->place[TR_PART_ZEROS] < 0);
}

// ---- the weight --------------------------------------------------------------------------------

static enum tr_status find_parts(struct weight *w) {
    for (int part = 0; part < TR_PACKED_PARTS; part++)
        TR_TRY(look_for(w, part));
    TR_TRY(read_form(w));
    decide_symmetry(w->packed);
    return check_parts(w);
}

static enum tr_status name_weight(const struct weight *w, const char **name_p) {
    char name[512];
    if (snprintf(name, sizeof name, "%.*s.weight", w->length, w->module) >= (int)sizeof name)
        return tr_fail(w->joining->err, TR_EUNSUPPORTED, "%s: the name %.*s is too long", w->file,
                       w->length, w->module);
    if (tr_checkpoint_find(w->joining->checkpoint, name))
        return tr_fail(w->joining->err, TR_EFORMAT, "%s has both %s and its quantized form",
                       w->joining->checkpoint->folder, name);
    return tr_checkpoint_keep(w->joining->checkpoint, name, name_p, w->joining->err);
}

static struct tr_tensor tensor_of(struct tr_packed *packed, const char *name) {
    const struct tr_tensor *codes = part_of(packed, TR_PART_CODES);
    return (struct tr_tensor){.name = name,
                              .dtype = TR_F32,
                              .dtype_text = "F32",
                              .dims = 2,
                              .shape = {packed->form.out, packed->form.in},
                              .bytes = (uint64_t)packed->form.out * (uint64_t)packed->form.in * 4,
                              .piece = codes->piece,
                              .unwrapped = codes->unwrapped,
                              .packed = packed};
}

static enum tr_status join(struct weight *w, struct tr_tensor *tensor) {
    const char *name = NULL;
    TR_TRY(find_parts(w));
    TR_TRY(name_weight(w, &name));
    *tensor = tensor_of(w->packed, name);
    return TR_OK;
}

// Makes a weight of the codes in tensor `at`, and puts it into *tensor.
static enum tr_status make_weight(struct joining *j, int64_t at, struct tr_tensor *tensor) {
    const struct tr_tensor *codes = &j->checkpoint->tensors[at];
    const char *ending = j->scheme.layout->endings[TR_PART_CODES];
    struct weight w = {.joining = j,
                       .file = j->checkpoint->files[codes->piece.file].path,
                       .module = codes->name,
                       .length = (int)(strlen(codes->name) - strlen(ending))};
    TR_TRY(TR_NEW(&w.packed, 1, "a quantized weight", j->err));
    w.packed->scheme = j->scheme;
    enum tr_status status = join(&w, tensor);
    if (status != TR_OK)
        free(w.packed);
    return status;
}

static bool is_codes(const struct joining *j, const struct tr_tensor *tensor) {
    if (j->scheme.floats)
        return tr_is_float_blocks(tensor);
    const char *ending = j->scheme.layout->endings[TR_PART_CODES];
    size_t size = strlen(tensor->name), tail = strlen(ending);
    return size > tail && !strcmp(tensor->name + size - tail, ending);
}

// The tensors that are no parts move together, and the weights follow them.
static void put_in_place(struct tr_checkpoint *c, const bool *joined, struct tr_tensor *weights,
                         int64_t count) {
    int64_t kept = 0;
    for (int64_t i = 0; i < c->tensor_count; i++)
        if (!joined[i])
            c->tensors[kept++] = c->tensors[i];
    memcpy(c->tensors + kept, weights, (size_t)count * sizeof *weights);
    c->tensor_count = kept + count;
}

static enum tr_status join_all(struct joining *j, struct tr_tensor *weights) {
    struct tr_checkpoint *c = j->checkpoint;
    enum tr_status status = TR_OK;
    int64_t count = 0;
    for (int64_t i = 0; i < c->tensor_count && status == TR_OK; i++)
        if (is_codes(j, &c->tensors[i])) {
            status = j->scheme.floats
                         ? tr_float_blocks_join(c, i, j->joined, &weights[count], j->err)
                         : make_weight(j, i, &weights[count]);
            count += status == TR_OK;
        }
    if (status == TR_OK)
        put_in_place(c, j->joined, weights, count);
    else
        while (count)
            free(weights[--count].packed);
    return status;
}

static enum tr_status join_by_scheme(struct joining *j) {
    uint64_t count = (uint64_t)j->checkpoint->tensor_count;
    struct tr_tensor *weights;
    TR_TRY(TR_NEW(&j->joined, count, "the table of tensors", j->err));
    enum tr_status status = TR_NEW(&weights, count, "the table of tensors", j->err);
    if (status == TR_OK) {
        status = join_all(j, weights);
        free(weights);
    }
    free(j->joined);
    return status;
}

enum tr_status tr_checkpoint_join_packed(struct tr_checkpoint *checkpoint, struct tr_err *err) {
    struct joining j = {.checkpoint = checkpoint, .err = err};
    json_t *root;
    if (!memmem(checkpoint->config, checkpoint->config_size, "quantization_config", 19))
        return TR_OK;
    TR_TRY(tr_json_parse(&root, checkpoint->config, checkpoint->config_size,
                         checkpoint->config_path, err));
    enum tr_status status = tr_packed_scheme_read(&j.scheme, root, checkpoint->config_path, err);
    json_decref(root);
    TR_TRY(status);
    return j.scheme.layout || j.scheme.floats ? join_by_scheme(&j) : TR_OK;
}

const struct tr_tensor *tr_tensor_stored(const struct tr_tensor *tensor, int *count_p) {
    *count_p = tensor->packed ? tensor->packed->count : 1;
    return tensor->packed ? tensor->packed->parts : tensor;
}

uint64_t tr_tensor_stored_bytes(const struct tr_tensor *tensor) {
    int count;
    const struct tr_tensor *stored = tr_tensor_stored(tensor, &count);
    uint64_t bytes = 0;
    for (int i = 0; i < count; i++)
        bytes += stored[i].bytes;
    return bytes;
}

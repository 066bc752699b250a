// SPDX-License-Identifier: Apache-2.0
#include "float_blocks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

enum { BLOCK = 32, BLOCK_BYTES = 16, BLOCKS_AT_ONCE = 1 << 15, NOT_A_NUMBER = 255, BIAS = 127 };
enum { BLOCKS_PART, SCALES_PART, PARTS };

static const char blocks_ending[] = "_blocks", scales_ending[] = "_scales";

bool tr_is_float_blocks(const struct tr_tensor *tensor) {
    size_t size = strlen(tensor->name), tail = strlen(blocks_ending);
    return size > tail && !strcmp(tensor->name + size - tail, blocks_ending);
}

// ---- joining -----------------------------------------------------------------------------------

// The shape of the scales with, for blocks, the bytes of one behind it.
static bool are_fitting(const struct tr_tensor *blocks, const struct tr_tensor *scales) {
    int dims = scales->dims;
    return !strcmp(blocks->dtype_text, "U8") && !strcmp(scales->dtype_text, "U8") && dims >= 1 &&
           blocks->dims == dims + 1 && blocks->shape[dims] == BLOCK_BYTES &&
           !memcmp(blocks->shape, scales->shape, (size_t)dims * sizeof *scales->shape);
}

static struct tr_tensor tensor_of(struct tr_packed *packed, const char *name) {
    const struct tr_tensor *blocks = &packed->parts[BLOCKS_PART];
    struct tr_tensor weight = {.name = name,
                               .dtype = TR_BF16,
                               .dtype_text = "BF16",
                               .dims = blocks->dims - 1,
                               .bytes = blocks->bytes * 4, // 16 bits of each 4
                               .piece = blocks->piece,
                               .unwrapped = blocks->unwrapped,
                               .packed = packed};
    memcpy(weight.shape, blocks->shape, (size_t)weight.dims * sizeof *weight.shape);
    weight.shape[weight.dims - 1] *= BLOCK;
    return weight;
}

static enum tr_status find_names(struct tr_checkpoint *c, const struct tr_tensor *blocks,
                                 const char **name_p, const struct tr_tensor **scales_p,
                                 struct tr_err *err) {
    const char *file = c->files[blocks->piece.file].path;
    int length = (int)(strlen(blocks->name) - strlen(blocks_ending));
    char name[512], scales[512];
    if (snprintf(scales, sizeof scales, "%.*s%s", length, blocks->name, scales_ending) >=
        (int)sizeof scales)
        return tr_fail(err, TR_EUNSUPPORTED, "%s: the name %s is too long", file, blocks->name);
    snprintf(name, sizeof name, "%.*s", length, blocks->name);
    *scales_p = tr_checkpoint_find(c, scales);
    if (!*scales_p)
        return tr_fail(err, TR_EFORMAT, "%s: tensor %s is missing, which %s needs", file, scales,
                       blocks->name);
    if (tr_checkpoint_find(c, name))
        return tr_fail(err, TR_EFORMAT, "%s has both %s and its quantized form", c->folder, name);
    if (!are_fitting(blocks, *scales_p))
        return tr_fail(err, TR_EFORMAT, "%s: tensors %s and %s do not make a weight of mxfp4", file,
                       blocks->name, scales);
    return tr_checkpoint_keep(c, name, name_p, err);
}

// A part that is there twice would be read from one of two places.
static enum tr_status check_once(const struct tr_checkpoint *c, int64_t at, struct tr_err *err) {
    bool again =
        (at > 0 && !strcmp(c->tensors[at - 1].name, c->tensors[at].name)) ||
        (at + 1 < c->tensor_count && !strcmp(c->tensors[at + 1].name, c->tensors[at].name));
    return again ? tr_fail(err, TR_EFORMAT,
                           "%s: tensor %s, a part of a quantized weight, is there more than once",
                           c->folder, c->tensors[at].name)
                 : TR_OK;
}

enum tr_status tr_float_blocks_join(struct tr_checkpoint *checkpoint, int64_t at, bool *joined,
                                    struct tr_tensor *weight, struct tr_err *err) {
    const struct tr_tensor *blocks = &checkpoint->tensors[at], *scales = NULL;
    struct tr_packed *packed;
    const char *name;
    TR_TRY(find_names(checkpoint, blocks, &name, &scales, err));
    TR_TRY(check_once(checkpoint, at, err));
    TR_TRY(check_once(checkpoint, scales - checkpoint->tensors, err));
    TR_TRY(TR_NEW(&packed, 1, "a quantized weight", err));
    packed->scheme.floats = true;
    packed->count = PARTS;
    packed->parts[BLOCKS_PART] = *blocks;
    packed->parts[SCALES_PART] = *scales;
    for (int part = 0; part < TR_PACKED_PARTS; part++)
        packed->place[part] = -1;
    joined[at] = joined[scales - checkpoint->tensors] = true;
    *weight = tensor_of(packed, name);
    return TR_OK;
}

// ---- values ------------------------------------------------------------------------------------

// Exact: of the 24 bits of an f32 these values have 2.
static uint16_t bf16_of(int code, int scale) {
    static const float magnitudes[8] = {0, 0.5F, 1, 1.5F, 2, 3, 4, 6};
    float value = scale == NOT_A_NUMBER ? NAN : ldexpf(magnitudes[code & 7], scale - BIAS);
    uint32_t bits;
    value = code & 8 ? -value : value;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)(bits >> 16);
}

static void expand(const uint8_t *blocks, const uint8_t *scales, int64_t count, uint16_t *values) {
    for (int64_t b = 0; b < count; b++) {
        uint16_t of_code[16];
        for (int code = 0; code < 16; code++)
            of_code[code] = bf16_of(code, scales[b]);
        for (int64_t i = 0; i < BLOCK_BYTES; i++) {
            uint8_t pair = blocks[b * BLOCK_BYTES + i];
            values[b * BLOCK + 2 * i] = of_code[pair & 15];
            values[b * BLOCK + 2 * i + 1] = of_code[pair >> 4];
        }
    }
}

// What is read at once.
struct stretch {
    uint8_t blocks[BLOCKS_AT_ONCE * BLOCK_BYTES], scales[BLOCKS_AT_ONCE];
    uint16_t values[BLOCKS_AT_ONCE * BLOCK];
};

static enum tr_status read_stretch(struct tr_checkpoint *checkpoint, const struct tr_packed *packed,
                                   struct stretch *s, uint64_t first, uint64_t count,
                                   struct tr_err *err) {
    TR_TRY(tr_checkpoint_read(checkpoint, &packed->parts[BLOCKS_PART], first * BLOCK_BYTES,
                              s->blocks, (size_t)count * BLOCK_BYTES, err));
    TR_TRY(tr_checkpoint_read(checkpoint, &packed->parts[SCALES_PART], first, s->scales,
                              (size_t)count, err));
    expand(s->blocks, s->scales, (int64_t)count, s->values);
    return TR_OK;
}

enum tr_status tr_float_blocks_read(struct tr_checkpoint *checkpoint,
                                    const struct tr_tensor *tensor, uint64_t begin, void *bytes,
                                    size_t size, struct tr_err *err) {
    const uint64_t each = BLOCK * sizeof(uint16_t), end = begin + size;
    struct stretch *s;
    enum tr_status status = TR_OK;
    TR_TRY(TR_NEW(&s, 1, tensor->name, err));
    for (uint64_t first = begin / each; first * each < end && status == TR_OK;) {
        uint64_t needed = (end + each - 1) / each - first;
        uint64_t count = needed < BLOCKS_AT_ONCE ? needed : BLOCKS_AT_ONCE;
        uint64_t from = first * each, to = from + count * each;
        uint64_t low = begin > from ? begin : from, high = end < to ? end : to;
        status = read_stretch(checkpoint, tensor->packed, s, first, count, err);
        if (status == TR_OK)
            memcpy((char *)bytes + (low - begin), (char *)s->values + (low - from),
                   (size_t)(high - low));
        first += count;
    }
    free(s);
    return status;
}

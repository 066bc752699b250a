// SPDX-License-Identifier: Apache-2.0
#include "part.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/strings.h"

// A file is a line of text, the digest of what is behind it, and tensors, each a record with its
// name and arrays behind it. It is read on the kind of machine that wrote it.
static const char magic[] = "trace-quant part 1";

struct record {
    int64_t name_size, out, in, bits, symmetric, group_size, groups, ordered, scale_dtype, count;
    int64_t rows;
    double error, damping;
};

enum tr_status tr_part_add(struct tr_quantized **tensor_p, struct tr_part *part, const char *name,
                           struct tr_err *err) {
    TR_TRY(tr_grow((void **)&part->tensors, &part->capacity, (uint64_t)part->count + 1,
                   sizeof *part->tensors, "a block's weights", err));
    struct tr_quantized *tensor = &part->tensors[part->count];
    *tensor = (struct tr_quantized){0};
    TR_TRY(tr_strdup(&tensor->name, name, err));
    part->count++;
    *tensor_p = tensor;
    return TR_OK;
}

struct tr_quantized *tr_part_find(const struct tr_part *part, const char *name) {
    for (int64_t i = 0; i < part->count; i++)
        if (!strcmp(part->tensors[i].name, name))
            return &part->tensors[i];
    return NULL;
}

void tr_part_free(struct tr_part *part) {
    for (int64_t i = 0; i < part->count; i++) {
        free(part->tensors[i].name);
        free(part->tensors[i].values);
        tr_codes_free(&part->tensors[i].codes);
    }
    free(part->tensors);
    *part = (struct tr_part){0};
}

// ---- both ways ---------------------------------------------------------------------------------

struct array {
    void *data;
    size_t size;
};

static void arrays_of(struct array arrays[5], const struct tr_quantized *t) {
    const struct tr_codes *c = &t->codes;
    size_t scales = (size_t)(c->out * c->groups);
    arrays[0] = (struct array){c->code, (size_t)(c->out * c->in)};
    arrays[1] = (struct array){c->scale, scales * sizeof *c->scale};
    arrays[2] = (struct array){c->zero, scales};
    arrays[3] = (struct array){c->group_of, c->group_of ? (size_t)c->in * sizeof *c->group_of : 0};
    arrays[4] = (struct array){t->values, (size_t)t->count * sizeof *t->values};
}

static enum tr_status append(struct tr_string *bytes, const struct tr_quantized *t,
                             struct tr_err *err) {
    const struct tr_codes *c = &t->codes;
    struct array arrays[5];
    struct record record = {.name_size = (int64_t)strlen(t->name),
                            .out = c->out,
                            .in = c->in,
                            .bits = c->bits,
                            .symmetric = c->symmetric,
                            .group_size = c->group_size,
                            .groups = c->groups,
                            .ordered = c->group_of != NULL,
                            .scale_dtype = c->scale_dtype,
                            .count = t->count,
                            .rows = t->rows,
                            .error = t->error,
                            .damping = t->damping};
    TR_TRY(tr_string_append(bytes, &record, sizeof record, err));
    TR_TRY(tr_string_append(bytes, t->name, (size_t)record.name_size, err));
    arrays_of(arrays, t);
    for (int i = 0; i < 5; i++)
        TR_TRY(tr_string_append(bytes, arrays[i].data ? arrays[i].data : "", arrays[i].size, err));
    return TR_OK;
}

enum tr_status tr_part_write(const struct tr_part *part, const char *path, const char *identity,
                             struct tr_err *err) {
    static const char unknown[TR_DIGEST_MAX - 1] = "";
    struct tr_string file = {0};
    char digest[TR_DIGEST_MAX];
    enum tr_status status = tr_string_format(&file, err, "%s\n%s\n", magic, identity);
    size_t at = file.size;
    if (status == TR_OK)
        status = tr_string_append(&file, unknown, sizeof unknown, err);
    if (status == TR_OK)
        status = tr_string_append(&file, "\n", 1, err);
    size_t body = file.size;
    for (int64_t i = 0; i < part->count && status == TR_OK; i++)
        status = append(&file, &part->tensors[i], err);
    if (status == TR_OK) {
        tr_digest_bytes(file.data + body, file.size - body, digest);
        memcpy(file.data + at, digest, sizeof unknown);
        status = tr_file_replace(path, file.data, file.size, err);
    }
    tr_string_free(&file);
    return status;
}

// ---- reading -----------------------------------------------------------------------------------

struct reading {
    const char *path, *bytes;
    size_t size, at;
};

static enum tr_status damaged(const struct reading *r, struct tr_err *err) {
    return tr_fail(err, TR_EFORMAT, "%s is damaged: remove it, and its block is done again",
                   r->path);
}

static enum tr_status take(struct reading *r, void *to, size_t size, struct tr_err *err) {
    if (size > r->size - r->at)
        return damaged(r, err);
    memcpy(to, r->bytes + r->at, size);
    r->at += size;
    return TR_OK;
}

static bool is_shape(const struct record *r, size_t left) {
    if (r->name_size < 1 || (size_t)r->name_size > left || r->count < 0 || (size_t)r->count > left)
        return false;
    if (r->count)
        return true;
    return r->out >= 1 && r->in >= 1 && (size_t)r->out <= left &&
           (size_t)r->in <= left / (size_t)r->out && (r->bits == 4 || r->bits == 8) &&
           r->group_size >= 1 && r->group_size <= r->in && r->scale_dtype >= TR_F32 &&
           r->scale_dtype <= TR_BF16;
}

static enum tr_status read_arrays(struct reading *r, struct tr_quantized *t,
                                  const struct record *record, struct tr_err *err) {
    struct array arrays[5];
    t->count = record->count;
    t->rows = record->rows;
    t->error = record->error;
    t->damping = record->damping;
    if (record->count) {
        TR_TRY(TR_NEW(&t->values, record->count, "a tensor's values", err));
    } else {
        TR_TRY(tr_codes_new(&t->codes, record->out, record->in, (int)record->bits,
                            record->group_size, record->ordered != 0, t->name, err));
        t->codes.symmetric = record->symmetric != 0;
        t->codes.scale_dtype = (enum tr_dtype)record->scale_dtype;
    }
    arrays_of(arrays, t);
    for (int i = 0; i < 5; i++)
        if (arrays[i].size)
            TR_TRY(take(r, arrays[i].data, arrays[i].size, err));
    return TR_OK;
}

static enum tr_status read_tensor(struct reading *r, struct tr_part *part, struct tr_err *err) {
    struct record record;
    struct tr_quantized *tensor;
    char name[512] = "";
    TR_TRY(take(r, &record, sizeof record, err));
    if (!is_shape(&record, r->size - r->at) || (size_t)record.name_size >= sizeof name)
        return damaged(r, err);
    TR_TRY(take(r, name, (size_t)record.name_size, err));
    TR_TRY(tr_part_add(&tensor, part, name, err));
    return read_arrays(r, tensor, &record, err);
}

static enum tr_status read_head(struct reading *r, const char *identity, struct tr_err *err) {
    struct tr_string head = {0};
    char digest[TR_DIGEST_MAX], found[TR_DIGEST_MAX] = "";
    TR_TRY(tr_string_format(&head, err, "%s\n%s\n", magic, identity));
    bool same = r->size >= head.size + TR_DIGEST_MAX && !memcmp(r->bytes, head.data, head.size);
    r->at = head.size;
    tr_string_free(&head);
    if (!same)
        return tr_fail(err, TR_ECONFLICT,
                       "%s is of another job (source, text, device or options differ): --fresh "
                       "begins anew",
                       r->path);
    TR_TRY(take(r, found, TR_DIGEST_MAX - 1, err));
    r->at++; // the line's end
    tr_digest_bytes(r->bytes + r->at, r->size - r->at, digest);
    return strcmp(digest, found) ? damaged(r, err) : TR_OK;
}

enum tr_status tr_part_read(struct tr_part *part, const char *path, const char *identity,
                            bool *found_p, struct tr_err *err) {
    struct reading r = {.path = path};
    struct tr_part made = {0};
    char *bytes;
    *found_p = tr_file_exists(path);
    if (!*found_p)
        return TR_OK;
    TR_TRY(tr_file_load(path, UINT64_MAX >> 1, &bytes, &r.size, err));
    r.bytes = bytes;
    enum tr_status status = read_head(&r, identity, err);
    while (status == TR_OK && r.at < r.size)
        status = read_tensor(&r, &made, err);
    free(bytes);
    if (status == TR_OK)
        *part = made;
    else
        tr_part_free(&made);
    return status;
}

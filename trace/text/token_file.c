// SPDX-License-Identifier: Apache-2.0
// Files of token ids. Raw and .npy files may be far larger than memory: only the rows that are used
// are read.
#include "token_file.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "jsonl.h"

static const uint64_t jsonl_limit = UINT64_C(4) << 30;

bool tr_has_extension(const char *path, const char *extension) {
    size_t length = strlen(path), tail = strlen(extension);
    return length > tail && !strcasecmp(path + length - tail, extension);
}

enum tr_status tr_refuse_compressed(const char *path, struct tr_err *err) {
    static const struct {
        const char *extension, *advice;
    } rows[] = {
        {".zst", "zstd -d"}, {".gz", "gunzip -k"}, {".xz", "unxz -k"}, {".bz2", "bunzip2 -k"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (tr_has_extension(path, rows[i].extension))
            return tr_fail(err, TR_EUSAGE, "%s is compressed; unpack it first: %s %s", path,
                           rows[i].advice, path);
    return TR_OK;
}

struct collector {
    int64_t *values;
    uint64_t count, capacity;
    int64_t lines, first_length;
    bool equal; // all lines so far have first_length ids
};

static enum tr_status collect(void *user, const json_t *object, const char *what, bool *more_p,
                              struct tr_err *err) {
    (void)more_p;
    struct collector *c = user;
    const json_t *ids = json_object_get(object, "input_ids");
    if (!json_is_array(ids))
        return tr_fail(err, TR_EFORMAT, "%s has no array \"input_ids\"", what);
    size_t length = json_array_size(ids);
    TR_TRY(tr_grow((void **)&c->values, &c->capacity, c->count + length, sizeof *c->values,
                   "token ids", err));
    for (size_t i = 0; i < length; i++) {
        const json_t *id = json_array_get(ids, i);
        if (!json_is_integer(id))
            return tr_fail(err, TR_EFORMAT, "%s: \"input_ids\" must be integers, item %zu is not",
                           what, i);
        c->values[c->count++] = json_integer_value(id);
    }
    if (!c->lines++)
        c->first_length = (int64_t)length;
    c->equal = (c->lines == 1 || c->equal) && c->first_length == (int64_t)length;
    return TR_OK;
}

enum tr_status tr_token_jsonl_parse(struct tr_token_layout *layout, int64_t **values_p,
                                    const char *bytes, size_t size, const char *path,
                                    struct tr_err *err) {
    struct collector c = {0};
    enum tr_status status = tr_jsonl_each(bytes, size, path, collect, &c, err);
    if (status == TR_OK && !c.count)
        status = tr_fail(err, TR_EUSAGE, "%s holds no tokens", path);
    if (status != TR_OK) {
        free(c.values);
        return status;
    }
    bool rows = c.equal && c.lines > 1;
    *layout = (struct tr_token_layout){.type = tr_token_type_find("<i8"),
                                       .rows = rows ? c.lines : 0,
                                       .columns = rows ? c.first_length : (int64_t)c.count};
    *values_p = c.values;
    return TR_OK;
}

static enum tr_status open_jsonl(struct tr_token_file *file, struct tr_err *err) {
    char *bytes;
    size_t size;
    TR_TRY(tr_file_load(file->path, jsonl_limit, &bytes, &size, err));
    enum tr_status status =
        tr_token_jsonl_parse(&file->layout, &file->values, bytes, size, file->path, err);
    free(bytes);
    return status;
}

static enum tr_status parse_npy(struct tr_token_file *file, const char *head, size_t size,
                                uint64_t file_size, struct tr_err *err) {
    return tr_npy_parse(&file->layout, head, size, file_size, file->path, err);
}

static enum tr_status parse_raw(struct tr_token_file *file, uint64_t file_size, const char *descr,
                                struct tr_err *err) {
    const struct tr_token_type *type = tr_token_type_find(descr);
    if (!file_size)
        return tr_fail(err, TR_EUSAGE, "%s holds no tokens", file->path);
    if (file_size % (uint64_t)type->size)
        return tr_fail(err, TR_EFORMAT, "%s has %llu bytes, which is no multiple of %d", file->path,
                       (unsigned long long)file_size, type->size);
    file->layout = (struct tr_token_layout){.type = type,
                                            .columns = (int64_t)(file_size / (uint64_t)type->size)};
    return TR_OK;
}

static enum tr_status parse_u16(struct tr_token_file *file, const char *head, size_t size,
                                uint64_t file_size, struct tr_err *err) {
    // llm.c writes 256 x int32 before the ids, the first of them 20240520 or 20240801.
    static const unsigned char llmc[][4] = {{0x88, 0xd8, 0x34, 0x01}, {0xa1, 0xd9, 0x34, 0x01}};
    for (int i = 0; i < 2; i++)
        if (size >= 1024 && !memcmp(head, llmc[i], 4))
            return tr_fail(err, TR_EUNSUPPORTED,
                           "%s has the header of llm.c; cut it off: tail -c +1025 %s > ids.u%d",
                           file->path, file->path, i ? 32 : 16);
    return parse_raw(file, file_size, "<u2", err);
}

static enum tr_status parse_u32(struct tr_token_file *file, const char *head, size_t size,
                                uint64_t file_size, struct tr_err *err) {
    (void)head;
    (void)size;
    return parse_raw(file, file_size, "<u4", err);
}

// Opens the file in place and reads what a header can need of it.
static enum tr_status open_in_place(struct tr_token_file *file, char **head_p, size_t *size_p,
                                    uint64_t *file_size_p, struct tr_err *err) {
    struct stat info;
    TR_TRY(tr_file_open(file->path, &file->fd, &info, err));
    uint64_t file_size = (uint64_t)info.st_size;
    size_t size = file_size < TR_NPY_HEADER_MAX ? (size_t)file_size : TR_NPY_HEADER_MAX;
    TR_TRY(TR_NEW(head_p, size, "the start of a token file", err));
    *size_p = size;
    *file_size_p = file_size;
    TR_TRY(tr_file_read_at(file->fd, file->path, 0, *head_p, size, err));
    return tr_refuse_lfs_pointer(file->path, *head_p, size, err);
}

static enum tr_status parse_in_place(struct tr_token_file *file, struct tr_err *err) {
    static const struct {
        const char *extension;
        enum tr_status (*parse)(struct tr_token_file *file, const char *head, size_t size,
                                uint64_t file_size, struct tr_err *err);
    } rows[] = {{".npy", parse_npy}, {".u16", parse_u16}, {".bin", parse_u16}, {".u32", parse_u32}};
    char *head = NULL;
    size_t size = 0, row = 0;
    uint64_t file_size = 0;
    enum tr_status status = open_in_place(file, &head, &size, &file_size, err);
    while (row < 4 && !tr_has_extension(file->path, rows[row].extension))
        row++;
    if (status == TR_OK && tr_is_npy(head, size))
        row = 0;
    if (status == TR_OK)
        status = row < 4 ? rows[row].parse(file, head, size, file_size, err)
                         : tr_fail(err, TR_EUSAGE,
                                   "%s: token files end in .npy, .jsonl, .u16, .bin (uint16) or "
                                   ".u32",
                                   file->path);
    free(head);
    return status;
}

enum tr_status tr_token_file_open(struct tr_token_file *file, const char *path,
                                  struct tr_err *err) {
    struct tr_token_file opened = {.path = path, .fd = -1};
    TR_TRY(tr_refuse_compressed(path, err));
    enum tr_status status =
        tr_has_extension(path, ".jsonl") ? open_jsonl(&opened, err) : parse_in_place(&opened, err);
    if (status == TR_OK)
        *file = opened;
    else
        tr_token_file_close(&opened);
    return status;
}

void tr_token_file_close(struct tr_token_file *file) {
    if (file->fd >= 0)
        close(file->fd);
    free(file->values);
    *file = (struct tr_token_file){.fd = -1};
}

static int64_t id_at(const unsigned char *bytes, const struct tr_token_type *type) {
    uint64_t value = 0;
    for (int i = 0; i < type->size; i++)
        value |= (uint64_t)bytes[i] << 8 * i;
    if (type->is_signed && type->size == 4)
        return (int32_t)value;
    return (int64_t)value;
}

enum tr_status tr_token_file_read(const struct tr_token_file *file, int64_t first, int64_t count,
                                  int64_t *out, struct tr_err *err) {
    if (file->values) {
        memcpy(out, file->values + first, (size_t)count * sizeof *out);
        return TR_OK;
    }
    unsigned char *bytes;
    size_t width = (size_t)file->layout.type->size;
    TR_TRY(TR_NEW(&bytes, (uint64_t)count * width, "token ids", err));
    enum tr_status status =
        tr_file_read_at(file->fd, file->path, file->layout.offset + (uint64_t)first * width, bytes,
                        (size_t)count * width, err);
    for (int64_t i = 0; i < count && status == TR_OK; i++)
        out[i] = id_at(bytes + (size_t)i * width, file->layout.type);
    free(bytes);
    return status;
}

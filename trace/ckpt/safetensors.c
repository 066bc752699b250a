// SPDX-License-Identifier: Apache-2.0
#include "safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "scan.h"

// Every dtype of the format, in the order in which the public library puts tensors into a file.
// Sub-byte types pack their elements without padding.
static const struct {
    const char *text;
    uint64_t bits;
    enum tr_dtype dtype;
} dtypes[] = {
    {"U64", 64, TR_OTHER_DTYPE},
    {"I64", 64, TR_OTHER_DTYPE},
    {"F64", 64, TR_F64},
    {"C64", 64, TR_OTHER_DTYPE},
    {"F32", 32, TR_F32},
    {"U32", 32, TR_OTHER_DTYPE},
    {"I32", 32, TR_OTHER_DTYPE},
    {"BF16", 16, TR_BF16},
    {"F16", 16, TR_F16},
    {"U16", 16, TR_OTHER_DTYPE},
    {"I16", 16, TR_OTHER_DTYPE},
    {"F8_E5M2FNUZ", 8, TR_OTHER_DTYPE},
    {"F8_E4M3FNUZ", 8, TR_OTHER_DTYPE},
    {"F8_E8M0", 8, TR_OTHER_DTYPE},
    {"F8_E4M3", 8, TR_OTHER_DTYPE},
    {"F8_E5M2", 8, TR_OTHER_DTYPE},
    {"I8", 8, TR_OTHER_DTYPE},
    {"U8", 8, TR_OTHER_DTYPE},
    {"F6_E3M2", 6, TR_OTHER_DTYPE},
    {"F6_E2M3", 6, TR_OTHER_DTYPE},
    {"F4", 4, TR_OTHER_DTYPE},
    {"BOOL", 8, TR_OTHER_DTYPE},
};
enum { DTYPES = sizeof dtypes / sizeof *dtypes };

int tr_safetensors_rank(const char *dtype_text) {
    for (int i = 0; i < DTYPES; i++)
        if (!strcmp(dtype_text, dtypes[i].text))
            return i;
    return -1;
}

bool tr_safetensors_bytes(int rank, int dims, const int64_t *shape, uint64_t *bytes_p) {
    uint64_t bits = dtypes[rank].bits;
    bool fits = true;
    for (int i = 0; i < dims; i++)
        fits = fits && shape[i] >= 0 && tr_mul(bits, (uint64_t)shape[i], &bits);
    *bytes_p = bits / 8;
    return fits && bits % 8 == 0;
}

struct header {
    struct tr_scan scan;
    const char *path;
    char *names; // decoded names, one after the other, each 0-terminated
    char *to;    // where the next one goes; each takes no more than it takes in the JSON
    struct tr_tensor *tensors;
    int64_t count;
    uint64_t capacity;
};

static enum tr_status read_dtype(struct header *header, struct tr_tensor *tensor,
                                 struct tr_err *err) {
    char *text = header->to; // scratch: the next name overwrites it
    TR_TRY(tr_scan_string(&header->scan, text, NULL, err));
    int rank = tr_safetensors_rank(text);
    if (rank < 0)
        return tr_fail(err, TR_EUNSUPPORTED, "%s: tensor %s has the unknown dtype \"%.32s\"",
                       header->path, tensor->name, text);
    strcpy(tensor->dtype_text, dtypes[rank].text);
    tensor->dtype = dtypes[rank].dtype;
    return TR_OK;
}

static enum tr_status read_shape(struct header *header, struct tr_tensor *tensor,
                                 struct tr_err *err) {
    struct tr_scan *scan = &header->scan;
    TR_TRY(tr_scan_expect(scan, '[', err));
    if (tr_scan_try(scan, ']'))
        return TR_OK;
    do {
        uint64_t size;
        TR_TRY(tr_scan_u64(scan, &size, err));
        if (tensor->dims == TR_MAX_DIMS)
            return tr_fail(err, TR_EUNSUPPORTED, "%s: tensor %s has more than %d dimensions",
                           header->path, tensor->name, TR_MAX_DIMS);
        if (size > INT64_MAX)
            return tr_fail(err, TR_EFORMAT, "%s: tensor %s: dimension %d is %" PRIu64, header->path,
                           tensor->name, tensor->dims, size);
        tensor->shape[tensor->dims++] = (int64_t)size;
    } while (tr_scan_try(scan, ','));
    return tr_scan_expect(scan, ']', err);
}

// Leaves the range relative to the data; validate() makes it one of the file.
static enum tr_status read_offsets(struct header *header, struct tr_tensor *tensor,
                                   struct tr_err *err) {
    struct tr_scan *scan = &header->scan;
    uint64_t begin, end;
    TR_TRY(tr_scan_expect(scan, '[', err));
    TR_TRY(tr_scan_u64(scan, &begin, err));
    TR_TRY(tr_scan_expect(scan, ',', err));
    TR_TRY(tr_scan_u64(scan, &end, err));
    TR_TRY(tr_scan_expect(scan, ']', err));
    if (end < begin)
        return tr_fail(err, TR_EFORMAT,
                       "%s: tensor %s ends (%" PRIu64 ") before it begins (%" PRIu64 ")",
                       header->path, tensor->name, end, begin);
    tensor->piece.offset = begin;
    tensor->bytes = end - begin;
    return TR_OK;
}

static const struct {
    const char *key;
    enum tr_status (*read)(struct header *, struct tr_tensor *, struct tr_err *);
} members[] = {{"dtype", read_dtype}, {"shape", read_shape}, {"data_offsets", read_offsets}};
enum { MEMBERS = sizeof members / sizeof *members, ALL_MEMBERS = (1 << MEMBERS) - 1 };

static enum tr_status read_member(struct header *header, struct tr_tensor *tensor, int *seen,
                                  struct tr_err *err) {
    char *key = header->to; // scratch
    TR_TRY(tr_scan_string(&header->scan, key, NULL, err));
    TR_TRY(tr_scan_expect(&header->scan, ':', err));
    int i = 0;
    while (i < MEMBERS && strcmp(key, members[i].key))
        i++;
    if (i == MEMBERS)
        return tr_fail(err, TR_EFORMAT, "%s: tensor %s has the unknown member \"%.32s\"",
                       header->path, tensor->name, key);
    if (*seen & 1 << i)
        return tr_fail(err, TR_EFORMAT, "%s: tensor %s has two members \"%s\"", header->path,
                       tensor->name, key);
    *seen |= 1 << i;
    return members[i].read(header, tensor, err);
}

static enum tr_status read_tensor(struct header *header, const char *name, struct tr_err *err) {
    struct tr_tensor tensor = {.name = name};
    int seen = 0;
    TR_TRY(tr_scan_expect(&header->scan, '{', err));
    do
        TR_TRY(read_member(header, &tensor, &seen, err));
    while (tr_scan_try(&header->scan, ','));
    TR_TRY(tr_scan_expect(&header->scan, '}', err));
    for (int i = 0; i < MEMBERS; i++)
        if (!(seen & 1 << i))
            return tr_fail(err, TR_EFORMAT, "%s: tensor %s has no \"%s\"", header->path, name,
                           members[i].key);
    TR_TRY(tr_grow((void **)&header->tensors, &header->capacity, (uint64_t)header->count + 1,
                   sizeof *header->tensors, "the table of tensors", err));
    header->tensors[header->count++] = tensor;
    return TR_OK;
}

// "__metadata__": a map of strings to strings, which nothing here needs, or null.
static enum tr_status read_metadata(struct header *header, struct tr_err *err) {
    struct tr_scan *scan = &header->scan;
    if (tr_scan_try_null(scan))
        return TR_OK;
    TR_TRY(tr_scan_expect(scan, '{', err));
    if (tr_scan_try(scan, '}'))
        return TR_OK;
    do {
        TR_TRY(tr_scan_string(scan, header->to, NULL, err));
        TR_TRY(tr_scan_expect(scan, ':', err));
        TR_TRY(tr_scan_string(scan, header->to, NULL, err));
    } while (tr_scan_try(scan, ','));
    return tr_scan_expect(scan, '}', err);
}

static enum tr_status read_header(struct header *header, struct tr_err *err) {
    struct tr_scan *scan = &header->scan;
    bool metadata = false;
    TR_TRY(tr_scan_expect(scan, '{', err));
    if (tr_scan_try(scan, '}'))
        return tr_scan_finish(scan, err);
    do {
        size_t length;
        char *name = header->to;
        TR_TRY(tr_scan_string(scan, name, &length, err));
        TR_TRY(tr_scan_expect(scan, ':', err));
        if (strcmp(name, "__metadata__")) {
            header->to += length + 1;
            TR_TRY(read_tensor(header, name, err));
        } else if (metadata) {
            return tr_fail(err, TR_EFORMAT, "%s: the header has two \"__metadata__\"",
                           header->path);
        } else {
            metadata = true;
            TR_TRY(read_metadata(header, err));
        }
    } while (tr_scan_try(scan, ','));
    TR_TRY(tr_scan_expect(scan, '}', err));
    return tr_scan_finish(scan, err);
}

static int compare_names(const void *a, const void *b) {
    return strcmp(((const struct tr_tensor *)a)->name, ((const struct tr_tensor *)b)->name);
}

static int compare_offsets(const void *a_, const void *b_) {
    const struct tr_tensor *a = a_, *b = b_;
    int order = (a->piece.offset > b->piece.offset) - (a->piece.offset < b->piece.offset);
    return order ? order : (a->bytes > b->bytes) - (a->bytes < b->bytes);
}

static enum tr_status refuse_duplicates(const struct header *header, struct tr_err *err) {
    struct tr_tensor *tensors = header->tensors;
    if (header->count)
        qsort(tensors, (size_t)header->count, sizeof *tensors, compare_names);
    for (int64_t i = 1; i < header->count; i++)
        if (!strcmp(tensors[i - 1].name, tensors[i].name))
            return tr_fail(err, TR_EFORMAT, "%s: the header has two tensors %s", header->path,
                           tensors[i].name);
    return TR_OK;
}

static enum tr_status check_size(const struct header *header, const struct tr_tensor *tensor,
                                 struct tr_err *err) {
    uint64_t bits = dtypes[tr_safetensors_rank(tensor->dtype_text)].bits;
    bool fits = true;
    for (int i = 0; i < tensor->dims; i++)
        fits = fits && tr_mul(bits, (uint64_t)tensor->shape[i], &bits);
    if (!fits)
        return tr_fail(err, TR_EFORMAT, "%s: the shape of tensor %s overflows", header->path,
                       tensor->name);
    if (bits % 8)
        return tr_fail(err, TR_EFORMAT, "%s: tensor %s does not fill whole bytes", header->path,
                       tensor->name);
    if (bits / 8 != tensor->bytes)
        return tr_fail(err, TR_EFORMAT,
                       "%s: tensor %s: its shape and dtype take %" PRIu64 " bytes, its offsets "
                       "%" PRIu64,
                       header->path, tensor->name, bits / 8, tensor->bytes);
    return TR_OK;
}

// The tensors must tile the data area exactly: `data_start` to the end of the file.
static enum tr_status validate(struct header *header, uint64_t data_start, uint64_t file_size,
                               struct tr_err *err) {
    uint64_t expected = 0, data_size = file_size - data_start;
    TR_TRY(refuse_duplicates(header, err));
    if (header->count)
        qsort(header->tensors, (size_t)header->count, sizeof *header->tensors, compare_offsets);
    for (int64_t i = 0; i < header->count; i++) {
        struct tr_tensor *tensor = &header->tensors[i];
        TR_TRY(check_size(header, tensor, err));
        if (tensor->piece.offset != expected)
            return tr_fail(err, TR_EFORMAT,
                           "%s: tensor %s begins at byte %" PRIu64 " of the data, %s ends at "
                           "%" PRIu64 ": %s",
                           header->path, tensor->name, tensor->piece.offset,
                           i ? tensor[-1].name : "the header", expected,
                           tensor->piece.offset < expected ? "they overlap" : "there is a hole");
        expected += tensor->bytes;
    }
    if (expected != data_size)
        return tr_fail(err, TR_EFORMAT,
                       "%s: the header describes %" PRIu64 " bytes of data, the file has %" PRIu64
                       ": it is %s",
                       header->path, expected, data_size,
                       data_size < expected ? "truncated" : "followed by something else");
    for (int64_t i = 0; i < header->count; i++)
        header->tensors[i].piece.offset += data_start;
    return TR_OK;
}

enum tr_status tr_safetensors_parse(const char *json, uint64_t size, uint64_t file_size,
                                    const char *path, struct tr_tensor **tensors_p,
                                    int64_t *count_p, char **names_p, struct tr_err *err) {
    struct header header = {.path = path};
    if (size > TR_SAFETENSORS_HEADER_LIMIT || file_size < 8 || size > file_size - 8)
        return tr_fail(err, TR_EFORMAT, "%s: a header of %" PRIu64 " bytes cannot be", path, size);
    TR_TRY(tr_scan_start(&header.scan, json, (size_t)size, path, err));
    TR_TRY(TR_NEW(&header.names, size + 1, "the tensors' names", err));
    header.to = header.names;
    enum tr_status status = read_header(&header, err);
    if (status == TR_OK)
        status = validate(&header, 8 + size, file_size, err);
    if (status != TR_OK) {
        free(header.tensors);
        free(header.names);
        return status;
    }
    *tensors_p = header.tensors;
    *count_p = header.count;
    *names_p = header.names;
    return TR_OK;
}

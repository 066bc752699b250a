// SPDX-License-Identifier: Apache-2.0
// NumPy's .npy header: magic, version, length, and a Python dictionary of three keys.
#include "npy.h"

#include <ctype.h>
#include <string.h>

#include "base/alloc.h"

static const char magic[] = "\x93NUMPY";
enum { MAGIC_SIZE = sizeof magic - 1, TEXT_MAX = 32 };

static const struct tr_token_type types[] = {
    {"<i4", 4, true}, {"<i8", 8, true}, {"<u2", 2, false}, {"<u4", 4, false}};

const struct tr_token_type *tr_token_type_find(const char *descr) {
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(types[i].descr, descr))
            return &types[i];
    return NULL;
}

int64_t tr_token_count(const struct tr_token_layout *layout) {
    return (layout->rows ? layout->rows : 1) * layout->columns;
}

bool tr_is_npy(const char *bytes, size_t size) {
    return size >= MAGIC_SIZE && !memcmp(bytes, magic, MAGIC_SIZE);
}

// The dictionary being read, and what was found in it.
struct cursor {
    const char *at, *end;
    char descr[TEXT_MAX];
    bool fortran_order;
    uint64_t shape[2];
    int dimensions;
    unsigned seen; // a bit per key
    const char *what;
    struct tr_err *err;
};

static enum tr_status malformed(const struct cursor *c, const char *problem) {
    return tr_fail(c->err, TR_EFORMAT, "%s: malformed NumPy header: %s", c->what, problem);
}

static void skip_spaces(struct cursor *c) {
    while (c->at < c->end && isspace((unsigned char)*c->at))
        c->at++;
}

// Moves past `text` when it stands here.
static bool accept(struct cursor *c, const char *text) {
    size_t size = strlen(text);
    skip_spaces(c);
    if ((size_t)(c->end - c->at) < size || memcmp(c->at, text, size))
        return false;
    c->at += size;
    return true;
}

static enum tr_status read_quoted(struct cursor *c, char out[TEXT_MAX]) {
    skip_spaces(c);
    if (c->at == c->end || (*c->at != '\'' && *c->at != '"'))
        return malformed(c, "a string was expected");
    const char *start = c->at + 1;
    const char *close = memchr(start, *c->at, (size_t)(c->end - start));
    if (!close || close - start >= TEXT_MAX)
        return malformed(c, "a string never ends");
    memcpy(out, start, (size_t)(close - start));
    out[close - start] = 0;
    c->at = close + 1;
    return TR_OK;
}

static enum tr_status read_descr(struct cursor *c) {
    if (accept(c, "["))
        return tr_fail(c->err, TR_EUNSUPPORTED, "%s holds records, not token ids", c->what);
    return read_quoted(c, c->descr);
}

static enum tr_status read_order(struct cursor *c) {
    c->fortran_order = accept(c, "True");
    return c->fortran_order || accept(c, "False") ? TR_OK
                                                  : malformed(c, "True or False was expected");
}

static enum tr_status read_shape(struct cursor *c) {
    if (!accept(c, "("))
        return malformed(c, "a shape was expected");
    while (!accept(c, ")")) {
        uint64_t value = 0;
        if (c->at == c->end || !isdigit((unsigned char)*c->at))
            return malformed(c, "a dimension was expected");
        for (; c->at < c->end && isdigit((unsigned char)*c->at); c->at++)
            if (!tr_mul(value, 10, &value) || !tr_add(value, (uint64_t)(*c->at - '0'), &value))
                return malformed(c, "a dimension is too large");
        if (c->dimensions == 2)
            return tr_fail(c->err, TR_EUNSUPPORTED,
                           "%s has more than 2 dimensions; token ids are [n] or [rows, length]",
                           c->what);
        c->shape[c->dimensions++] = value;
        accept(c, ",");
    }
    return TR_OK;
}

static enum tr_status read_dictionary(struct cursor *c) {
    static const struct {
        const char *key;
        enum tr_status (*read)(struct cursor *c);
    } rows[] = {{"descr", read_descr}, {"fortran_order", read_order}, {"shape", read_shape}};
    if (!accept(c, "{"))
        return malformed(c, "a dictionary was expected");
    while (!accept(c, "}")) {
        char key[TEXT_MAX];
        unsigned row = 0;
        TR_TRY(read_quoted(c, key));
        while (row < 3 && strcmp(rows[row].key, key))
            row++;
        if (row == 3 || c->seen & 1u << row || !accept(c, ":"))
            return malformed(c, "the keys are not descr, fortran_order and shape");
        c->seen |= 1u << row;
        TR_TRY(rows[row].read(c));
        accept(c, ",");
    }
    skip_spaces(c);
    if (c->at != c->end || c->seen != 7)
        return malformed(c, "the keys are not descr, fortran_order and shape");
    return TR_OK;
}

static enum tr_status check_type(const struct cursor *c, const struct tr_token_type **type_p) {
    const struct tr_token_type *type = tr_token_type_find(c->descr);
    const char *kind = *c->descr && strchr("<>|=", *c->descr) ? c->descr + 1 : c->descr;
    if (*kind == 'O')
        return tr_fail(c->err, TR_EUNSUPPORTED, "%s holds Python objects, not token ids", c->what);
    if (*c->descr == '>')
        return tr_fail(c->err, TR_EUNSUPPORTED,
                       "%s is big-endian (%s); save it with .astype('<i4')", c->what, c->descr);
    if (!type)
        return tr_fail(c->err, TR_EUNSUPPORTED,
                       "%s has dtype %s; token ids are int32, int64, uint16 or uint32", c->what,
                       c->descr);
    if (c->fortran_order && c->dimensions == 2)
        return tr_fail(c->err, TR_EUNSUPPORTED,
                       "%s is in Fortran order; save it with numpy.ascontiguousarray", c->what);
    *type_p = type;
    return TR_OK;
}

// Finds the dictionary behind magic, version and length; *data_p is where the ids begin.
static enum tr_status find_header(struct cursor *c, const char *bytes, size_t size,
                                  uint64_t *data_p) {
    const unsigned char *u = (const unsigned char *)bytes;
    if (!tr_is_npy(bytes, size))
        return tr_fail(c->err, TR_EFORMAT,
                       "%s has no NumPy header; a raw file of ids (OLMo's .npy are) must be named "
                       ".u16 or .u32 after its type",
                       c->what);
    if (size < 12)
        return malformed(c, "the file ends within it");
    if (u[6] < 1 || u[6] > 3)
        return tr_fail(c->err, TR_EUNSUPPORTED, "%s: NumPy format version %d.%d is not supported",
                       c->what, u[6], u[7]);
    uint64_t start = u[6] == 1 ? 10 : 12, length = u[8] | (uint64_t)u[9] << 8;
    if (u[6] > 1)
        length |= (uint64_t)u[10] << 16 | (uint64_t)u[11] << 24;
    if (length > size - start)
        return malformed(c, length > TR_NPY_HEADER_MAX - 12 ? "it is larger than 64 KiB"
                                                            : "the file ends within it");
    c->at = bytes + start;
    c->end = c->at + length;
    *data_p = start + length;
    return TR_OK;
}

enum tr_status tr_npy_parse(struct tr_token_layout *layout, const char *bytes, size_t size,
                            uint64_t file_size, const char *what, struct tr_err *err) {
    struct cursor c = {.what = what, .err = err};
    struct tr_token_layout found = {0};
    uint64_t count, data_size;
    TR_TRY(find_header(&c, bytes, size, &found.offset));
    TR_TRY(read_dictionary(&c));
    TR_TRY(check_type(&c, &found.type));
    if (!c.dimensions)
        return tr_fail(err, TR_EUNSUPPORTED, "%s holds a single value, not rows of token ids",
                       what);
    bool flat = c.dimensions == 1;
    if (!tr_mul(c.shape[0], flat ? 1 : c.shape[1], &count) || count > INT64_MAX / 8 ||
        !tr_mul(count, (uint64_t)found.type->size, &data_size) ||
        data_size != file_size - found.offset)
        return tr_fail(err, TR_EFORMAT,
                       "%s: its shape says %llu x %llu ids of %d bytes, but %llu bytes follow the "
                       "header",
                       what, (unsigned long long)c.shape[0],
                       (unsigned long long)(flat ? 1 : c.shape[1]), found.type->size,
                       (unsigned long long)(file_size - found.offset));
    if (!count)
        return tr_fail(err, TR_EUSAGE, "%s holds no tokens", what);
    found.rows = flat ? 0 : (int64_t)c.shape[0];
    found.columns = (int64_t)c.shape[flat ? 0 : 1];
    *layout = found;
    return TR_OK;
}

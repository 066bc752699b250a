// SPDX-License-Identifier: Apache-2.0
#include "wire.h"

#include <string.h>

struct tr_wire tr_wire_start(const void *bytes, size_t size) {
    const unsigned char *at = bytes;
    return (struct tr_wire){at, at + size};
}

static bool read_varint(struct tr_wire *w, uint64_t *value_p) {
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && w->at < w->end; shift += 7) {
        unsigned char byte = *w->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *value_p = value;
            return true;
        }
    }
    return false;
}

static bool read_fixed(struct tr_wire *w, size_t size, uint64_t *value_p) {
    if ((size_t)(w->end - w->at) < size)
        return false;
    *value_p = 0;
    for (size_t i = 0; i < size; i++)
        *value_p |= (uint64_t)w->at[i] << 8 * i;
    w->at += size;
    return true;
}

static bool read_bytes(struct tr_wire *w, struct tr_wire_field *field) {
    uint64_t size;
    if (!read_varint(w, &size) || size > (uint64_t)(w->end - w->at))
        return false;
    field->bytes = (const char *)w->at;
    field->size = (size_t)size;
    w->at += size;
    return true;
}

static bool read_value(struct tr_wire *w, struct tr_wire_field *field) {
    switch (field->kind) {
    case TR_WIRE_VARINT:
        return read_varint(w, &field->value);
    case TR_WIRE_FIXED64:
        return read_fixed(w, 8, &field->value);
    case TR_WIRE_FIXED32:
        return read_fixed(w, 4, &field->value);
    case TR_WIRE_BYTES:
        return read_bytes(w, field);
    default: // groups, which nobody writes any more
        return false;
    }
}

enum tr_wire_result tr_wire_next(struct tr_wire *w, struct tr_wire_field *field) {
    uint64_t key;
    if (w->at == w->end)
        return TR_WIRE_END;
    *field = (struct tr_wire_field){0};
    if (!read_varint(w, &key) || key >> 3 == 0 || key >> 3 > UINT32_MAX >> 3)
        return TR_WIRE_MALFORMED;
    field->number = (uint32_t)(key >> 3);
    field->kind = (enum tr_wire_kind)(key & 7);
    return read_value(w, field) ? TR_WIRE_FIELD : TR_WIRE_MALFORMED;
}

float tr_wire_float(const struct tr_wire_field *field) {
    uint32_t bits = (uint32_t)field->value;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

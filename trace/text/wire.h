// SPDX-License-Identifier: Apache-2.0
#ifndef TR_WIRE_H
#define TR_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Protocol Buffers' wire format: a message is fields one after another, each a number and a value.

struct tr_wire {
    const unsigned char *at, *end;
};

enum tr_wire_kind {
    TR_WIRE_VARINT = 0,
    TR_WIRE_FIXED64 = 1,
    TR_WIRE_BYTES = 2,
    TR_WIRE_FIXED32 = 5
};

struct tr_wire_field {
    uint32_t number;
    enum tr_wire_kind kind;
    uint64_t value;    // of a number of any width
    const char *bytes; // of bytes, borrowed
    size_t size;
};

// The fields of bytes[0, size).
struct tr_wire tr_wire_start(const void *bytes, size_t size);

enum tr_wire_result { TR_WIRE_END, TR_WIRE_FIELD, TR_WIRE_MALFORMED };

// Reads the next field.
enum tr_wire_result tr_wire_next(struct tr_wire *wire, struct tr_wire_field *field);

// The value of a 32-bit field as a float.
float tr_wire_float(const struct tr_wire_field *field);

#endif

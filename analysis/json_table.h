// SPDX-License-Identifier: Apache-2.0
#ifndef AN_JSON_TABLE_H
#define AN_JSON_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"

// How a struct becomes a JSON object: a row for each key. The rows are data, so that a test can
// hold them against a JSON Schema.

enum an_json_kind {
    AN_JSON_INTEGER, // int64_t
    AN_JSON_PLACE,   // int64_t; below 0 null
    AN_JSON_SIZE,    // int64_t; 0 is null
    AN_JSON_REAL,    // double, always finite
    AN_JSON_NUMBER,  // double; null unless it is finite
    AN_JSON_FLAG,    // bool
    AN_JSON_TEXT,    // char *
    AN_JSON_NAME,    // an enum, written as one of `names`
    AN_JSON_OBJECT,  // a struct, written by `table`
    AN_JSON_LIST,    // a pointer to structs, each written by `table`
    AN_JSON_MADE,    // what `make` returns
    AN_JSON_KINDS
};

struct an_json_table;

struct an_json_field {
    const char *key;
    enum an_json_kind kind;
    size_t offset; // of the member; AN_JSON_MADE: unused
    size_t count;  // AN_JSON_LIST: offset of the int64_t that counts it
    // AN_JSON_OBJECT, AN_JSON_LIST; AN_JSON_MADE: of the objects within, NULL where there are none.
    const struct an_json_table *table;
    const char *const *names; // AN_JSON_NAME: [choices]
    int64_t choices;
    // AN_JSON_MADE. NULL from it means that memory was lacking.
    json_t *(*make)(const void *item, const void *context);
    const char *made; // its type as a JSON Schema says it: "array", "string|null"
};

struct an_json_table {
    size_t size; // of the struct
    const struct an_json_field *field;
    int fields;
};

// A row for a member. It compiles only when the member has the type that the kind reads.
#define AN_FIELD(KEY, KIND, STRUCT, MEMBER)                                                        \
    {                                                                                              \
        .key = (KEY), .kind = AN_JSON_##KIND,                                                      \
        .offset = offsetof(STRUCT, MEMBER) * AN_FIELD_IS(AN_TYPE_##KIND, STRUCT, MEMBER)           \
    }
#define AN_FIELD_IS(TYPE, STRUCT, MEMBER)                                                          \
    sizeof(char[_Generic(&((STRUCT *)0)->MEMBER, TYPE * : 1, default : -1)])
#define AN_TYPE_INTEGER int64_t
#define AN_TYPE_PLACE int64_t
#define AN_TYPE_SIZE int64_t
#define AN_TYPE_REAL double
#define AN_TYPE_NUMBER double
#define AN_TYPE_FLAG bool
#define AN_TYPE_TEXT char *

#define AN_NAME(KEY, STRUCT, MEMBER, NAMES, CHOICES)                                               \
    {                                                                                              \
        .key = (KEY), .kind = AN_JSON_NAME, .offset = offsetof(STRUCT, MEMBER), .names = (NAMES),  \
        .choices = (CHOICES)                                                                       \
    }
#define AN_OBJECT(KEY, STRUCT, MEMBER, TABLE)                                                      \
    { .key = (KEY), .kind = AN_JSON_OBJECT, .offset = offsetof(STRUCT, MEMBER), .table = (TABLE) }
// Further keys of the same struct, in an object of their own.
#define AN_PART(KEY, TABLE)                                                                        \
    { .key = (KEY), .kind = AN_JSON_OBJECT, .table = (TABLE) }
#define AN_LIST(KEY, STRUCT, MEMBER, COUNT, TABLE)                                                 \
    {                                                                                              \
        .key = (KEY), .kind = AN_JSON_LIST, .offset = offsetof(STRUCT, MEMBER),                    \
        .count = offsetof(STRUCT, COUNT) * AN_FIELD_IS(int64_t, STRUCT, COUNT), .table = (TABLE)   \
    }
#define AN_MADE(KEY, MAKE, TYPE) AN_MADE_OF(KEY, MAKE, TYPE, NULL)
#define AN_MADE_OF(KEY, MAKE, TYPE, TABLE)                                                         \
    { .key = (KEY), .kind = AN_JSON_MADE, .table = (TABLE), .make = (MAKE), .made = (TYPE) }

#define AN_TABLE(STRUCT, FIELDS)                                                                   \
    { .size = sizeof(STRUCT), .field = (FIELDS), .fields = sizeof(FIELDS) / sizeof *(FIELDS) }

// The object of a struct; `context` goes to every `make`. NULL when memory is lacking, or when a
// text is not UTF-8 or an AN_JSON_REAL not finite.
json_t *an_json_object(const struct an_json_table *table, const void *item, const void *context);

// An array of the objects of items[count].
json_t *an_json_list(const struct an_json_table *table, const void *items, int64_t count,
                     const void *context);

// A number, null unless it is finite; an array of such.
json_t *an_json_number(double value);
json_t *an_json_numbers(const double *values, int64_t count);

// Appends, and releases the array when that fails: NULL then, also for a NULL array or value. The
// value is taken over.
json_t *an_json_append(json_t *array, json_t *value);

#endif

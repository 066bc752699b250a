// SPDX-License-Identifier: Apache-2.0
#ifndef TR_TORCH_GLOBAL_H
#define TR_TORCH_GLOBAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ckpt/checkpoint.h"

// The values of a pickle, and the closed set of globals that build values of their own. Any other
// global is a class: its name, and whatever is made of it is an object, which keeps what it was
// given and does nothing. Internal.

struct tr_slice { // text within the pickle, UTF-8, not 0-terminated
    const char *bytes;
    size_t size;
};

enum tr_value_kind {
    TR_VALUE_NONE,
    TR_VALUE_BOOL,
    TR_VALUE_INTEGER,
    TR_VALUE_REAL,
    TR_VALUE_TEXT,
    TR_VALUE_TUPLE,
    TR_VALUE_LIST,
    TR_VALUE_DICT,
    TR_VALUE_GLOBAL,
    TR_VALUE_STORAGE,
    TR_VALUE_TENSOR,
    TR_VALUE_VIEW,
    TR_VALUE_BYTES, // also of integers beyond 64 bits
    TR_VALUE_CLASS, // a global that is not in the set
    TR_VALUE_OBJECT,
};

struct tr_value {
    enum tr_value_kind kind;
    union {
        int64_t integer; // of bools too
        double real;
        struct tr_slice text; // of bytes too
        struct {
            struct tr_slice module, name;
        } class;
        struct { // what a class was given; each may be NULL
            const struct tr_value *class, *args, *state;
            struct tr_value *items; // a list or a dict
        } object;
        struct {
            struct tr_value **items; // [count]; a dict's are key, value, key, value ...
            uint64_t count, capacity;
        } sequence; // of tuples, lists and dicts
        const struct tr_global *global;
        struct {
            const struct tr_global *type;
            struct tr_slice key; // names the entry with the bytes
            int64_t count;       // elements
        } storage;
        struct { // of a storage, in old files; tensors are of the storage itself
            const struct tr_value *storage;
            int64_t first, count; // elements
        } view;
        struct { // checked: it lies within its storage and has at most TR_MAX_DIMS dimensions
            const struct tr_value *storage;
            const struct tr_value *shape, *strides; // tuples of integers, strides in elements
            int64_t offset;                         // elements
        } tensor;
    };
};

// What calling a global on `args`, a tuple, gives: NULL with *result set, or why it is refused.
typedef const char *tr_constructor(const struct tr_value *args, struct tr_value *result);

struct tr_global {
    const char *module, *name;
    tr_constructor *call;   // NULL for types
    const char *dtype_text; // of a storage type, as safetensors spells it; NULL for others
    enum tr_dtype dtype;
    uint64_t size; // bytes of an element
};

// The row of `module`.`name`, NULL when it is not in the set.
const struct tr_global *tr_global_find(struct tr_slice module, struct tr_slice name);

// Bytes of an element of a storage of that type, as safetensors spells it; 0 of one not known.
uint64_t tr_dtype_text_size(const char *dtype_text);

bool tr_slice_is(struct tr_slice slice, const char *text);

// What a value of that kind is called in sentences, with its article.
const char *tr_value_name(const struct tr_value *value);

// The class of an object made of a class, NULL for all other values.
const struct tr_value *tr_value_class(const struct tr_value *value);

// Whether a class, or an object of one, is `module`.`name`.
bool tr_value_is(const struct tr_value *value, const char *module, const char *name);

// The dict that a value is, or that an object has: its state (attributes), else its items. NULL for
// all others.
const struct tr_value *tr_value_dict(const struct tr_value *value);

// What a dict in that sense has under the text `key`, NULL when nothing; of several, the last.
const struct tr_value *tr_value_get(const struct tr_value *value, const char *key);

// The same along keys with dots between them.
const struct tr_value *tr_value_path(const struct tr_value *value, const char *path);

// Whether the value (NULL: no) is a number, and which. Integral reals are integers too.
bool tr_value_integer(const struct tr_value *value, int64_t *integer_p);
bool tr_value_real(const struct tr_value *value, double *real_p);
bool tr_value_bool(const struct tr_value *value, bool *bool_p);

// An empty OrderedDict: the one constructor that is a class.
tr_constructor tr_construct_dict;

// The storage that a persistent id, a tuple, stands for.
tr_constructor tr_construct_storage;

// The part of a storage that a persistent id's last item means; of (storage, item).
tr_constructor tr_construct_view;

#endif

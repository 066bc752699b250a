// SPDX-License-Identifier: Apache-2.0
// The functions that torch.save names in a state dict, as checks of their arguments: a tensor is
// its storage and the numbers of the view, a parameter is its tensor.
#include "torch_global.h"

#include <string.h>

#include "base/alloc.h"

bool tr_slice_is(struct tr_slice slice, const char *text) {
    return slice.size == strlen(text) && !memcmp(slice.bytes, text, slice.size);
}

const char *tr_value_name(const struct tr_value *value) {
    static const char *const names[] = {
        [TR_VALUE_NONE] = "None",          [TR_VALUE_BOOL] = "a bool",
        [TR_VALUE_INTEGER] = "an integer", [TR_VALUE_REAL] = "a float",
        [TR_VALUE_TEXT] = "a text",        [TR_VALUE_TUPLE] = "a tuple",
        [TR_VALUE_LIST] = "a list",        [TR_VALUE_DICT] = "a dict",
        [TR_VALUE_GLOBAL] = "a global",    [TR_VALUE_STORAGE] = "a storage",
        [TR_VALUE_TENSOR] = "a tensor",    [TR_VALUE_VIEW] = "a view of a storage",
        [TR_VALUE_BYTES] = "bytes",        [TR_VALUE_CLASS] = "a class",
        [TR_VALUE_OBJECT] = "an object",
    };
    return names[value->kind];
}

static uint64_t count_of(const struct tr_value *args) {
    return args->sequence.count;
}

static const struct tr_value *argument(const struct tr_value *args, int i) {
    return args->sequence.items[i];
}

static bool is(const struct tr_value *args, int i, enum tr_value_kind kind) {
    return argument(args, i)->kind == kind;
}

const char *tr_construct_dict(const struct tr_value *args, struct tr_value *result) {
    if (count_of(args))
        return "an OrderedDict starts empty";
    *result = (struct tr_value){.kind = TR_VALUE_DICT};
    return NULL;
}

const char *tr_construct_storage(const struct tr_value *args, struct tr_value *result) {
    uint64_t count = count_of(args);
    if (count < 5 || count > 6 || !is(args, 0, TR_VALUE_TEXT) || !is(args, 1, TR_VALUE_GLOBAL) ||
        !is(args, 2, TR_VALUE_TEXT) || !is(args, 4, TR_VALUE_INTEGER) ||
        !tr_slice_is(argument(args, 0)->text, "storage") || !argument(args, 1)->global->dtype_text)
        return "a storage is \"storage\", its type, key, location and number of elements";
    if (argument(args, 4)->integer < 0)
        return "a storage has a negative number of elements";
    *result = (struct tr_value){.kind = TR_VALUE_STORAGE,
                                .storage = {.type = argument(args, 1)->global,
                                            .key = argument(args, 2)->text,
                                            .count = argument(args, 4)->integer}};
    return NULL;
}

const char *tr_construct_view(const struct tr_value *args, struct tr_value *result) {
    const struct tr_value *storage = argument(args, 0), *view = argument(args, 1);
    if (view->kind != TR_VALUE_TUPLE || count_of(view) != 3 || !is(view, 0, TR_VALUE_TEXT) ||
        !is(view, 1, TR_VALUE_INTEGER) || !is(view, 2, TR_VALUE_INTEGER))
        return "a view of a storage is its key, its first element and how many it has";
    int64_t first = argument(view, 1)->integer, count = argument(view, 2)->integer;
    if (first < 0 || count < 0 || first > storage->storage.count ||
        count > storage->storage.count - first)
        return "a view reaches beyond its storage";
    *result = (struct tr_value){.kind = TR_VALUE_VIEW,
                                .view = {.storage = storage, .first = first, .count = count}};
    return NULL;
}

// Whether a tuple, which has to be a short one, holds nothing but integers from 0 on.
static bool is_numbers(const struct tr_value *tuple) {
    for (int i = 0; i < (int)count_of(tuple); i++)
        if (!is(tuple, i, TR_VALUE_INTEGER) || argument(tuple, i)->integer < 0)
            return false;
    return true;
}

// Whether the tensor lies within the first `limit` elements of its storage, and its bytes can be
// counted.
static const char *check_extent(const struct tr_value *tensor, uint64_t limit) {
    const struct tr_value *shape = tensor->tensor.shape, *strides = tensor->tensor.strides;
    const struct tr_value *storage = tensor->tensor.storage;
    uint64_t bytes = storage->storage.type->size, last = (uint64_t)tensor->tensor.offset, step;
    bool fits = true;
    for (int i = 0; i < (int)shape->sequence.count; i++) {
        uint64_t size = (uint64_t)argument(shape, i)->integer;
        fits = fits && tr_mul(bytes, size, &bytes);
        fits = fits &&
               tr_mul(size ? size - 1 : 0, (uint64_t)argument(strides, i)->integer, &step) &&
               tr_add(last, step, &last);
    }
    if (!fits || bytes > INT64_MAX)
        return "the size of a tensor overflows";
    if (bytes && last >= limit)
        return "a tensor reaches beyond its storage";
    return NULL;
}

// _rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks[, metadata])
static const char *construct_tensor(const struct tr_value *args, struct tr_value *result) {
    uint64_t count = count_of(args);
    bool view = count && is(args, 0, TR_VALUE_VIEW);
    if (count < 6 || count > 7 || (!view && !is(args, 0, TR_VALUE_STORAGE)) ||
        !is(args, 1, TR_VALUE_INTEGER) || !is(args, 4, TR_VALUE_BOOL))
        return "a tensor is a storage, an offset, a shape, strides, a flag and hooks";
    const struct tr_value *shape = argument(args, 2), *strides = argument(args, 3);
    if (shape->kind != TR_VALUE_TUPLE || strides->kind != TR_VALUE_TUPLE ||
        count_of(shape) != count_of(strides))
        return "a shape and strides that are not tuples of the same size";
    if (count_of(shape) > TR_MAX_DIMS)
        return "a tensor with more than 8 dimensions";
    if (argument(args, 1)->integer < 0 || !is_numbers(shape) || !is_numbers(strides))
        return "an offset, a shape or strides that are not whole numbers of at least 0";
    if (count == 7 && !is(args, 6, TR_VALUE_NONE) &&
        (!is(args, 6, TR_VALUE_DICT) || count_of(argument(args, 6))))
        return "a view that is conjugated, negated or otherwise marked";
    const struct tr_value *of = argument(args, 0);
    int64_t first = view ? of->view.first : 0, offset;
    if (__builtin_add_overflow(first, argument(args, 1)->integer, &offset))
        return "the size of a tensor overflows";
    *result = (struct tr_value){.kind = TR_VALUE_TENSOR,
                                .tensor = {.storage = view ? of->view.storage : of,
                                           .shape = shape,
                                           .strides = strides,
                                           .offset = offset}};
    return check_extent(result, (uint64_t)(view ? first + of->view.count : of->storage.count));
}

// _rebuild_tensor(storage, offset, shape, strides), of torch before 0.4
static const char *construct_old_tensor(const struct tr_value *args, struct tr_value *result) {
    struct tr_value flag = {.kind = TR_VALUE_BOOL}, hooks = {.kind = TR_VALUE_DICT};
    if (count_of(args) != 4)
        return "a tensor is a storage, an offset, a shape and strides";
    struct tr_value *items[6] = {args->sequence.items[0],
                                 args->sequence.items[1],
                                 args->sequence.items[2],
                                 args->sequence.items[3],
                                 &flag,
                                 &hooks};
    const struct tr_value all = {.kind = TR_VALUE_TUPLE, .sequence = {.items = items, .count = 6}};
    return construct_tensor(&all, result);
}

// _rebuild_parameter(tensor, requires_grad, hooks), or with_state(..., state)
static const char *construct_parameter(const struct tr_value *args, struct tr_value *result) {
    if (count_of(args) < 3 || count_of(args) > 4 || !is(args, 0, TR_VALUE_TENSOR))
        return "a parameter is a tensor, a flag and hooks";
    *result = *argument(args, 0);
    return NULL;
}

// torch.Size(numbers)
static const char *construct_size(const struct tr_value *args, struct tr_value *result) {
    if (count_of(args) != 1 || !is(args, 0, TR_VALUE_TUPLE))
        return "a torch.Size is made of a tuple";
    *result = *argument(args, 0);
    return NULL;
}

// _rebuild_from_type_v2(function, type, arguments, state): a tensor with attributes. The function
// must not be this one again: nested in itself it would exhaust our stack. What a class that is not
// known makes of the same arguments nobody knows: an object.
static const char *construct_from_type(const struct tr_value *args, struct tr_value *result) {
    if (count_of(args) == 4 && is(args, 1, TR_VALUE_CLASS)) {
        *result = (struct tr_value){.kind = TR_VALUE_OBJECT,
                                    .object = {.class = argument(args, 1), .args = args}};
        return NULL;
    }
    if (count_of(args) != 4 || !is(args, 0, TR_VALUE_GLOBAL) || !is(args, 1, TR_VALUE_GLOBAL) ||
        !is(args, 2, TR_VALUE_TUPLE) || argument(args, 1)->global->call ||
        argument(args, 1)->global->dtype_text ||
        (argument(args, 0)->global->call != construct_tensor &&
         argument(args, 0)->global->call != construct_parameter))
        return "a tensor with attributes is a function, a type, arguments and a state";
    return argument(args, 0)->global->call(argument(args, 2), result);
}

static const struct tr_global globals[] = {
    {"collections", "OrderedDict", .call = tr_construct_dict},
    {"torch._utils", "_rebuild_tensor_v2", .call = construct_tensor},
    {"torch._utils", "_rebuild_tensor", .call = construct_old_tensor},
    {"torch._utils", "_rebuild_parameter", .call = construct_parameter},
    {"torch._utils", "_rebuild_parameter_with_state", .call = construct_parameter},
    {"torch._tensor", "_rebuild_from_type_v2", .call = construct_from_type},
    {"torch", "Size", .call = construct_size},
    {"torch", "Tensor", .call = NULL},
    {"torch.nn.parameter", "Parameter", .call = NULL},
    {"torch", "DoubleStorage", .dtype_text = "F64", .dtype = TR_F64, .size = 8},
    {"torch", "FloatStorage", .dtype_text = "F32", .dtype = TR_F32, .size = 4},
    {"torch", "HalfStorage", .dtype_text = "F16", .dtype = TR_F16, .size = 2},
    {"torch", "BFloat16Storage", .dtype_text = "BF16", .dtype = TR_BF16, .size = 2},
    {"torch", "LongStorage", .dtype_text = "I64", .dtype = TR_OTHER_DTYPE, .size = 8},
    {"torch", "IntStorage", .dtype_text = "I32", .dtype = TR_OTHER_DTYPE, .size = 4},
    {"torch", "ShortStorage", .dtype_text = "I16", .dtype = TR_OTHER_DTYPE, .size = 2},
    {"torch", "CharStorage", .dtype_text = "I8", .dtype = TR_OTHER_DTYPE, .size = 1},
    {"torch", "ByteStorage", .dtype_text = "U8", .dtype = TR_OTHER_DTYPE, .size = 1},
    {"torch", "BoolStorage", .dtype_text = "BOOL", .dtype = TR_OTHER_DTYPE, .size = 1},
    {"torch", "ComplexFloatStorage", .dtype_text = "C64", .dtype = TR_OTHER_DTYPE, .size = 8},
    {"torch.storage", "UntypedStorage", .dtype_text = "U8", .dtype = TR_OTHER_DTYPE, .size = 1},
};
enum { GLOBALS = sizeof globals / sizeof *globals };

const struct tr_global *tr_global_find(struct tr_slice module, struct tr_slice name) {
    for (int i = 0; i < GLOBALS; i++)
        if (tr_slice_is(module, globals[i].module) && tr_slice_is(name, globals[i].name))
            return &globals[i];
    return NULL;
}

uint64_t tr_dtype_text_size(const char *dtype_text) {
    for (int i = 0; i < GLOBALS; i++)
        if (globals[i].dtype_text && !strcmp(globals[i].dtype_text, dtype_text))
            return globals[i].size;
    return 0;
}

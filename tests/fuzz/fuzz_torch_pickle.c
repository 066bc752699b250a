// SPDX-License-Identifier: Apache-2.0
// A pickle. Texts of what is accepted lie within it, tensors within their storages.
#include <stdlib.h>

#include "fuzz.h"
#include "torch/torch_pickle.h"

struct bounds {
    const char *begin, *end;
    int values; // how many may still be looked at: they may contain each other
};

static void check_text(struct tr_slice text, const struct bounds *bounds) {
    if (text.bytes < bounds->begin || text.size > (size_t)(bounds->end - text.bytes))
        abort();
}

static void check_tensor(const struct tr_value *value) {
    const struct tr_value *shape = value->tensor.shape, *strides = value->tensor.strides;
    uint64_t last = (uint64_t)value->tensor.offset, count = 1;
    if (shape->sequence.count > TR_MAX_DIMS || strides->sequence.count != shape->sequence.count)
        abort();
    for (uint64_t i = 0; i < shape->sequence.count; i++) {
        count *= (uint64_t)shape->sequence.items[i]->integer;
        last += (uint64_t)(shape->sequence.items[i]->integer - 1) *
                (uint64_t)strides->sequence.items[i]->integer;
    }
    if (count && last >= (uint64_t)value->tensor.storage->storage.count)
        abort();
}

static void check(const struct tr_value *value, int depth, struct bounds *bounds) {
    if (--bounds->values < 0 || depth > 50)
        return;
    switch (value->kind) {
    case TR_VALUE_TEXT:
        check_text(value->text, bounds);
        break;
    case TR_VALUE_STORAGE:
        check_text(value->storage.key, bounds);
        break;
    case TR_VALUE_TENSOR:
        check_tensor(value);
        check(value->tensor.storage, depth + 1, bounds);
        break;
    case TR_VALUE_TUPLE:
    case TR_VALUE_LIST:
    case TR_VALUE_DICT:
        for (uint64_t i = 0; i < value->sequence.count; i++)
            check(value->sequence.items[i], depth + 1, bounds);
        break;
    default:
        if (!*tr_value_name(value))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct tr_pickle pickle;
    struct tr_err err;
    if (tr_pickle_read(&pickle, data, size, "file", &err) != TR_OK)
        return 0;
    struct bounds bounds = {
        .begin = (const char *)data, .end = (const char *)data + size, .values = 10000};
    check(pickle.root, 0, &bounds);
    tr_pickle_free(&pickle);
    return 0;
}

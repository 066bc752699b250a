// SPDX-License-Identifier: Apache-2.0
#include "dcp_metadata.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define METADATA "torch.distributed.checkpoint.metadata"
enum { VALUES_PER_BYTE = 32, NAME_SHOWN = 200 };

static int shown_bytes(struct tr_slice name) {
    return name.size < NAME_SHOWN ? (int)name.size : NAME_SHOWN;
}

static enum tr_status refuse(const struct tr_dcp *dcp, struct tr_slice name, const char *what,
                             struct tr_err *err) {
    return tr_fail(err, TR_EFORMAT, "%s: %s of %.*s", dcp->what, what, shown_bytes(name),
                   name.bytes);
}

// ---- the storage's list ------------------------------------------------------------------------

static bool is_tuple(const struct tr_value *value) {
    return value && value->kind == TR_VALUE_TUPLE;
}

// Number i of a chunk's place, 0 where it does not say.
static int64_t number(const struct tr_value *tuple, uint64_t i) {
    int64_t found = 0;
    if (tuple && i < tuple->sequence.count)
        tr_value_integer(tuple->sequence.items[i], &found);
    return found;
}

static int compare_texts(struct tr_slice a, struct tr_slice b) {
    int order = memcmp(a.bytes, b.bytes, a.size < b.size ? a.size : b.size);
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

static int compare_items(const void *a_, const void *b_) {
    const struct tr_dcp_item *a = a_, *b = b_;
    int order = compare_texts(a->name, b->name);
    for (uint64_t i = 0; i < TR_MAX_DIMS && !order; i++) {
        int64_t x = number(a->begin, i), y = number(b->begin, i);
        order = (x > y) - (x < y);
    }
    return order;
}

static bool take_text(const struct tr_value *value, struct tr_slice *text) {
    if (!value || value->kind != TR_VALUE_TEXT)
        return false;
    *text = value->text;
    return true;
}

static bool take_count(const struct tr_value *value, uint64_t *count) {
    int64_t integer;
    if (!value || value->kind != TR_VALUE_INTEGER || (integer = value->integer) < 0)
        return false;
    *count = (uint64_t)integer;
    return true;
}

// One key and value of storage_data.
static enum tr_status read_item(struct tr_dcp *dcp, const struct tr_value *index,
                                const struct tr_value *info, struct tr_err *err) {
    struct tr_dcp_item *item = &dcp->items[dcp->item_count];
    const struct tr_value *begin = tr_value_get(index, "offset");
    const struct tr_value *transforms = tr_value_get(info, "transform_descriptors");
    if (!take_text(tr_value_get(index, "fqn"), &item->name))
        return tr_fail(err, TR_EFORMAT, "%s: an item of its storage has no name", dcp->what);
    if (!take_text(tr_value_get(info, "relative_path"), &item->place.path) ||
        !take_count(tr_value_get(info, "offset"), &item->place.offset) ||
        !take_count(tr_value_get(info, "length"), &item->place.length))
        return refuse(dcp, item->name, "nothing says where the file has a chunk", err);
    if (transforms && transforms->kind == TR_VALUE_LIST && transforms->sequence.count)
        return tr_fail(err, TR_EUNSUPPORTED,
                       "%s: %.*s went through an extension (transform_descriptors) before it was "
                       "stored, such as compression, which is not read",
                       dcp->what, shown_bytes(item->name), item->name.bytes);
    item->begin = is_tuple(begin) ? begin : NULL;
    dcp->item_count++;
    return TR_OK;
}

static enum tr_status read_items(struct tr_dcp *dcp, const struct tr_value *dict,
                                 struct tr_err *err) {
    uint64_t count = dict->sequence.count / 2;
    TR_TRY(TR_NEW(&dcp->items, count, "the items of a checkpoint", err));
    for (uint64_t i = 0; i < count; i++)
        TR_TRY(read_item(dcp, dict->sequence.items[2 * i], dict->sequence.items[2 * i + 1], err));
    if (count)
        qsort(dcp->items, count, sizeof *dcp->items, compare_items);
    return TR_OK;
}

static const struct tr_dcp_item *find_item(const struct tr_dcp *dcp, struct tr_slice name,
                                           const struct tr_value *begin) {
    const struct tr_dcp_item key = {.name = name, .begin = begin};
    if (!dcp->item_count)
        return NULL;
    return bsearch(&key, dcp->items, (size_t)dcp->item_count, sizeof key, compare_items);
}

const struct tr_dcp_place *tr_dcp_find(const struct tr_dcp *dcp, const char *name) {
    const struct tr_slice text = {.bytes = name, .size = strlen(name)};
    const struct tr_dcp_item *item = find_item(dcp, text, NULL);
    return item ? &item->place : NULL;
}

// ---- tensors -----------------------------------------------------------------------------------

// A tuple of `dims` numbers from 0 on.
static bool take_numbers(const struct tr_value *tuple, int dims, int64_t *numbers) {
    if (!is_tuple(tuple) || tuple->sequence.count != (uint64_t)dims)
        return false;
    for (int i = 0; i < dims; i++) {
        const struct tr_value *value = tuple->sequence.items[i];
        if (value->kind != TR_VALUE_INTEGER || value->integer < 0)
            return false;
        numbers[i] = value->integer;
    }
    return true;
}

static bool is_empty(const struct tr_dcp_chunk *chunk, int dims) {
    for (int i = 0; i < dims; i++)
        if (!chunk->shape[i])
            return true;
    return false;
}

static enum tr_status read_chunk(const struct tr_dcp *dcp, struct tr_dcp_tensor *tensor,
                                 const struct tr_value *value, struct tr_err *err) {
    struct tr_dcp_chunk *chunk = &tensor->chunks[tensor->count];
    const struct tr_value *begin = tr_value_get(value, "offsets");
    if (!take_numbers(begin, tensor->dims, chunk->begin) ||
        !take_numbers(tr_value_get(value, "sizes"), tensor->dims, chunk->shape))
        return refuse(dcp, tensor->name, "a chunk has no place or no size", err);
    const struct tr_dcp_item *item = find_item(dcp, tensor->name, begin);
    if (!item && is_empty(chunk, tensor->dims))
        return TR_OK; // nothing was stored
    if (!item)
        return refuse(dcp, tensor->name, "no file is named for a chunk", err);
    chunk->place = item->place;
    tensor->count += !is_empty(chunk, tensor->dims);
    return TR_OK;
}

static enum tr_status read_tensor(struct tr_dcp *dcp, struct tr_slice name,
                                  const struct tr_value *value, struct tr_err *err) {
    struct tr_dcp_tensor *tensor = &dcp->tensors[dcp->tensor_count++];
    const struct tr_value *size = tr_value_get(value, "size"),
                          *chunks = tr_value_get(value, "chunks");
    *tensor = (struct tr_dcp_tensor){.name = name};
    if (!is_tuple(size) || size->sequence.count > TR_MAX_DIMS || !chunks ||
        chunks->kind != TR_VALUE_LIST)
        return refuse(dcp, name, "the size or the list of chunks is not what it should be", err);
    tensor->dims = (int)size->sequence.count;
    if (!take_numbers(size, tensor->dims, tensor->shape))
        return refuse(dcp, name, "the size is not what it should be", err);
    TR_TRY(TR_NEW(&tensor->chunks, chunks->sequence.count, "the chunks of a tensor", err));
    for (uint64_t i = 0; i < chunks->sequence.count; i++)
        TR_TRY(read_chunk(dcp, tensor, chunks->sequence.items[i], err));
    return TR_OK;
}

static enum tr_status read_tensors(struct tr_dcp *dcp, const struct tr_value *dict,
                                   bool (*keep)(struct tr_slice name), struct tr_err *err) {
    TR_TRY(TR_NEW(&dcp->tensors, dict->sequence.count / 2, "the tensors of a checkpoint", err));
    for (uint64_t i = 0; i < dict->sequence.count; i += 2) {
        const struct tr_value *name = dict->sequence.items[i], *value = dict->sequence.items[i + 1];
        if (name->kind != TR_VALUE_TEXT || !tr_value_is(value, METADATA, "TensorStorageMetadata") ||
            !keep(name->text))
            continue;
        TR_TRY(read_tensor(dcp, name->text, value, err));
    }
    return TR_OK;
}

static enum tr_status read_root(struct tr_dcp *dcp, bool (*keep)(struct tr_slice name),
                                struct tr_err *err) {
    const struct tr_value *root = dcp->pickle.root;
    const struct tr_value *tensors = tr_value_get(root, "state_dict_metadata");
    const struct tr_value *items = tr_value_get(root, "storage_data");
    if (!tr_value_is(root, METADATA, "Metadata") || !tensors || tensors->kind != TR_VALUE_DICT)
        return tr_fail(err, TR_EFORMAT,
                       "%s is not the metadata of a PyTorch distributed checkpoint", dcp->what);
    if (!items || items->kind != TR_VALUE_DICT)
        return tr_fail(err, TR_EFORMAT, "%s does not say in which files the tensors are",
                       dcp->what);
    TR_TRY(read_items(dcp, items, err));
    return read_tensors(dcp, tensors, keep, err);
}

enum tr_status tr_dcp_parse(struct tr_dcp *dcp, const void *bytes, size_t size,
                            bool (*keep)(struct tr_slice name), const char *what,
                            struct tr_err *err) {
    struct tr_dcp read = {.what = what};
    size_t memory =
        size > TR_PICKLE_LIMIT ? size * VALUES_PER_BYTE : (size_t)TR_PICKLE_LIMIT * VALUES_PER_BYTE;
    TR_TRY(tr_pickle_read_within(&read.pickle, bytes, size, memory, what, err));
    enum tr_status status = read_root(&read, keep, err);
    if (status == TR_OK)
        *dcp = read;
    else
        tr_dcp_free(&read);
    return status;
}

void tr_dcp_free(struct tr_dcp *dcp) {
    for (int64_t i = 0; i < dcp->tensor_count; i++)
        free(dcp->tensors[i].chunks);
    free(dcp->tensors);
    free(dcp->items);
    tr_pickle_free(&dcp->pickle);
    *dcp = (struct tr_dcp){0};
}

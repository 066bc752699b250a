// SPDX-License-Identifier: Apache-2.0
#include "torch_legacy.h"

#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"

enum { FIRST_WINDOW = 1 << 20, VERSION = 1001 };

// A pickle of the number 0x1950a86a20f9469cfc6c.
static const char magic[] = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
enum { MAGIC = sizeof magic - 1 };

struct source {
    int fd;
    uint64_t size;
    const char *path;
    struct tr_err *err;
};

bool tr_is_legacy(const void *bytes, size_t size) {
    return size >= MAGIC && !memcmp(bytes, magic, MAGIC);
}

static int compare_slices(struct tr_slice a, struct tr_slice b) {
    int order = memcmp(a.bytes, b.bytes, a.size < b.size ? a.size : b.size);
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

static int compare_storages(const void *a_, const void *b_) {
    const struct tr_legacy_storage *a = a_, *b = b_;
    return compare_slices(a->value->storage.key, b->value->storage.key);
}

static int compare_key(const void *key, const void *storage) {
    return compare_slices(*(const struct tr_slice *)key,
                          ((const struct tr_legacy_storage *)storage)->value->storage.key);
}

const struct tr_legacy_storage *tr_legacy_find(const struct tr_legacy *legacy,
                                               struct tr_slice key) {
    if (!legacy->count)
        return NULL;
    return bsearch(&key, legacy->storages, (size_t)legacy->count, sizeof *legacy->storages,
                   compare_key);
}

// ---- the pickles -------------------------------------------------------------------------------

static bool is_version(const struct tr_value *value) {
    return value->kind == TR_VALUE_INTEGER && value->integer == VERSION;
}

// The machine that wrote the file; a big-endian one has its storages so.
static bool is_little(const struct tr_value *value) {
    for (uint64_t i = 0; value->kind == TR_VALUE_DICT && i < value->sequence.count; i += 2) {
        const struct tr_value *key = value->sequence.items[i], *is = value->sequence.items[i + 1];
        if (key->kind == TR_VALUE_TEXT && tr_slice_is(key->text, "little_endian"))
            return is->kind == TR_VALUE_BOOL && is->integer;
    }
    return false;
}

static bool is_keys(const struct tr_value *value) {
    for (uint64_t i = 0; value->kind == TR_VALUE_LIST && i < value->sequence.count; i++)
        if (value->sequence.items[i]->kind != TR_VALUE_TEXT)
            return false;
    return value->kind == TR_VALUE_LIST;
}

// A pickle whose only use is to be what it should be.
static enum tr_status check_next(struct tr_legacy *legacy, size_t window,
                                 bool (*check)(const struct tr_value *), const char *what,
                                 bool *cut_p, const struct source *from) {
    struct tr_pickle pickle;
    size_t used = 0;
    TR_TRY(tr_pickle_read_first(&pickle, legacy->bytes + legacy->size, window - legacy->size, &used,
                                cut_p, from->path, from->err));
    bool good = check(pickle.root);
    tr_pickle_free(&pickle);
    legacy->size += used;
    return good ? TR_OK : tr_fail(from->err, TR_EUNSUPPORTED, "%s is %s", from->path, what);
}

static enum tr_status read_pickles(struct tr_legacy *legacy, size_t window, bool *cut_p,
                                   const struct source *from) {
    size_t used = 0;
    legacy->size = MAGIC;
    TR_TRY(check_next(legacy, window, is_version, "of an unknown version of torch.save's stream",
                      cut_p, from));
    TR_TRY(check_next(legacy, window, is_little, "not little-endian", cut_p, from));
    TR_TRY(tr_pickle_read_first(&legacy->value, legacy->bytes + legacy->size, window - legacy->size,
                                &used, cut_p, from->path, from->err));
    legacy->size += used;
    TR_TRY(tr_pickle_read_first(&legacy->keys, legacy->bytes + legacy->size, window - legacy->size,
                                &used, cut_p, from->path, from->err));
    legacy->size += used;
    if (!is_keys(legacy->keys.root))
        return tr_fail(from->err, TR_EFORMAT, "%s: its pickles end in %s, not in a list of keys",
                       from->path, tr_value_name(legacy->keys.root));
    return TR_OK;
}

static void free_pickles(struct tr_legacy *legacy) {
    tr_pickle_free(&legacy->value);
    tr_pickle_free(&legacy->keys);
    free(legacy->bytes);
    legacy->bytes = NULL;
}

// Nothing says how long the pickles are: a window at the start of the file grows until they fit.
static enum tr_status load_pickles(struct tr_legacy *legacy, const struct source *from) {
    enum { LIMIT = 2 * TR_PICKLE_LIMIT };
    for (uint64_t window = FIRST_WINDOW;; window *= 2) {
        size_t size = (size_t)(window < from->size ? window : from->size);
        bool cut = false;
        TR_TRY(TR_NEW(&legacy->bytes, size, "the pickles of a file", from->err));
        TR_TRY(tr_file_read_at(from->fd, from->path, 0, legacy->bytes, size, from->err));
        enum tr_status status = read_pickles(legacy, size, &cut, from);
        if (status == TR_OK || !cut || size == from->size)
            return status;
        if (window >= LIMIT)
            return tr_fail(from->err, TR_EUNSUPPORTED, "%s: its pickles have more than %d MiB",
                           from->path, LIMIT >> 20);
        free_pickles(legacy);
    }
}

// ---- the storages ------------------------------------------------------------------------------

// One entry for each key among the values' storages; those of one key must be of one kind.
static enum tr_status list_storages(struct tr_legacy *legacy, const struct source *from) {
    const struct tr_pickle *value = &legacy->value;
    struct tr_legacy_storage *all;
    TR_TRY(TR_NEW(&legacy->storages, value->storage_count, "the storages of a file", from->err));
    all = legacy->storages;
    for (uint64_t i = 0; i < value->storage_count; i++)
        all[i].value = value->storages[i];
    if (value->storage_count)
        qsort(all, (size_t)value->storage_count, sizeof *all, compare_storages);
    for (uint64_t i = 0; i < value->storage_count; i++) {
        struct tr_legacy_storage *last = legacy->count ? &all[legacy->count - 1] : NULL;
        if (!last || compare_storages(last, &all[i]))
            all[legacy->count++] = all[i];
        else if (last->value->storage.type != all[i].value->storage.type ||
                 last->value->storage.count != all[i].value->storage.count)
            return tr_fail(from->err, TR_EFORMAT, "%s has two kinds of storage %.*s", from->path,
                           (int)all[i].value->storage.key.size, all[i].value->storage.key.bytes);
    }
    return TR_OK;
}

// The count of elements before a storage's bytes, against what its value says.
static enum tr_status check_count(const struct tr_value *storage, uint64_t at,
                                  const struct source *from) {
    uint64_t count;
    TR_TRY(tr_file_read_at(from->fd, from->path, at, &count, sizeof count, from->err));
    count = le64toh(count);
    if (count == (uint64_t)storage->storage.count)
        return TR_OK;
    return tr_fail(from->err, TR_EFORMAT,
                   "%s: storage %.*s has %" PRIu64 " elements, its tensors say %" PRId64,
                   from->path, (int)storage->storage.key.size, storage->storage.key.bytes, count,
                   storage->storage.count);
}

static enum tr_status place_one(struct tr_legacy *legacy, struct tr_slice key, uint64_t *at_p,
                                const struct source *from) {
    const struct tr_legacy_storage *at = tr_legacy_find(legacy, key);
    struct tr_legacy_storage *found = at ? &legacy->storages[at - legacy->storages] : NULL;
    uint64_t bytes, end;
    if (!found || found->offset)
        return tr_fail(from->err, TR_EFORMAT, "%s: its list of storages has %.*s%s", from->path,
                       key.size < 64 ? (int)key.size : 64, key.bytes,
                       found ? " twice" : ", which no tensor is of");
    const struct tr_value *storage = found->value;
    if (!tr_mul((uint64_t)storage->storage.count, storage->storage.type->size, &bytes) ||
        !tr_add(*at_p + sizeof(uint64_t), bytes, &end) || end > from->size)
        return tr_fail(from->err, TR_EFORMAT, "%s ends within storage %.*s: it is truncated",
                       from->path, key.size < 64 ? (int)key.size : 64, key.bytes);
    TR_TRY(check_count(storage, *at_p, from));
    found->offset = *at_p + sizeof(uint64_t);
    *at_p = end;
    return TR_OK;
}

static enum tr_status place_storages(struct tr_legacy *legacy, const struct source *from) {
    const struct tr_value *keys = legacy->keys.root;
    uint64_t at = legacy->size;
    for (uint64_t i = 0; i < keys->sequence.count; i++)
        TR_TRY(place_one(legacy, keys->sequence.items[i]->text, &at, from));
    if (at != from->size)
        return tr_fail(from->err, TR_EFORMAT,
                       "%s: its storages end at byte %" PRIu64 " of %" PRIu64
                       ": it is followed by something else",
                       from->path, at, from->size);
    return TR_OK;
}

static enum tr_status read_all(struct tr_legacy *legacy, const struct source *from) {
    TR_TRY(load_pickles(legacy, from));
    TR_TRY(list_storages(legacy, from));
    TR_TRY(place_storages(legacy, from));
    legacy->root = legacy->value.root;
    return TR_OK;
}

enum tr_status tr_legacy_open(struct tr_legacy *legacy, int fd, uint64_t size, const char *path,
                              struct tr_err *err) {
    struct tr_legacy opened = {0};
    const struct source from = {fd, size, path, err};
    enum tr_status status = read_all(&opened, &from);
    if (status == TR_OK)
        *legacy = opened;
    else
        tr_legacy_close(&opened);
    return status;
}

void tr_legacy_close(struct tr_legacy *legacy) {
    free_pickles(legacy);
    free(legacy->storages);
    *legacy = (struct tr_legacy){0};
}

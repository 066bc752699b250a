// SPDX-License-Identifier: Apache-2.0
#include "index.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "scan.h"

struct reading {
    struct tr_scan scan;
    struct tr_index index;
    uint64_t capacity;
    char *to; // where the next name goes
};

static enum tr_status read_name(struct reading *reading, const char **name_p, struct tr_err *err) {
    size_t length;
    TR_TRY(tr_scan_string(&reading->scan, reading->to, &length, err));
    *name_p = reading->to;
    reading->to += length + 1;
    return TR_OK;
}

// A shard's name must be a plain file name, since any other could lead out of the folder.
static bool is_plain_name(const char *name) {
    return *name && !strchr(name, '/') && strcmp(name, ".") && strcmp(name, "..");
}

static enum tr_status read_entry(struct reading *reading, struct tr_err *err) {
    struct tr_index_entry entry;
    TR_TRY(read_name(reading, &entry.tensor, err));
    TR_TRY(tr_scan_expect(&reading->scan, ':', err));
    TR_TRY(read_name(reading, &entry.shard, err));
    if (!is_plain_name(entry.shard))
        return tr_fail(err, TR_EFORMAT,
                       "%s: tensor %s is placed in \"%s\", which is not a plain file name",
                       reading->scan.what, entry.tensor, entry.shard);
    struct tr_index *index = &reading->index;
    TR_TRY(tr_grow((void **)&index->entries, &reading->capacity, (uint64_t)index->count + 1,
                   sizeof entry, "the index of shards", err));
    index->entries[index->count++] = entry;
    return TR_OK;
}

static enum tr_status read_map(struct reading *reading, struct tr_err *err) {
    struct tr_scan *scan = &reading->scan;
    if (reading->index.entries)
        return tr_fail(err, TR_EFORMAT, "%s has two \"weight_map\"", scan->what);
    TR_TRY(tr_scan_expect(scan, '{', err));
    do
        TR_TRY(read_entry(reading, err));
    while (tr_scan_try(scan, ','));
    return tr_scan_expect(scan, '}', err);
}

static enum tr_status read_index(struct reading *reading, struct tr_err *err) {
    struct tr_scan *scan = &reading->scan;
    TR_TRY(tr_scan_expect(scan, '{', err));
    do {
        const char *key = reading->to; // scratch
        TR_TRY(tr_scan_string(scan, reading->to, NULL, err));
        TR_TRY(tr_scan_expect(scan, ':', err));
        if (!strcmp(key, "weight_map"))
            TR_TRY(read_map(reading, err));
        else
            TR_TRY(tr_scan_skip(scan, reading->to, err));
    } while (tr_scan_try(scan, ','));
    TR_TRY(tr_scan_expect(scan, '}', err));
    TR_TRY(tr_scan_finish(scan, err));
    if (!reading->index.entries)
        return tr_fail(err, TR_EFORMAT, "%s has no \"weight_map\"", scan->what);
    return TR_OK;
}

static int compare_entries(const void *a, const void *b) {
    return strcmp(((const struct tr_index_entry *)a)->tensor,
                  ((const struct tr_index_entry *)b)->tensor);
}

static enum tr_status refuse_duplicates(struct tr_index *index, const char *what,
                                        struct tr_err *err) {
    struct tr_index_entry *entries = index->entries;
    qsort(entries, (size_t)index->count, sizeof *entries, compare_entries);
    for (int64_t i = 1; i < index->count; i++)
        if (!strcmp(entries[i - 1].tensor, entries[i].tensor))
            return tr_fail(err, TR_EFORMAT, "%s places tensor %s twice, in %s and in %s", what,
                           entries[i].tensor, entries[i - 1].shard, entries[i].shard);
    return TR_OK;
}

static int compare_texts(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum tr_status list_shards(struct tr_index *index, struct tr_err *err) {
    TR_TRY(TR_NEW(&index->shards, index->count, "the list of shards", err));
    for (int64_t i = 0; i < index->count; i++)
        index->shards[i] = index->entries[i].shard;
    qsort(index->shards, (size_t)index->count, sizeof *index->shards, compare_texts);
    for (int64_t i = 0; i < index->count; i++)
        if (!i || strcmp(index->shards[index->shard_count - 1], index->shards[i]))
            index->shards[index->shard_count++] = index->shards[i];
    return TR_OK;
}

enum tr_status tr_index_parse(struct tr_index *index, const char *bytes, size_t size,
                              const char *what, struct tr_err *err) {
    struct reading reading = {0};
    enum tr_status status;
    TR_TRY(tr_scan_start(&reading.scan, bytes, size, what, err));
    TR_TRY(TR_NEW(&reading.index.text, size + 1, "the index of shards", err));
    reading.to = reading.index.text;
    TR_GO(status, read_index(&reading, err), out);
    TR_GO(status, refuse_duplicates(&reading.index, what, err), out);
    TR_GO(status, list_shards(&reading.index, err), out);
    *index = reading.index;
    return TR_OK;
out:
    tr_index_free(&reading.index);
    return status;
}

void tr_index_free(struct tr_index *index) {
    free(index->entries);
    free(index->shards);
    free(index->text);
    *index = (struct tr_index){0};
}

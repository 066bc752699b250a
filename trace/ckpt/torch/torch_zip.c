// SPDX-License-Identifier: Apache-2.0
// Layouts: PKWARE's APPNOTE.TXT, sections 4.3.7 (local header), 4.3.12 (central directory), 4.3.14
// to 4.3.16 (its end, twice with ZIP64) and 4.5.3 (ZIP64 sizes). All integers are little-endian.
#include "torch_zip.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

enum {
    LOCAL_MAGIC = 0x04034b50,
    CENTRAL_MAGIC = 0x02014b50,
    END_MAGIC = 0x06054b50,
    END64_MAGIC = 0x06064b50,
    LOCATOR64_MAGIC = 0x07064b50,
    LOCAL_SIZE = 30,
    CENTRAL_SIZE = 46,
    END_SIZE = 22,
    END64_SIZE = 56,
    LOCATOR64_SIZE = 20,
    FLAG_ENCRYPTED = 1 << 0,
    FLAG_SIZES_FOLLOW = 1 << 3, // the local header need not know the sizes
    FLAG_STRONG_ENCRYPTION = 1 << 6,
    FLAG_MASKED_HEADER = 1 << 13,
    EXTRA_ZIP64 = 1,
    ALL_16 = 0xffff, // "see the ZIP64 record"
};
#define ALL_32 UINT32_C(0xffffffff)

// Where the central directory lies, and how many entries it claims.
struct directory {
    uint64_t offset, size, count;
    uint64_t end; // offset of the record after it
};

static uint64_t get(const unsigned char *bytes, int count) {
    uint64_t value = 0;
    for (int i = count; i-- > 0;)
        value = value << 8 | bytes[i];
    return value;
}

static uint64_t u16(const unsigned char *bytes) {
    return get(bytes, 2);
}

static uint64_t u32(const unsigned char *bytes) {
    return get(bytes, 4);
}

static uint64_t u64(const unsigned char *bytes) {
    return get(bytes, 8);
}

// The ZIP64 record, which lies right before its locator at `at`. What the plain record says too
// must be the same.
static enum tr_status read_end64(const struct tr_ends *file, uint64_t at,
                                 const unsigned char *locator, struct directory *directory,
                                 struct tr_err *err) {
    unsigned char end[END64_SIZE];
    if (at < END64_SIZE || u64(locator + 8) != at - END64_SIZE)
        return tr_fail(err, TR_EFORMAT, "%s: its ZIP64 record is not right before its locator",
                       file->path);
    TR_TRY(tr_ends_read(file, at - END64_SIZE, end, sizeof end, err));
    if (u32(end) != END64_MAGIC || u64(end + 4) != END64_SIZE - 12)
        return tr_fail(err, TR_EFORMAT, "%s: its locator does not lead to a ZIP64 record",
                       file->path);
    const struct directory record = {.offset = u64(end + 48),
                                     .size = u64(end + 40),
                                     .count = u64(end + 32),
                                     .end = at - END64_SIZE};
    if ((directory->count != ALL_16 && directory->count != record.count) ||
        (directory->size != ALL_32 && directory->size != record.size) ||
        (directory->offset != ALL_32 && directory->offset != record.offset))
        return tr_fail(err, TR_EFORMAT,
                       "%s: its two records of the directory contradict each other", file->path);
    if (u32(end + 16) || u32(end + 20) || u64(end + 24) != record.count)
        return tr_fail(err, TR_EUNSUPPORTED, "%s is one part of a ZIP archive in several",
                       file->path);
    *directory = record;
    return TR_OK;
}

static enum tr_status check_directory(const struct tr_ends *file, const struct directory *directory,
                                      struct tr_err *err) {
    uint64_t end;
    if (!tr_add(directory->offset, directory->size, &end) || end != directory->end)
        return tr_fail(err, TR_EFORMAT,
                       "%s: its directory (%" PRIu64 " bytes at %" PRIu64 ") does not end at "
                       "%" PRIu64 ", where its record is",
                       file->path, directory->size, directory->offset, directory->end);
    if (directory->size > TR_ZIP_DIRECTORY_LIMIT)
        return tr_fail(err, TR_EFORMAT,
                       "%s claims a directory of %" PRIu64 " bytes, more than the %d accepted",
                       file->path, directory->size, TR_ZIP_DIRECTORY_LIMIT);
    if (directory->count > directory->size / CENTRAL_SIZE)
        return tr_fail(err, TR_EFORMAT,
                       "%s claims %" PRIu64 " entries in a directory of %" PRIu64 " bytes",
                       file->path, directory->count, directory->size);
    return TR_OK;
}

// The file must end with the record, without a comment: only then is there one way to find it.
static enum tr_status find_directory(const struct tr_ends *file, struct directory *directory,
                                     struct tr_err *err) {
    unsigned char tail[LOCATOR64_SIZE + END_SIZE] = {0}, *end = tail + LOCATOR64_SIZE;
    size_t size = file->size < sizeof tail ? (size_t)file->size : sizeof tail;
    TR_TRY(tr_ends_read(file, file->size - size, tail + sizeof tail - size, size, err));
    if (size < END_SIZE || u32(end) != END_MAGIC || u16(end + 20))
        return tr_fail(err, TR_EFORMAT,
                       "%s does not end with the directory of a ZIP archive: it is truncated, or "
                       "followed by something else",
                       file->path);
    *directory = (struct directory){.offset = u32(end + 16),
                                    .size = u32(end + 12),
                                    .count = u16(end + 10),
                                    .end = file->size - END_SIZE};
    if (u16(end + 4) || u16(end + 6) || u16(end + 8) != directory->count)
        return tr_fail(err, TR_EUNSUPPORTED, "%s is one part of a ZIP archive in several",
                       file->path);
    if (u32(tail) == LOCATOR64_MAGIC)
        TR_TRY(read_end64(file, directory->end - LOCATOR64_SIZE, tail, directory, err));
    return check_directory(file, directory, err);
}

// Replaces the sizes that stand for "see the ZIP64 field", in the order the field has them.
static bool apply_zip64(const unsigned char *extra, size_t size, uint64_t *const values[3]) {
    bool wanted = *values[0] == ALL_32 || *values[1] == ALL_32 || *values[2] == ALL_32;
    while (size >= 4) {
        size_t id = (size_t)u16(extra), length = (size_t)u16(extra + 2);
        if (length > size - 4)
            return false;
        if (wanted && id == EXTRA_ZIP64) {
            const unsigned char *at = extra + 4, *end = at + length;
            for (int i = 0; i < 3; i++)
                if (*values[i] == ALL_32) {
                    if (end - at < 8)
                        return false;
                    *values[i] = u64(at);
                    at += 8;
                }
            return true;
        }
        extra += 4 + length;
        size -= 4 + length;
    }
    return !wanted;
}

static enum tr_status check_entry(const struct tr_ends *file, const unsigned char *central,
                                  const struct tr_zip_entry *entry, uint64_t packed,
                                  struct tr_err *err) {
    uint64_t flags = u16(central + 8), method = u16(central + 10);
    if (flags & (FLAG_ENCRYPTED | FLAG_STRONG_ENCRYPTION | FLAG_MASKED_HEADER))
        return tr_fail(err, TR_EUNSUPPORTED, "%s: its entry %s is encrypted", file->path,
                       entry->name);
    if (method)
        return tr_fail(err, TR_EUNSUPPORTED,
                       "%s: its entry %s is compressed (method %" PRIu64 "); torch.save stores "
                       "entries as they are",
                       file->path, entry->name, method);
    if (packed != entry->size)
        return tr_fail(err, TR_EFORMAT,
                       "%s: its entry %s has %" PRIu64 " bytes, %" PRIu64 " when stored",
                       file->path, entry->name, entry->size, packed);
    if (u16(central + 34))
        return tr_fail(err, TR_EUNSUPPORTED, "%s is one part of a ZIP archive in several",
                       file->path);
    return TR_OK;
}

// Copies the name to *to_p, which has room for it, and moves *to_p behind it.
static enum tr_status copy_name(const struct tr_ends *file, const unsigned char *name, size_t size,
                                char **to_p, struct tr_err *err) {
    if (!size || memchr(name, 0, size))
        return tr_fail(err, TR_EFORMAT, "%s: an entry's name is empty or has a 0 in it",
                       file->path);
    memcpy(*to_p, name, size);
    (*to_p)[size] = 0;
    *to_p += size + 1;
    return TR_OK;
}

// The entry at *at_p of the directory, moving *at_p behind it.
static enum tr_status read_entry(const struct tr_ends *file, const struct tr_zip *zip, size_t *at_p,
                                 struct tr_zip_entry *entry, char **names_p, struct tr_err *err) {
    const unsigned char *central = (const unsigned char *)zip->directory + *at_p;
    size_t left = zip->directory_size - *at_p;
    if (left < CENTRAL_SIZE || u32(central) != CENTRAL_MAGIC)
        return tr_fail(err, TR_EFORMAT, "%s: there is no entry at byte %zu of its directory",
                       file->path, *at_p);
    size_t name_size = (size_t)u16(central + 28), extra_size = (size_t)u16(central + 30);
    size_t size = CENTRAL_SIZE + name_size + extra_size + (size_t)u16(central + 32);
    if (size > left)
        return tr_fail(err, TR_EFORMAT, "%s: the entry at byte %zu of its directory is cut off",
                       file->path, *at_p);
    uint64_t packed = u32(central + 20);
    *entry = (struct tr_zip_entry){
        .name = *names_p, .header = u32(central + 42), .size = u32(central + 24)};
    TR_TRY(copy_name(file, central + CENTRAL_SIZE, name_size, names_p, err));
    uint64_t *const values[] = {&entry->size, &packed, &entry->header};
    if (!apply_zip64(central + CENTRAL_SIZE + name_size, extra_size, values))
        return tr_fail(err, TR_EFORMAT, "%s: the extra fields of its entry %s are damaged",
                       file->path, entry->name);
    TR_TRY(check_entry(file, central, entry, packed, err));
    *at_p += size;
    return TR_OK;
}

static enum tr_status read_entries(const struct tr_ends *file, struct tr_zip *zip,
                                   struct tr_err *err) {
    char *names = zip->names;
    size_t at = 0;
    for (int64_t i = 0; i < zip->count; i++)
        TR_TRY(read_entry(file, zip, &at, &zip->entries[i], &names, err));
    if (at != zip->directory_size)
        return tr_fail(err, TR_EFORMAT, "%s: its directory goes on after its last entry",
                       file->path);
    return TR_OK;
}

// What the local header repeats must agree; sizes it does not know are 0 or all ones.
static bool same_size(uint64_t local, uint64_t size, uint64_t flags) {
    return local == size || local == ALL_32 || (!local && flags & FLAG_SIZES_FOLLOW);
}

static enum tr_status read_local(const struct tr_ends *file, uint64_t limit,
                                 struct tr_zip_entry *entry, struct tr_err *err) {
    unsigned char bytes[LOCAL_SIZE + 256];
    size_t name_size = strlen(entry->name), size = LOCAL_SIZE + name_size;
    if (size > sizeof bytes)
        return tr_fail(err, TR_EUNSUPPORTED, "%s: the name of an entry has %zu bytes", file->path,
                       name_size);
    if (entry->header > limit || size > limit - entry->header)
        return tr_fail(err, TR_EFORMAT, "%s: its entry %s begins at %" PRIu64 ", outside the file",
                       file->path, entry->name, entry->header);
    TR_TRY(tr_ends_read(file, entry->header, bytes, size, err));
    uint64_t flags = u16(bytes + 6);
    if (u32(bytes) != LOCAL_MAGIC || u16(bytes + 8) || flags & FLAG_ENCRYPTED ||
        !same_size(u32(bytes + 18), entry->size, flags) ||
        !same_size(u32(bytes + 22), entry->size, flags) || u16(bytes + 26) != name_size ||
        memcmp(bytes + LOCAL_SIZE, entry->name, name_size))
        return tr_fail(err, TR_EFORMAT,
                       "%s: the header of its entry %s is not what the directory says", file->path,
                       entry->name);
    entry->offset = entry->header + size + u16(bytes + 28);
    if (entry->offset > limit || entry->size > limit - entry->offset)
        return tr_fail(err, TR_EFORMAT,
                       "%s: its entry %s (%" PRIu64 " bytes at %" PRIu64 ") does not fit into the "
                       "%" PRIu64 " before the directory",
                       file->path, entry->name, entry->size, entry->offset, limit);
    return TR_OK;
}

static int compare_headers(const void *a_, const void *b_) {
    const struct tr_zip_entry *a = a_, *b = b_;
    return (a->header > b->header) - (a->header < b->header);
}

static int compare_names(const void *a, const void *b) {
    return strcmp(((const struct tr_zip_entry *)a)->name, ((const struct tr_zip_entry *)b)->name);
}

static enum tr_status check_entries(const struct tr_ends *file, struct tr_zip *zip, uint64_t limit,
                                    struct tr_err *err) {
    struct tr_zip_entry *entries = zip->entries;
    qsort(entries, (size_t)zip->count, sizeof *entries, compare_headers);
    for (int64_t i = 0; i < zip->count; i++) {
        TR_TRY(read_local(file, limit, &entries[i], err));
        if (i && entries[i - 1].offset + entries[i - 1].size > entries[i].header)
            return tr_fail(err, TR_EFORMAT, "%s: its entries %s and %s overlap", file->path,
                           entries[i - 1].name, entries[i].name);
    }
    qsort(entries, (size_t)zip->count, sizeof *entries, compare_names);
    for (int64_t i = 1; i < zip->count; i++)
        if (!strcmp(entries[i - 1].name, entries[i].name))
            return tr_fail(err, TR_EFORMAT, "%s has two entries %s", file->path, entries[i].name);
    return TR_OK;
}

// Offsets count from the archive's start until all is read.
enum tr_status tr_zip_open(struct tr_zip *zip, const struct tr_ends *file, struct tr_err *err) {
    struct directory directory = {0};
    struct tr_zip made = {0};
    enum tr_status status;
    TR_TRY(find_directory(file, &directory, err));
    made.directory_size = (size_t)directory.size;
    made.count = (int64_t)directory.count;
    TR_GO(status, TR_NEW(&made.directory, directory.size, "the directory of a ZIP archive", err),
          out);
    TR_GO(status, TR_NEW(&made.entries, directory.count, "the entries of a ZIP archive", err), out);
    TR_GO(status, TR_NEW(&made.names, directory.size, "the names of entries", err), out);
    TR_GO(status, tr_ends_read(file, directory.offset, made.directory, made.directory_size, err),
          out);
    TR_GO(status, read_entries(file, &made, err), out);
    TR_GO(status, check_entries(file, &made, directory.offset, err), out);
    for (int64_t i = 0; i < made.count; i++) {
        made.entries[i].header += file->start;
        made.entries[i].offset += file->start;
    }
    *zip = made;
    return TR_OK;
out:
    tr_zip_close(&made);
    return status;
}

void tr_zip_close(struct tr_zip *zip) {
    free(zip->entries);
    free(zip->directory);
    free(zip->names);
    *zip = (struct tr_zip){0};
}

const struct tr_zip_entry *tr_zip_find(const struct tr_zip *zip, const char *name) {
    const struct tr_zip_entry key = {.name = name};
    if (!zip->count)
        return NULL;
    return bsearch(&key, zip->entries, (size_t)zip->count, sizeof key, compare_names);
}

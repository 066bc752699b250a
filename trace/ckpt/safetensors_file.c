// SPDX-License-Identifier: Apache-2.0
#include "safetensors_file.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "safetensors.h"

enum { ALIGNMENT = 8 }; // of the header's end, with spaces

struct writing {
    const char *path; // for people
    const struct tr_file_entry *entries;
    int64_t count;
    struct tr_string header;
    char *buffer;
    int fd;
};

enum tr_status tr_append_json_string(struct tr_string *to, const char *text, struct tr_err *err) {
    static const char escaped[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    TR_TRY(tr_string_append(to, "\"", 1, err));
    for (; *text; text++) {
        const char *at = strchr(escaped, *text);
        if (at)
            TR_TRY(tr_string_format(to, err, "\\%c", letters[at - escaped]));
        else if ((unsigned char)*text < ' ')
            TR_TRY(tr_string_format(to, err, "\\u%04x", (unsigned)*text));
        else
            TR_TRY(tr_string_append(to, text, 1, err));
    }
    return tr_string_append(to, "\"", 1, err);
}

// ---- header ------------------------------------------------------------------------------------

// Wide types first, so that every tensor is aligned as its elements want it; then by name.
static int compare_entries(const void *a_, const void *b_) {
    const struct tr_file_entry *a = a_, *b = b_;
    return a->rank != b->rank ? (a->rank > b->rank) - (a->rank < b->rank)
                              : strcmp(a->source->name, b->source->name);
}

static enum tr_status append_entry(struct tr_string *header, const struct tr_file_entry *entry,
                                   uint64_t begin, struct tr_err *err) {
    const struct tr_tensor_source *source = entry->source;
    TR_TRY(tr_string_append(header, ",", 1, err));
    TR_TRY(tr_append_json_string(header, source->name, err));
    TR_TRY(tr_string_format(header, err, ":{\"dtype\":\"%s\",\"shape\":[", source->dtype_text));
    for (int i = 0; i < source->dims; i++)
        TR_TRY(tr_string_format(header, err, i ? ",%" PRId64 : "%" PRId64, source->shape[i]));
    return tr_string_format(header, err, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", begin,
                            begin + entry->bytes);
}

static enum tr_status make_header(struct writing *w, struct tr_err *err) {
    uint64_t begin = 0;
    TR_TRY(tr_string_format(&w->header, err, "{\"__metadata__\":{\"format\":\"pt\"}"));
    for (int64_t i = 0; i < w->count; i++) {
        TR_TRY(append_entry(&w->header, &w->entries[i], begin, err));
        begin += w->entries[i].bytes;
    }
    TR_TRY(tr_string_append(&w->header, "}", 1, err));
    while (w->header.size % ALIGNMENT)
        TR_TRY(tr_string_append(&w->header, " ", 1, err));
    if (w->header.size > TR_SAFETENSORS_HEADER_LIMIT)
        return tr_fail(err, TR_EUSAGE, "%s would have a header of %zu bytes, at most %d are read",
                       w->path, w->header.size, TR_SAFETENSORS_HEADER_LIMIT);
    return TR_OK;
}

// ---- bytes -------------------------------------------------------------------------------------

static enum tr_status put(const struct writing *w, const void *bytes, size_t size,
                          struct tr_err *err) {
    const char *from = bytes;
    while (size) {
        ssize_t done = write(w->fd, from, size);
        if (done < 0 && errno != EINTR)
            return tr_fail(err, TR_EIO, "cannot write %s: %s", w->path, strerror(errno));
        from += done > 0 ? done : 0;
        size -= done > 0 ? (size_t)done : 0;
    }
    return TR_OK;
}

static enum tr_status read_source(const struct tr_tensor_source *source, uint64_t begin,
                                  void *bytes, size_t size, struct tr_err *err) {
    if (source->read)
        return source->read(source->user, begin, bytes, size, err);
    return tr_checkpoint_read(source->checkpoint, source->tensor, begin, bytes, size, err);
}

static enum tr_status put_tensor(const struct writing *w, const struct tr_file_entry *entry,
                                 struct tr_err *err) {
    for (uint64_t at = 0; at < entry->bytes; at += TR_WRITE_BUFFER) {
        uint64_t left = entry->bytes - at;
        size_t size = left < TR_WRITE_BUFFER ? (size_t)left : TR_WRITE_BUFFER;
        TR_TRY(read_source(entry->source, at, w->buffer, size, err));
        TR_TRY(put(w, w->buffer, size, err));
    }
    return TR_OK;
}

static enum tr_status put_all(const struct writing *w, struct tr_err *err) {
    uint64_t size = htole64((uint64_t)w->header.size);
    TR_TRY(put(w, &size, sizeof size, err));
    TR_TRY(put(w, w->header.data, w->header.size, err));
    for (int64_t i = 0; i < w->count; i++)
        TR_TRY(put_tensor(w, &w->entries[i], err));
    return TR_OK;
}

static enum tr_status write_aside(const void *user, const char *aside, struct tr_err *err) {
    struct writing w = *(const struct writing *)user;
    w.fd = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (w.fd < 0)
        return tr_fail(err, TR_EIO, "cannot create %s: %s", w.path, strerror(errno));
    enum tr_status status = put_all(&w, err);
    if (close(w.fd) && status == TR_OK)
        status = tr_fail(err, TR_EIO, "cannot write %s: %s", w.path, strerror(errno));
    return status;
}

enum tr_status tr_safetensors_write_file(const char *path, struct tr_file_entry *entries,
                                         int64_t count, char *buffer, struct tr_err *err) {
    struct writing w = {.path = path, .entries = entries, .count = count, .buffer = buffer};
    if (count)
        qsort(entries, (size_t)count, sizeof *entries, compare_entries);
    enum tr_status status = make_header(&w, err);
    if (status == TR_OK)
        status = tr_file_replace_by(path, true, write_aside, &w, err);
    tr_string_free(&w.header);
    return status;
}

// SPDX-License-Identifier: Apache-2.0
#ifndef FUZZ_LAYOUT_H
#define FUZZ_LAYOUT_H

// A checkpoint of several files, opened by a reader: the input is the pickles of its files one
// behind the other, with a line "--" between them, and each is put into an archive as torch.save
// writes it, with the storages that it asks for. Files that have none of their own get the last.

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "fuzz_folder.h"
#include "reader.h"
#include "torch/torch_pickle.h"

enum { LAYOUT_BYTES = 1 << 20, LAYOUT_STORAGES = 64, LAYOUT_FILES = 6 };

struct layout {
    const char *files[LAYOUT_FILES]; // within the folder; those that end in .yml are text
    const char *name;                // by which the format is recognised
    tr_format_open *read, *configure;
};

struct archive {
    unsigned char bytes[LAYOUT_BYTES];
    size_t size, directory;
    struct {
        char name[300];
        size_t size, at;
    } entries[LAYOUT_STORAGES + 1];
    int count;
};

static char layout_folder[64];
static const struct layout *layout_now;

static void layout_path(char path[256], const char *name) {
    snprintf(path, 256, "%s/%s", layout_folder, name);
}

static void layout_remove(void) {
    char path[256];
    for (int i = 0; i < LAYOUT_FILES && layout_now->files[i]; i++) {
        layout_path(path, layout_now->files[i]);
        unlink(path);
        *strrchr(path, '/') = 0;
        rmdir(path);
    }
    rmdir(layout_folder);
}

static void layout_make(const struct layout *layout) {
    char path[256];
    layout_now = layout;
    fuzz_folder_make(layout_folder);
    for (int i = 0; i < LAYOUT_FILES && layout->files[i]; i++) {
        layout_path(path, layout->files[i]);
        *strrchr(path, '/') = 0;
        mkdir(path, 0700); // it may be there
    }
    atexit(layout_remove);
}

// ---- an archive --------------------------------------------------------------------------------

static void archive_put(struct archive *a, size_t at, int width, uint64_t value) {
    for (int i = 0; i < width; i++)
        a->bytes[at + (size_t)i] = (unsigned char)(value >> 8 * i);
}

static size_t archive_append(struct archive *a, const void *bytes, size_t size) {
    size_t at = a->size;
    if (bytes)
        memcpy(a->bytes + at, bytes, size);
    else
        memset(a->bytes + at, 0, size);
    a->size += size;
    return at;
}

// Room for the headers and the directory is left.
static bool archive_add(struct archive *a, const char *name, const void *data, size_t size) {
    if (size > LAYOUT_BYTES || a->size + size > LAYOUT_BYTES - (LAYOUT_STORAGES + 1) * 800)
        return false;
    snprintf(a->entries[a->count].name, sizeof a->entries[0].name, "%s", name);
    a->entries[a->count].size = size;
    size_t at = a->entries[a->count++].at = archive_append(a, NULL, 30);
    archive_put(a, at, 4, 0x04034b50);
    archive_put(a, at + 6, 2, 0x0808);
    archive_put(a, at + 26, 2, strlen(name));
    archive_append(a, name, strlen(name));
    archive_append(a, data, size);
    return true;
}

static void archive_finish(struct archive *a) {
    size_t begin = a->size;
    for (int i = 0; i < a->count; i++) {
        size_t length = strlen(a->entries[i].name), at = archive_append(a, NULL, 46);
        archive_put(a, at, 4, 0x02014b50);
        archive_put(a, at + 8, 2, 0x0808);
        archive_put(a, at + 20, 4, a->entries[i].size);
        archive_put(a, at + 24, 4, a->entries[i].size);
        archive_put(a, at + 28, 2, length);
        archive_put(a, at + 42, 4, a->entries[i].at);
        archive_append(a, a->entries[i].name, length);
    }
    size_t size = a->size - begin, at = archive_append(a, NULL, 22);
    archive_put(a, at, 4, 0x06054b50);
    archive_put(a, at + 8, 2, (uint64_t)a->count);
    archive_put(a, at + 10, 2, (uint64_t)a->count);
    archive_put(a, at + 12, 4, size);
    archive_put(a, at + 16, 4, begin);
}

static bool archive_has(const struct archive *a, const char *name) {
    for (int i = 0; i < a->count; i++)
        if (!strcmp(a->entries[i].name, name))
            return true;
    return false;
}

static bool archive_add_storage(struct archive *a, const struct tr_value *storage) {
    char name[300];
    struct tr_slice key = storage->storage.key;
    uint64_t count = (uint64_t)storage->storage.count;
    if (key.size > 200 || memchr(key.bytes, 0, key.size) || count > LAYOUT_BYTES ||
        a->count > LAYOUT_STORAGES)
        return false;
    snprintf(name, sizeof name, "a/data/%.*s", (int)key.size, key.bytes);
    return archive_has(a, name) ||
           archive_add(a, name, NULL, (size_t)(count * storage->storage.type->size));
}

static bool archive_make(struct archive *a, const uint8_t *pickle, size_t size) {
    struct tr_pickle read;
    a->size = 0;
    a->count = 0;
    if (!archive_add(a, "a/data.pkl", pickle, size) ||
        tr_pickle_read(&read, pickle, size, "file", NULL) != TR_OK)
        return false;
    bool good = true;
    for (uint64_t i = 0; i < read.storage_count && good; i++)
        good = archive_add_storage(a, read.storages[i]);
    tr_pickle_free(&read);
    if (good)
        archive_finish(a);
    return good;
}

// ---- the checkpoint ----------------------------------------------------------------------------

static bool layout_write(const char *name, const uint8_t *part, size_t size) {
    static struct archive archive;
    char path[256];
    bool text = strstr(name, ".yml") != NULL;
    if (!text && !archive_make(&archive, part, size))
        return false;
    layout_path(path, name);
    FILE *file = fopen(path, "wb");
    const void *bytes = text ? part : archive.bytes;
    size_t wanted = text ? size : archive.size;
    bool good = file && fwrite(bytes, 1, wanted, file) == wanted;
    return file && !fclose(file) && good;
}

static bool layout_write_all(const struct layout *layout, const uint8_t *data, size_t size) {
    static const char mark[] = "\n--\n";
    const uint8_t *part = data, *end = data + size;
    for (int i = 0; i < LAYOUT_FILES && layout->files[i]; i++) {
        const uint8_t *next = memmem(part, (size_t)(end - part), mark, 4);
        if (!layout_write(layout->files[i], part, (size_t)((next ? next : end) - part)))
            return false;
        part = next ? next + 4 : part;
    }
    return true;
}

// What the pickles say of the model, and where that is not enough, something.
static enum tr_status layout_configure(struct tr_checkpoint *checkpoint, const char *name,
                                       struct tr_err *err) {
    static const char config[] = "{\"model_type\": \"llama\", \"num_attention_heads\": 4, "
                                 "\"num_key_value_heads\": 2, \"hidden_size\": 16, "
                                 "\"intermediate_size\": 24, \"vocab_size\": 40, "
                                 "\"num_hidden_layers\": 4}";
    if (layout_now->configure && layout_now->configure(checkpoint, name, NULL) == TR_OK &&
        checkpoint->config)
        return TR_OK;
    return tr_checkpoint_set_config(checkpoint, name, config, sizeof config - 1, err);
}

// All that was promised can be read.
static void layout_read(struct tr_checkpoint *checkpoint) {
    enum { MOST = 1 << 22 };
    static char bytes[MOST];
    for (int64_t i = 0; i < tr_checkpoint_tensor_count(checkpoint); i++) {
        const struct tr_tensor *tensor = tr_checkpoint_tensor(checkpoint, i);
        if (tensor->bytes <= MOST &&
            tr_checkpoint_read(checkpoint, tensor, 0, bytes, (size_t)tensor->bytes, NULL) != TR_OK)
            abort();
    }
}

static int layout_run(const struct layout *layout, const uint8_t *data, size_t size) {
    const struct tr_format format = {.name = layout->name,
                                     .read = layout->read,
                                     .configure = layout_configure,
                                     .foreign_config = true};
    struct tr_checkpoint *checkpoint;
    if (!*layout_folder)
        layout_make(layout);
    if (!layout_write_all(layout, data, size) ||
        tr_checkpoint_open_as(&checkpoint, layout_folder, &format, NULL) != TR_OK)
        return 0;
    layout_read(checkpoint);
    tr_checkpoint_close(checkpoint);
    return 0;
}

#endif

// SPDX-License-Identifier: Apache-2.0
// A checkpoint with quantized weights: config.json, a line "--", and a safetensors file. What opens
// has weights whose tensors are where they were said to be, so that reading can fail by a group
// that is none, or a zero, alone.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ckpt/checkpoint.h"
#include "fuzz.h"
#include "fuzz_folder.h"

enum { LARGEST = 1 << 22 };
static char folder[64], config_path[96], weights_path[96];

static void remove_all(void) {
    unlink(config_path);
    unlink(weights_path);
    rmdir(folder);
}

static void make_folder(void) {
    fuzz_folder_make(folder);
    snprintf(config_path, sizeof config_path, "%s/config.json", folder);
    snprintf(weights_path, sizeof weights_path, "%s/model.safetensors", folder);
    atexit(remove_all);
}

static void write_file(const char *path, const uint8_t *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file))
        abort();
}

// All of it at once, and in parts that begin and end within values.
static void read_tensor(struct tr_checkpoint *checkpoint, const struct tr_tensor *tensor) {
    static char whole[LARGEST], parts[LARGEST];
    struct tr_err err;
    uint64_t at = 0;
    if (tensor->bytes > LARGEST ||
        tr_checkpoint_read(checkpoint, tensor, 0, whole, (size_t)tensor->bytes, &err) != TR_OK)
        return;
    for (size_t step = 1; at < tensor->bytes; at += step, step = step * 3 + 1) {
        step = tensor->bytes - at < step ? (size_t)(tensor->bytes - at) : step;
        if (tr_checkpoint_read(checkpoint, tensor, at, parts + at, step, &err) != TR_OK)
            abort();
    }
    if (memcmp(whole, parts, (size_t)tensor->bytes) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *mark = memmem(data, size, "\n--\n", 4);
    struct tr_checkpoint *checkpoint;
    struct tr_err err;
    if (!mark)
        return 0;
    if (!*folder)
        make_folder();
    write_file(config_path, data, (size_t)(mark - data));
    write_file(weights_path, mark + 4, size - (size_t)(mark + 4 - data));
    if (tr_checkpoint_open(&checkpoint, folder, &err) != TR_OK)
        return 0;
    for (int64_t i = 0; i < tr_checkpoint_tensor_count(checkpoint); i++)
        read_tensor(checkpoint, tr_checkpoint_tensor(checkpoint, i));
    tr_checkpoint_close(checkpoint);
    return 0;
}

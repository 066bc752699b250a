// SPDX-License-Identifier: Apache-2.0
#ifndef TR_TOKEN_FILE_H
#define TR_TOKEN_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "npy.h"

// A file of token ids: .npy, raw (.u16, .bin, .u32) or .jsonl with "input_ids".

struct tr_token_file {
    const char *path; // borrowed
    struct tr_token_layout layout;
    int fd;          // of a file read in place, else -1
    int64_t *values; // [tr_token_count] of a .jsonl, else NULL
};

enum tr_status tr_token_file_open(struct tr_token_file *file, const char *path, struct tr_err *err);
void tr_token_file_close(struct tr_token_file *file);

// Copies ids [first, first + count) to `out`; the range must lie within the file.
enum tr_status tr_token_file_read(const struct tr_token_file *file, int64_t first, int64_t count,
                                  int64_t *out, struct tr_err *err);

// The lines of a .jsonl: rows when there are several of one length, else one stream. *values_p is
// freed with free().
enum tr_status tr_token_jsonl_parse(struct tr_token_layout *layout, int64_t **values_p,
                                    const char *bytes, size_t size, const char *path,
                                    struct tr_err *err);

// TR_EUSAGE with advice when the name says that the file is compressed.
enum tr_status tr_refuse_compressed(const char *path, struct tr_err *err);
bool tr_has_extension(const char *path, const char *extension);

#endif

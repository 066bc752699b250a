// SPDX-License-Identifier: Apache-2.0
#ifndef TR_FILE_H
#define TR_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "status.h"

// Reads exactly `size` bytes at `offset` of an open file, retrying short reads; `path` is for the
// sentence. TR_EIO when the file ends early or reading fails.
enum tr_status tr_file_read_at(int fd, const char *path, uint64_t offset, void *bytes, size_t size,
                               struct tr_err *err);

// The whole file, followed by a 0 that is not counted; freed with free(). TR_EFORMAT when it is
// larger than `limit` bytes.
enum tr_status tr_file_load(const char *path, uint64_t limit, char **bytes_p, size_t *size_p,
                            struct tr_err *err);

// Replaces `path` atomically and durably: write beside it, fsync, rename, fsync the folder.
enum tr_status tr_file_replace(const char *path, const void *bytes, size_t size,
                               struct tr_err *err);

// The two halves of an atomic publication of a file somebody else wrote: fsyncs `path`, renames it
// to `final_path`, fsyncs the folder.
enum tr_status tr_file_publish(const char *path, const char *final_path, struct tr_err *err);

bool tr_file_exists(const char *path);
bool tr_is_folder(const char *path);

#endif

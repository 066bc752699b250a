// SPDX-License-Identifier: Apache-2.0
#ifndef TR_SEAL_H
#define TR_SEAL_H

#include <stdint.h>

#include "base/status.h"

// The seal of a file: behind its last byte, where HDF5 does not look and whence it cuts when
// somebody writes, stand a digest of every block and a footer. Who reads a sealed file compares a
// block with its digest before anything else sees it: damaged bytes do not reach HDF5, which may
// crash over them. A file without a seal was written by another program, changed by one, or is of
// schema 1.0.
//
//   bytes of the file, `size` of them
//   digests[ceil(size / TR_SEAL_BLOCK)], 32 hex digits each (XXH3-128)
//   "\ntrace-ckpts seal 1\n", `size` as 16 hex digits, the digest of all before it from `digests`
//   on
struct tr_seal {
    uint64_t size;  // of what is sealed
    char *digests;  // [blocks][32]; NULL: there is no seal
    uint8_t *known; // [blocks] whether the block was compared
};

enum { TR_SEAL_BLOCK = 1 << 16 };

// Seals a finished file as it is on disk.
enum tr_status tr_seal_append(const char *path, struct tr_err *err);

// Reads the seal of an open file of `size` bytes; `path` is for the sentence. No seal is no error:
// then seal->size is the file's. TR_EFORMAT when there is one and it does not fit.
enum tr_status tr_seal_load(struct tr_seal *seal, int fd, const char *path, uint64_t size,
                            struct tr_err *err);
void tr_seal_free(struct tr_seal *seal);

// Compares the blocks that hold bytes [at, at + size) with their digests, each once. TR_EFORMAT
// with the sentence on the first that differs. Without a seal nothing is compared.
enum tr_status tr_seal_check(struct tr_seal *seal, int fd, const char *path, uint64_t at,
                             uint64_t size, struct tr_err *err);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef TR_SOURCE_H
#define TR_SOURCE_H

#include <hdf5.h>

#include "seal.h"

// A file that HDF5 reads through us: only bytes that the file's seal vouches for get to it, where
// there is a seal.
struct tr_source {
    const char *path; // borrowed
    int fd;
    struct tr_seal seal;
    uint64_t end; // of HDF5's part of the file
};

// TR_EFORMAT when the path is no regular file, or the seal is damaged.
enum tr_status tr_source_open(struct tr_source *source, const char *path, struct tr_err *err);
void tr_source_close(struct tr_source *source);

// Compares all of a sealed file with its seal.
enum tr_status tr_source_check(struct tr_source *source, struct tr_err *err);

// Opens it as an HDF5 file, read-only; the source has to live as long. Callers hold the HDF5 lock.
enum tr_status tr_source_hdf5(struct tr_source *source, hid_t *file_p, struct tr_err *err);

#endif

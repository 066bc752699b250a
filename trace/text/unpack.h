// SPDX-License-Identifier: Apache-2.0
#ifndef TR_UNPACK_H
#define TR_UNPACK_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

// How bytes are packed, by their first ones.
enum tr_packing { TR_UNPACKED, TR_GZIP, TR_ZSTD, TR_XZ, TR_BZIP2, TR_PACKINGS };
enum tr_packing tr_packing_of(const void *bytes, size_t size);

// Unpacks all members or frames into a new string with a 0 behind it, freed with free(). TR_EUSAGE
// where they are more than `limit` bytes, and for xz and bzip2, which are not read; TR_EFORMAT for
// what is cut off or damaged. `path` is for sentences.
enum tr_status tr_unpack(char **bytes_p, size_t *size_p, const void *packed, size_t size,
                         uint64_t limit, const char *path, struct tr_err *err);

#endif

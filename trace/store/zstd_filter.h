// SPDX-License-Identifier: Apache-2.0
#ifndef TR_ZSTD_FILTER_H
#define TR_ZSTD_FILTER_H

#include <hdf5.h>

// HDF5 filter 32015, "Zstandard compression": one frame per chunk, its content size in the frame.
enum { TR_ZSTD_FILTER = 32015, TR_ZSTD_LEVEL = 3 };

extern const H5Z_class2_t tr_zstd_class;

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef TR_HDF5_UTIL_H
#define TR_HDF5_UTIL_H

#include <hdf5.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "store/variables.h"

// What every source here needs of HDF5. HDF5 may be built without thread safety, so everything
// between tr_hdf5_enter and tr_hdf5_leave holds one recursive lock. The first enter also silences
// HDF5's printing and registers the zstd filter.
void tr_hdf5_enter(void);
void tr_hdf5_leave(void);
// To be called first by a forked child whose parent held the lock.
void tr_hdf5_forked(void);

// HDF5 crashes over what is left of a file that it could not close: after that, said by whoever
// closed it, this process opens and creates no more files. TR_EIO then, with what the system said
// of the write that failed: another thread may tell it before the one that saw the failure does.
void tr_hdf5_close_failed(void);
enum tr_status tr_hdf5_usable(struct tr_err *err);

// Fails with "<sentence>: <cause>", the cause taken from HDF5's error stack: the system's own text
// ("No space left on device", then the code is TR_EIO) or else HDF5's innermost. To be called
// before any other call of HDF5, which would clear the stack.
enum tr_status tr_hdf5_fail(struct tr_err *err, enum tr_status code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// File access properties: readers take no lock on the file (no writer ever changes it, and many
// cluster file systems refuse locks), 1.8 file format, closing a file closes what is open in it.
// The caller closes it; negative on failure.
hid_t tr_hdf5_access(void);

// Closes `id` with HDF5's function for its kind; nothing is open where it is 0 or negative. Returns
// `status`, or where that is TR_OK the failure to close: a dataset may be written only then.
enum tr_status tr_hdf5_close(enum tr_status status, herr_t (*close)(hid_t), hid_t id,
                             const char *name, const char *path, struct tr_err *err);

// Variable-length UTF-8; lives as long as the process.
hid_t tr_hdf5_string_type(void);
// The type in the file, always little endian, and the one in memory.
hid_t tr_hdf5_file_type(enum tr_value_type type);
hid_t tr_hdf5_memory_type(enum tr_value_type type);

// Attributes; `path` is for the sentence.
enum tr_status tr_hdf5_put_text(hid_t object, const char *path, const char *name, const char *text,
                                struct tr_err *err);
enum tr_status tr_hdf5_put_values(hid_t object, const char *path, const char *name,
                                  enum tr_value_type type, int64_t count, const void *values,
                                  struct tr_err *err);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef TR_TRY_APART_H
#define TR_TRY_APART_H

#include <stdint.h>

#include "base/status.h"

// Does the work in a process of its own first, for HDF5 may crash over a damaged file or go round
// in circles: that is TR_EFORMAT then, and nothing of it reaches this process. `bytes`: how large
// the file is, which bounds the time that the work may take. What the work returns is passed on.
// Callers hold the HDF5 lock.
enum tr_status tr_try_apart(enum tr_status (*work)(const char *path, struct tr_err *err),
                            const char *path, uint64_t bytes, struct tr_err *err);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef TR_EXCERPT_CHECK_H
#define TR_EXCERPT_CHECK_H

#include "store/excerpt.h"

// Reads back the file that an excerpt of a trace was written to, and compares every value with the
// trace's. TR_EIO with the sentence when one differs. Callers hold the HDF5 lock.
enum tr_status tr_excerpt_check(const struct tr_trace *trace, const struct tr_excerpt *excerpt,
                                const char *path, struct tr_err *err);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef TR_WRITTEN_H
#define TR_WRITTEN_H

#include <stdint.h>

#include "base/status.h"
#include "store/run_info.h"

// Reads back a file that was just written, whole, before it counts: a library or a system that lost
// a write and said nothing is found out then. digests[count] are those of the rows (row_digest.h);
// "" where only the file itself knows it. TR_EIO with the sentence when the file differs.
enum tr_status tr_written_check(const char *path, const struct tr_run_info *info,
                                const char *const *digests, int64_t count, struct tr_err *err);

#endif

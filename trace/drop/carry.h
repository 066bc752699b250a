// SPDX-License-Identifier: Apache-2.0
#ifndef TR_CARRY_H
#define TR_CARRY_H

#include "drop_job.h"

// Files of the source that the target has, too. Private to this folder.

// The file `path` as folder/name: a copy, which shares its blocks where the file system can, or a
// hard link where the job says so.
enum tr_status tr_carry_file(const struct tr_drop_job *job, const char *path, const char *folder,
                             const char *name, struct tr_err *err);

// The regular files beside the weights: tokenizer, generation settings, code, licence. Weights of
// any format, their indexes, config.json and folders are left out; the names of those that are not
// the checkpoint's own are appended to `left_out`, with commas.
enum tr_status tr_carry_others(const struct tr_drop_job *job, const char *folder,
                               struct tr_string *left_out, struct tr_err *err);

#endif

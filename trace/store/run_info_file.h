// SPDX-License-Identifier: Apache-2.0
#ifndef TR_RUN_INFO_FILE_H
#define TR_RUN_INFO_FILE_H

#include <hdf5.h>

#include "base/status.h"
#include "store/run_info.h"

// Whether the store itself writes a root attribute of that name.
bool tr_run_info_reserved(const char *name);

// A run's description as root attributes of an open file: schema, layout, the run's own attributes,
// and in identity_attributes the names of those that have to agree.
enum tr_status tr_run_info_write(const struct tr_run_info *info, hid_t file, const char *path,
                                 struct tr_err *err);

// Checks schema and version, then reads the attributes, layout.seq_len, layout.span_tokens and
// layout.cost_batch (the other sizes are the datasets' to tell). The version's second number goes
// to *minor_p. `info` is left partly filled on failure: free it.
enum tr_status tr_run_info_read(struct tr_run_info *info, int64_t *minor_p, hid_t file,
                                const char *path, struct tr_err *err);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef NX_NOTEBOOK_TABLE_H
#define NX_NOTEBOOK_TABLE_H

#include "export/export.h"

// The least important layers of each wanted module with their intervals, as trace-analyze finds
// them over all complete checkpoints: `table` in CSV, and `about`, the sentences that say how.
enum tr_status nx_notebook_table(const struct nx_job *job, struct tr_string *table,
                                 struct tr_string *about, struct tr_err *err);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef NX_NOTEBOOK_TABLE_H
#define NX_NOTEBOOK_TABLE_H

#include "export/export.h"

// The least important layers of each wanted module with their intervals, as trace-analyze finds
// them: `table` in CSV, `about`, the sentences that say how, and `rule` (an_rule_text).
enum tr_status nx_notebook_table(const struct nx_job *job, struct tr_string *table,
                                 struct tr_string *about, struct tr_string *rule,
                                 struct tr_err *err);

#endif

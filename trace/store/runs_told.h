// SPDX-License-Identifier: Apache-2.0
#ifndef TR_RUNS_TOLD_H
#define TR_RUNS_TOLD_H

#include "base/strings.h"
#include "store/run_info.h"

// The attribute `history`: a line for each run.

// Adds those lines of a file's history that are not there yet, however many files have them.
enum tr_status tr_history_add(struct tr_string *history, const struct tr_run_info *info,
                              struct tr_err *err);

#endif

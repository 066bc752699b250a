// SPDX-License-Identifier: Apache-2.0
#ifndef NX_SELECTION_H
#define NX_SELECTION_H

#include "export/export.h"

// Narrows a whole excerpt to what the options ask for: layers and steps as lists of numbers and
// ranges (7, 0-3, 512-), modules and variables as lists of names. TR_EUSAGE with what there is
// when something is asked for that the trace does not have.
enum tr_status nx_select(struct tr_excerpt *excerpt, const struct tr_trace *trace,
                         const struct nx_options *options, const struct nx_exporter *exporter,
                         struct tr_err *err);

// Whether the variable has numbers over exactly (checkpoint, layer, module).
bool nx_is_mean(enum tr_variable_id id);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef AN_SET_COSTS_H
#define AN_SET_COSTS_H

#include "analysis/result.h"

// Makes the costs of the named sets of a store that has any: what each set costs at each checkpoint
// and what the single costs of its sublayers add up to.
enum tr_status an_set_costs_make(struct an_result *result, const struct tr_trace *trace,
                                 struct tr_err *err);
void an_set_costs_free(struct an_result *result);

#endif

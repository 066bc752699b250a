// SPDX-License-Identifier: Apache-2.0
#ifndef AN_BUDGET_H
#define AN_BUDGET_H

#include "analysis/result.h"

// Plans under a budget: of all sets of the units of the one group that is wanted, those that no
// other set beats in what they save without costing more, where what sets cost is the sum of what
// their units do (front.h), and the cheapest of them that leaves no more than the budget allows.
// Protected layers stay. `result` has its series and groups. Leaves result->budget NULL where
// nobody asked. TR_EUSAGE: several groups, a budget that cannot be met; TR_EUNSUPPORTED: the store
// does not say what sublayers take, or too many sets matter.
enum tr_status an_budget_make(struct an_result *result, const struct tr_trace *trace,
                              struct tr_err *err);
void an_budget_free(struct an_budget *budget);

#endif

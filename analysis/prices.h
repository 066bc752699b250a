// SPDX-License-Identifier: Apache-2.0
#ifndef AN_PRICES_H
#define AN_PRICES_H

#include "analysis/result.h"

// What less of a resource costs: result->price, of each group that was ranked and each resource of
// which its units take some, in the order of the groups and resources. Bytes are left out: they are
// as parameters are. A group of which too many sets matter has none, and a store that does not say
// what sublayers take has none at all. `result` has its series and groups.
enum tr_status an_prices_make(struct an_result *result, const struct tr_trace *trace,
                              struct tr_err *err);
void an_prices_free(struct an_result *result);

// The least that a model costs that takes at most this share of the resource; NaN: none does.
double an_price_at(const struct an_price *price, double share);

#endif

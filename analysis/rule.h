// SPDX-License-Identifier: Apache-2.0
#ifndef AN_RULE_H
#define AN_RULE_H

#include "analysis/result.h"
#include "base/strings.h"

// How everything that shows a result says what it shows.

// By which rule the sets are the least important: "by mean importance over training, weighed by
// tokens, from step 1024 on". A checkpoint's weight is the tokens or steps of training that it
// stands for. It quotes no text of the store.
enum tr_status an_rule_text(struct tr_string *out, const struct an_result *result,
                            struct tr_err *err);

// A share of resamples: "0.81". Of all or of none of them it is a bound, "over 0.9999" or "under
// 0.0001", because more resamples might have told.
enum { AN_PROBABILITY_MAX = 40 };
char *an_probability_text(double p, int64_t resamples, char out[AN_PROBABILITY_MAX]);

#endif

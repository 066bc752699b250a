// SPDX-License-Identifier: Apache-2.0
#ifndef TR_TEXT_COSTS_H
#define TR_TEXT_COSTS_H

#include "base/strings.h"

// Appends a table of what the store at `path` says of each checkpoint, whole and without its named
// sets, over the rows of the text, which are packed: each begins anew and is a paired observation.
//   Loss        mean next-token loss in nats; Perplexity its exponential
//   Added loss  mean over rows of the loss less the whole model's
//   KL          of the whole model's next-token distribution from this one's, in nats
//   JS          Jensen-Shannon divergence of both, in nats; Angle that of the logits, in radians
//   Agreement   share of positions with the same likeliest token
//   One by one  of loss and KL, the sum of what each of the set's sublayers costs alone, where the
//               store has single costs of the modules; NaN where it lacks one
// with two-sided intervals of the means at `level` (Student's t, corrected for skewness). Failed
// checkpoints have no rows. A store without losses gives nothing.
enum tr_status tr_text_costs_table(const char *path, double level, struct tr_string *out,
                                   struct tr_err *err);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef AN_ONSET_H
#define AN_ONSET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

// overlap[checkpoints]: of the k lowest units at the last checkpoint, the share that is among the k
// lowest at each. chance is k / units. values[checkpoints, units]; ties go to the lower unit; where
// fewer than k units have a value, all those do. TR_ENOMEM, TR_EUSAGE unless 1 <= k <= units.
enum tr_status an_overlap_with_last(double *overlap, const double *values, int64_t checkpoints,
                                    int64_t units, int64_t k, struct tr_err *err);

// lowest[checkpoints, units]: whether the unit is among the k lowest at the checkpoint. As above.
enum tr_status an_mark_lowest(bool *lowest, const double *values, int64_t checkpoints,
                              int64_t units, int64_t k, struct tr_err *err);

#endif

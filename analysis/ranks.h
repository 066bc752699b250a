// SPDX-License-Identifier: Apache-2.0
#ifndef AN_RANKS_H
#define AN_RANKS_H

#include <stdint.h>

#include "status.h"

// The layers in order of their mean importance over checkpoints, and how often each is among the
// lowest. Ties go to the lower layer. A value that is not finite is an absent layer: it counts
// nowhere.
struct an_place {
    int64_t layer;
    int64_t measured;             // checkpoints at which the layer has a value
    double mean, lowest, highest; // over those; NaN when there are none
    int64_t among;                // checkpoints at which it is among the `count` lowest
};

struct an_ranking {
    int64_t checkpoints, layers;
    int64_t count;           // how many are "the lowest": at most `present`
    int64_t present;         // layers with a value at some checkpoint
    struct an_place *places; // [layers] by mean; absent layers last, in order
    // The chosen set: the layers of the first `count` places.
    int64_t together; // checkpoints at which the chosen are the `count` lowest
    int64_t since;    // first checkpoint from which on they always are; `checkpoints`: none
};

// values [checkpoints, layers]; `count` 0: about a quarter of the layers that are present.
enum tr_status an_rank(struct an_ranking *ranking, const double *values, int64_t checkpoints,
                       int64_t layers, int64_t count, struct tr_err *err);
void an_ranking_free(struct an_ranking *ranking);

#endif

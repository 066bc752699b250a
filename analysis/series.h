// SPDX-License-Identifier: Apache-2.0
#ifndef AN_SERIES_H
#define AN_SERIES_H

#include <stdint.h>

#include "status.h"
#include "store.h"

// What a store says of the layers over training: its complete checkpoints, in order.
struct an_series {
    int64_t layers, sequences, seq_len;
    int64_t checkpoints;             // complete ones from the wanted step on
    int64_t earlier;                 // complete ones before it
    char **label;                    // [checkpoints] "step 512"; the name where no step is known
    char **column;                   // [checkpoints] the same for narrow columns: "512", "143k"
    double *importance[TR_MODULES];  // [checkpoints, layers] mean 1 - cos; NaN: absent
    uint32_t *nonfinite[TR_MODULES]; // [checkpoints, layers] tokens left out of the mean
    int64_t failed;
    char **failure; // [failed] "step 512 (name): reason"
};

// Reads the complete rows whose step is at least `from` (INT64_MIN: all, also those of unknown
// step). TR_EFORMAT naming `path` when no row is complete, TR_EUSAGE when none is from that step
// on.
enum tr_status an_series_load(struct an_series *series, const struct tr_trace *trace,
                              const char *path, int64_t from, struct tr_err *err);
void an_series_free(struct an_series *series);

#endif

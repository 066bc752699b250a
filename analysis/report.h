// SPDX-License-Identifier: Apache-2.0
#ifndef AN_REPORT_H
#define AN_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "heatmap.h"
#include "series.h"
#include "status.h"
#include "text.h"

// What trace-analyze prints: faults of the data first, then for each wanted module the layers by
// mean importance, a heat map, and a sentence on the least important ones.
struct an_report {
    const char *path; // of the store, for the heading
    bool wanted[TR_MODULES];
    int64_t count; // how many layers are "the least important"; 0: about a quarter
    struct an_style style;
};

enum tr_status an_report_write(const struct an_report *report, const struct an_series *series,
                               struct tr_string *out, struct tr_err *err);

#endif

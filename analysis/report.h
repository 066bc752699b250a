// SPDX-License-Identifier: Apache-2.0
#ifndef AN_REPORT_H
#define AN_REPORT_H

#include "analysis/compare.h"
#include "analysis/heatmap.h"
#include "analysis/result.h"
#include "base/status.h"
#include "base/strings.h"

// What trace-analyze prints of a result: faults of the data first, then for each group the table of
// its layers, a heat map, the sets of the lowest, how stable the ranking is, when it was decided,
// what chance would give, and, where there are costs, what proxies say of them; spans last.
enum tr_status an_report_write(const struct an_result *result, const struct an_style *style,
                               struct tr_string *out, struct tr_err *err);

// And of two results against each other; `comparison` is theirs.
enum tr_status an_report_compare(const struct an_comparison *comparison,
                                 const struct an_result *first, const struct an_result *second,
                                 const struct an_style *style, struct tr_string *out,
                                 struct tr_err *err);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef TR_ANALYZE_OPTIONS_H
#define TR_ANALYZE_OPTIONS_H

#include "analysis/report.h"
#include "analysis/result.h"
#include "option.h"

// trace-analyze's command line.
struct analyze_options {
    const char *path[2];     // the second: NULL, or a run to compare with
    const char *json, *plan; // files to write; NULL: none; json "-": stdout, in place of a report
    const char *set;         // that the plan is of, as --drop takes it; NULL: one is chosen
    enum an_format format;
    unsigned sections; // bits of an_section
    bool brief, full;  // asked for by these words,
    bool asked;        // by --sections
    struct an_settings settings;
};

struct analyze_options tr_analyze_defaults(void);

#endif

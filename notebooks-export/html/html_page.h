// SPDX-License-Identifier: Apache-2.0
#ifndef NX_HTML_PAGE_H
#define NX_HTML_PAGE_H

#include "analysis/result.h"
#include "figures/data.h"
#include "figures/figure.h"

// One HTML file with everything in it. A content security policy lets it load nothing and run no
// script but its own (by its digest); what comes from the store is escaped text all the same.

struct nx_page {
    const char *store; // path, for people
    const struct nx_data *data;
    const struct tr_run_info *info;
    const struct an_result *result;  // of the whole store; NULL: no tables
    const struct nx_figure *figures; // [count] the heat map first
    int count;
};

enum tr_status nx_page_write(struct tr_string *out, const struct nx_page *page, struct tr_err *err);

#endif

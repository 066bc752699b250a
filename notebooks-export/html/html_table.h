// SPDX-License-Identifier: Apache-2.0
#ifndef NX_HTML_TABLE_H
#define NX_HTML_TABLE_H

#include "html/html_page.h"

// A table for each shown module of the layers by their mean importance, with intervals, from the
// analysis; nothing without one. The numbers are those of trace-analyze, to its three digits; a
// cell's data-value is the number in full, by which the page sorts.
enum tr_status nx_html_tables(struct tr_string *out, const struct nx_page *page,
                              struct tr_err *err);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef NX_SVG_H
#define NX_SVG_H

#include "figures/figure.h"
#include "figures/layout.h"

// A figure as SVG 1.1. Text stays text in the generic family sans-serif, so that whoever embeds the
// file chooses the font; sizes are those of print at 89 mm width. Numbers are written in the C
// locale: callers leave LC_NUMERIC as it is at the start of a program.

// A file of its own, with XML declaration, metadata for `source` (what it was made from) and a
// white ground.
enum tr_status nx_svg_document(struct tr_string *out, const struct nx_figure *figure,
                               const char *source, struct tr_err *err);

// An element within a page: classes instead of a ground, ids made of figure->name.
enum tr_status nx_svg_inline(struct tr_string *out, const struct nx_figure *figure,
                             struct tr_err *err);

// Text within XML or HTML, quotes escaped too. What neither may hold (control characters, what is
// not UTF-8) becomes U+FFFD.
enum tr_status nx_escape(struct tr_string *out, const char *text, struct tr_err *err);

#endif

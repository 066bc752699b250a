// SPDX-License-Identifier: Apache-2.0
#ifndef NX_SVG_LINES_H
#define NX_SVG_LINES_H

#include "figures/layout.h"

// The lines and dots of a panel of NX_LINES or NX_POINTS. `id`: for the clipping path.
enum tr_status nx_svg_lines(struct tr_string *out, const struct nx_panel *panel, const char *id,
                            const struct nx_box *box, struct tr_err *err);

// The attributes that give a row's strokes their colour, and the class (and shade, --t) by which a
// page's style may choose others; `kind` is a further class, "" none.
enum tr_status nx_svg_paint(struct tr_string *out, const struct nx_row *row, const char *kind,
                            struct tr_err *err);

#endif

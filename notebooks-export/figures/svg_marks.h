// SPDX-License-Identifier: Apache-2.0
#ifndef NX_SVG_MARKS_H
#define NX_SVG_MARKS_H

#include "figures/layout.h"
#include "figures/svg.h"

// The pieces of an SVG figure: cells, lines, shades and texts.

// One text; what follows a ^ is raised.
struct nx_text {
    double x, y, size;
    const char *anchor; // start, middle, end
    const char *text;
    bool bold, upright; // upright: read from below
};
enum tr_status nx_svg_text(struct tr_string *out, const struct nx_text *text, struct tr_err *err);

// The marks of a panel within its box.
enum tr_status nx_svg_marks(struct tr_string *out, const struct nx_figure *figure, int index,
                            const struct nx_box *box, struct tr_err *err);

// The names of the rows that are named, at the right ends of their lines, moved apart.
enum tr_status nx_svg_names(struct tr_string *out, const struct nx_panel *panel,
                            const struct nx_box *box, struct tr_err *err);

// The colours of the bar.
// The colour of a place on a bar of values.
uint32_t nx_shade(const struct nx_axis *bar, double place);
enum tr_status nx_svg_shades(struct tr_string *out, const struct nx_figure *figure,
                             const struct nx_box *box, struct tr_err *err);

#endif

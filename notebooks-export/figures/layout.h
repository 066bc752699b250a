// SPDX-License-Identifier: Apache-2.0
#ifndef NX_LAYOUT_H
#define NX_LAYOUT_H

#include "figures/figure.h"

// Where everything of a figure lies, in points (1/72 inch) from the top left corner. A figure is
// one column of a journal wide; fonts are of the size of its captions.
enum { NX_WIDTH = 252 };  // 3.5 inches, 89 mm
#define NX_FONT 7.0       // points: text
#define NX_FONT_SMALL 6.0 // points: ticks

#define NX_EDGE 3.0       // points: around the figure
#define NX_NAME_ROOM 13.0 // points: from a panel to the name of a line, its key between them

struct nx_box {
    double x, y, width, height;
};

struct nx_layout {
    double width, height;
    struct nx_box panels[NX_PANELS_MAX]; // where the marks are
    struct nx_box bar;
};

void nx_layout_figure(struct nx_layout *layout, const struct nx_figure *figure);

// About how wide a text is in a sans-serif font of that size, on the generous side; what follows a
// ^ counts as raised.
double nx_text_width(const char *text, double size);

// Where a value of an axis is along a length: bands at their middle.
double nx_along(const struct nx_axis *axis, double value, double length);
// The same from above, for y axes: values grow upwards, bands go downwards.
double nx_down(const struct nx_axis *axis, double value, double length);

// The ticks of an axis that is `length` points long. Bands: named ones only, value = index.
int nx_axis_ticks(const struct nx_axis *axis, double length, bool vertical,
                  struct nx_tick ticks[NX_TICKS_MAX]);

// Moves places apart until neighbours are at least `distance` from each other, keeping their order
// and as far as possible their middle, within [low, high].
void nx_spread(double *places, int64_t count, double distance, double low, double high);

#endif

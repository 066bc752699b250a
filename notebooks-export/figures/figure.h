// SPDX-License-Identifier: Apache-2.0
#ifndef NX_FIGURE_H
#define NX_FIGURE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strings.h"
#include "figures/scale.h"

// What a figure shows, without saying how it is drawn: panels one below the other, each a matrix
// of values with axes, and a colour bar they share. Builders fill it from the data, writers (SVG,
// the page) only read it. Strings are UTF-8 and may come from a file: writers escape them.

enum { NX_LABEL = 96 };

struct nx_axis {
    struct nx_scale scale;
    enum nx_number number;
    char label[NX_LABEL]; // what it is, with its unit; "": none
    char *const *names;   // NX_BANDS: [scale.high] name of each band; borrowed
    bool diverging;       // of a bar: its colours part in the middle of the scale
};

enum nx_marks {
    NX_CELLS,  // a rectangle per value, coloured by the figure's bar
    NX_LINES,  // a line per row
    NX_POINTS, // a line with a dot at every value
    NX_SCATTER // a point per row at one column: its value above its place across
};

// How one row is shown. Colour: of a row of NX_LINES, NX_POINTS or NX_SCATTER.
enum nx_paint {
    NX_INK, // the colour of text
    NX_DISTINCT_COLOUR,
    NX_BY_DEPTH, // the map of layers at `shade`
    NX_FAINT     // in the background
};
struct nx_row {
    char name[NX_LABEL];
    enum nx_paint paint;
    int64_t colour;     // NX_DISTINCT_COLOUR: which
    double shade;       // NX_BY_DEPTH: 0 first to 1 last
    bool dashed, named; // named: its name is written at the line's right end,
    bool keyed;         // behind a piece of the line also where that is faint
};

struct nx_panel {
    char title[NX_LABEL];
    char quantity[NX_LABEL]; // what a value is, for who points at it: "1 − cos"
    enum nx_marks marks;
    int64_t rows, columns;
    const double *values;     // [rows, columns]; NaN: nothing is there. Borrowed
    double *own_values;       // the same when the panel made them; freed
    const double *low, *high; // [rows, columns] the values' intervals; NULL: none. Borrowed
    // NX_SCATTER: [rows, columns] each value's place on the x axis, borrowed; what that is; the
    // column that is drawn.
    const double *across;
    char across_quantity[NX_LABEL];
    int64_t shown;
    struct nx_row *row; // [rows]; freed
    // Each column's place on the x axis, borrowed; NULL: column i is band i.
    const double *at;
    char *const *column_names; // [columns] in full, for who points; borrowed
    bool by_checkpoint;        // columns are the data's checkpoints
    int64_t stride;            // lines go through every so many columns, the last included
    struct nx_axis x, y;       // y of NX_CELLS: bands, the first on top
    double height;             // of the area where marks are, points
};

enum { NX_PANELS_MAX = 8 };

struct nx_figure {
    const char *name;         // borrowed from the table
    char title[NX_LABEL];     // the table's, unless the builder writes another one
    struct tr_string caption; // what is seen, one or two sentences
    struct nx_panel panels[NX_PANELS_MAX];
    int count;
    bool has_bar;
    struct nx_axis bar; // of NX_CELLS' values, or of NX_BY_DEPTH's layers
    bool bar_is_depth;
};

// Starts a panel of rows x columns that are there and at least 1; NX_PANELS_MAX at most.
enum tr_status nx_panel_begin(struct nx_panel **panel_p, struct nx_figure *figure,
                              const char *title, int64_t rows, int64_t columns, struct tr_err *err);
void nx_figure_free(struct nx_figure *figure);

#endif

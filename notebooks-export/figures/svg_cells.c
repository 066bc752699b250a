// SPDX-License-Identifier: Apache-2.0
// Cells of a matrix: strokes as thick as a row, one path for each colour, so that a file stays
// small.
#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "colour.h"
#include "svg_cells.h"
#include "svg_marks.h"

enum { SHADES = 128, ABSENT = SHADES }; // a 128th of the map is less than an eye can tell

static int shade_of(const struct nx_axis *bar, double value) {
    double place = nx_scale_place(&bar->scale, value);
    if (isnan(place))
        return value == 0 ? 0 : ABSENT; // 0 has no place on a logarithmic bar but is lowest
    return (int)lround(fmin(fmax(place, 0), 1) * (SHADES - 1));
}

// A run of cells of one colour in one row.
struct run {
    int shade;
    int64_t row, column, length;
};

static int by_shade(const void *a, const void *b) {
    const struct run *x = a, *y = b;
    if (x->shade != y->shade)
        return x->shade < y->shade ? -1 : 1;
    if (x->row != y->row)
        return x->row < y->row ? -1 : 1;
    return x->column < y->column ? -1 : x->column > y->column;
}

static int64_t find_runs(struct run *runs, const struct nx_panel *panel,
                         const struct nx_axis *bar) {
    int64_t count = 0;
    for (int64_t row = 0; row < panel->rows; row++)
        for (int64_t column = 0; column < panel->columns; column++) {
            int shade = shade_of(bar, panel->values[row * panel->columns + column]);
            if (column > 0 && runs[count - 1].shade == shade)
                runs[count - 1].length++;
            else
                runs[count++] = (struct run){shade, row, column, 1};
        }
    return count;
}

static enum tr_status put_runs(struct tr_string *out, const struct run *runs, int64_t count,
                               const struct nx_axis *bar, struct tr_err *err) {
    for (int64_t i = 0; i < count; i++) {
        if (i == 0 || runs[i].shade != runs[i - 1].shade) {
            TR_TRY(tr_string_format(out, err, "%s<path ", i ? "\"/>\n" : ""));
            if (runs[i].shade == ABSENT)
                TR_TRY(tr_string_format(out, err, "class=\"absent\" stroke=\"#ddd\" d=\""));
            else
                TR_TRY(tr_string_format(out, err, "stroke=\"#%06x\" d=\"",
                                        nx_shade(bar, runs[i].shade / (SHADES - 1.0))));
        }
        TR_TRY(tr_string_format(out, err, "M%lld %lldh%lld", (long long)runs[i].column,
                                (long long)runs[i].row, (long long)runs[i].length));
    }
    return count ? tr_string_format(out, err, "\"/>\n") : TR_OK;
}

enum tr_status nx_svg_cells(struct tr_string *out, const struct nx_panel *panel,
                            const struct nx_axis *bar, const struct nx_box *box,
                            struct tr_err *err) {
    struct run *runs;
    TR_TRY(TR_NEW(&runs, panel->rows * panel->columns, "cells of a figure", err));
    int64_t count = find_runs(runs, panel, bar);
    qsort(runs, (size_t)count, sizeof *runs, by_shade);
    enum tr_status status = tr_string_format(
        out, err,
        "<g fill=\"none\" shape-rendering=\"crispEdges\" transform=\"translate(%.2f %.2f) "
        "scale(%.6g %.6g) translate(0 .5)\">\n",
        box->x, box->y, box->width / (double)panel->columns, box->height / (double)panel->rows);
    if (status == TR_OK)
        status = put_runs(out, runs, count, bar, err);
    free(runs);
    return status == TR_OK ? tr_string_format(out, err, "</g>\n") : status;
}

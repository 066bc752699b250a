// SPDX-License-Identifier: Apache-2.0
#include "svg_lines.h"

#include <math.h>

#include "colour.h"

// Paths are written in tenths of a point, which saves a decimal point in each number.
enum { UNITS = 10, DOT = 24 };

static uint32_t colour_of(const struct nx_row *row) {
    switch (row->paint) {
    case NX_DISTINCT_COLOUR:
        return nx_distinct(row->colour);
    case NX_BY_DEPTH:
        return nx_depth(row->shade);
    case NX_FAINT:
        return 0xbbbbbb;
    default:
        return 0x222222;
    }
}

enum tr_status nx_svg_paint(struct tr_string *out, const struct nx_row *row, const char *kind,
                            struct tr_err *err) {
    static const char *const classes[] = {"ink", "distinct", "depth", "faint"};
    TR_TRY(tr_string_format(out, err, "class=\"%s%s%s\" stroke=\"#%06x\"", kind, *kind ? " " : "",
                            classes[row->paint], colour_of(row)));
    if (row->paint == NX_BY_DEPTH)
        return tr_string_format(out, err, " style=\"--t:%.3f\"", row->shade);
    return TR_OK;
}

static int64_t first_column(const struct nx_panel *panel) {
    return (panel->columns - 1) % panel->stride;
}

// Where the value of a row and column is drawn; false for a gap.
static bool point(const struct nx_panel *panel, const struct nx_box *box, int64_t row,
                  int64_t column, double *x, double *y) {
    *x = nx_along(&panel->x, panel->at ? panel->at[column] : (double)column, box->width);
    *y = nx_down(&panel->y, panel->values[row * panel->columns + column], box->height);
    return isfinite(*x) && isfinite(*y);
}

static bool has_interval(const struct nx_panel *panel, int64_t row, int64_t column) {
    int64_t cell = row * panel->columns + column;
    return isfinite(panel->low[cell]) && isfinite(panel->high[cell]);
}

static enum tr_status put_corner(struct tr_string *out, const struct nx_panel *panel,
                                 const struct nx_box *box, int64_t row, int64_t column,
                                 const double *ends, char letter, struct tr_err *err) {
    double x = nx_along(&panel->x, panel->at ? panel->at[column] : (double)column, box->width);
    double y = nx_down(&panel->y, ends[row * panel->columns + column], box->height);
    return tr_string_format(out, err, "%c%ld %ld", letter, lround(x * UNITS),
                            lround(fmin(fmax(y, -1e4), 1e4) * UNITS));
}

static enum tr_status put_path(struct tr_string *out, const struct nx_panel *panel,
                               const struct nx_box *box, int64_t row, struct tr_err *err) {
    long at_x = 0, at_y = 0;
    bool drawing = false;
    for (int64_t column = first_column(panel); column < panel->columns; column += panel->stride) {
        double x, y;
        bool there = point(panel, box, row, column, &x, &y);
        if (there) {
            // A point far outside the panel is clipped anyway: bounding it keeps numbers short.
            long to_x = lround(x * UNITS), to_y = lround(fmin(fmax(y, -1e4), 1e4) * UNITS);
            TR_TRY(tr_string_format(out, err, drawing ? "l%ld %ld" : "M%ld %ld",
                                    drawing ? to_x - at_x : to_x, drawing ? to_y - at_y : to_y));
            at_x = to_x;
            at_y = to_y;
        }
        drawing = there;
    }
    return TR_OK;
}

// The interval of a row as an area, from each gap to the next: forth along its upper ends, back
// along its lower ones.
static enum tr_status put_band(struct tr_string *out, const struct nx_panel *panel,
                               const struct nx_box *box, int64_t row, struct tr_err *err) {
    TR_TRY(tr_string_format(out, err,
                            "<path class=\"band\" fill=\"#%06x\" fill-opacity=\".15\" d=\"",
                            colour_of(&panel->row[row])));
    for (int64_t column = first_column(panel), next; column < panel->columns;
         column = next + panel->stride) {
        next = column;
        while (next < panel->columns && has_interval(panel, row, next))
            next += panel->stride;
        for (int64_t c = column; c < next; c += panel->stride)
            TR_TRY(put_corner(out, panel, box, row, c, panel->high, c == column ? 'M' : 'L', err));
        for (int64_t c = next - panel->stride; c >= column; c -= panel->stride)
            TR_TRY(put_corner(out, panel, box, row, c, panel->low, 'L', err));
        if (next > column)
            TR_TRY(tr_string_append(out, "z", 1, err));
    }
    return tr_string_format(out, err, "\"/>\n");
}

static enum tr_status put_line(struct tr_string *out, const struct nx_panel *panel,
                               const struct nx_box *box, int64_t row, struct tr_err *err) {
    const struct nx_row *style = &panel->row[row];
    bool strong = style->paint == NX_DISTINCT_COLOUR || style->paint == NX_INK;
    TR_TRY(tr_string_format(out, err, "<path "));
    TR_TRY(nx_svg_paint(out, style, "", err));
    TR_TRY(tr_string_format(out, err, " stroke-width=\"%d\"%s d=\"",
                            strong ? UNITS * 6 / 5 : UNITS * 7 / 10,
                            style->dashed ? " stroke-dasharray=\"25 20\"" : ""));
    TR_TRY(put_path(out, panel, box, row, err));
    return tr_string_format(out, err, "\"/>\n");
}

// A point between gaps has no line, so values that are alone get a dot too.
static bool alone(const struct nx_panel *panel, int64_t row, int64_t column) {
    const double *values = panel->values + row * panel->columns;
    int64_t before = column - panel->stride, after = column + panel->stride;
    return (before < 0 || isnan(values[before])) &&
           (after >= panel->columns || isnan(values[after]));
}

// A stroke of no length with round ends is a dot.
static enum tr_status begin_dots(struct tr_string *out, const struct nx_row *row,
                                 struct tr_err *err) {
    TR_TRY(tr_string_format(out, err, "<path "));
    TR_TRY(nx_svg_paint(out, row, "", err));
    return tr_string_format(out, err, " stroke-width=\"%d\" stroke-linecap=\"round\" d=\"", DOT);
}

static enum tr_status put_dots(struct tr_string *out, const struct nx_panel *panel,
                               const struct nx_box *box, int64_t row, struct tr_err *err) {
    const struct nx_row *style = &panel->row[row];
    bool any = false;
    for (int64_t column = first_column(panel); column < panel->columns; column += panel->stride) {
        double x, y;
        bool wanted = (panel->marks == NX_POINTS && !style->dashed) || alone(panel, row, column);
        if (!wanted || !point(panel, box, row, column, &x, &y) || y < -1 || y > box->height + 1)
            continue;
        if (!any)
            TR_TRY(begin_dots(out, style, err));
        TR_TRY(tr_string_format(out, err, "M%ld %ldh1", lround(x * UNITS), lround(y * UNITS)));
        any = true;
    }
    return any ? tr_string_format(out, err, "\"/>\n") : TR_OK;
}

// Lines may leave the panel (ranks beyond the last one shown): they are clipped with a little room
// for their own width.
static enum tr_status put_clip(struct tr_string *out, const char *id, const struct nx_box *box,
                               struct tr_err *err) {
    return tr_string_format(out, err,
                            "<clipPath id=\"%s\"><rect x=\"-20\" y=\"-20\" width=\"%.0f\" "
                            "height=\"%.0f\"/></clipPath>\n",
                            id, box->width * UNITS + 40, box->height * UNITS + 25);
}

enum tr_status nx_svg_lines(struct tr_string *out, const struct nx_panel *panel, const char *id,
                            const struct nx_box *box, struct tr_err *err) {
    TR_TRY(put_clip(out, id, box, err));
    TR_TRY(tr_string_format(out, err,
                            "<g clip-path=\"url(#%s)\" transform=\"translate(%.2f %.2f) "
                            "scale(%g)\" fill=\"none\" stroke-linejoin=\"round\">\n",
                            id, box->x, box->y, 1.0 / UNITS));
    for (int64_t row = 0; row < panel->rows && panel->low && panel->high; row++)
        TR_TRY(put_band(out, panel, box, row, err));
    for (int64_t row = 0; row < panel->rows; row++)
        TR_TRY(put_line(out, panel, box, row, err));
    for (int64_t row = 0; row < panel->rows; row++)
        TR_TRY(put_dots(out, panel, box, row, err));
    return tr_string_format(out, err, "</g>\n");
}

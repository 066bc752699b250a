// SPDX-License-Identifier: Apache-2.0
#include "svg_scatter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "figures/svg.h"
#include "svg_lines.h"

#define DOT 1.7  // points: radius of a dot; page.js has the same
#define LINE 6.0 // points: height of a label

struct point {
    double x, y, low, high; // within the box; NaN where there is none
};

// A rectangle by its middle.
struct around {
    double x, y, width, height;
};

// ---- where points are ------------------------------------------------------------------------

// An end of an interval beyond the axis is drawn at the axis' end; on a logarithmic one that is
// also what is not above 0.
static double end_of(const struct nx_panel *panel, const double *ends, int64_t cell,
                     const struct nx_box *box) {
    if (!ends || isnan(ends[cell]))
        return NAN;
    double y = nx_down(&panel->y, ends[cell], box->height);
    return isnan(y) ? box->height : fmin(fmax(y, 0), box->height);
}

static struct point point_of(const struct nx_panel *panel, int64_t row, const struct nx_box *box) {
    int64_t cell = row * panel->columns + panel->shown;
    return (struct point){.x = nx_along(&panel->x, panel->across[cell], box->width),
                          .y = nx_down(&panel->y, panel->values[cell], box->height),
                          .low = end_of(panel, panel->low, cell, box),
                          .high = end_of(panel, panel->high, cell, box)};
}

static bool is_there(const struct point *point) {
    return isfinite(point->x) && isfinite(point->y);
}

// ---- labels ----------------------------------------------------------------------------------

static bool overlap(const struct around *a, const struct around *b) {
    return fabs(a->x - b->x) < (a->width + b->width) / 2 &&
           fabs(a->y - b->y) < (a->height + b->height) / 2;
}

static bool inside(const struct around *label, const struct nx_box *box) {
    return label->x - label->width / 2 > 0 && label->x + label->width / 2 < box->width &&
           label->y - label->height / 2 > 0 && label->y + label->height / 2 < box->height;
}

static bool is_free(const struct around *label, const struct point *points, int64_t count,
                    const struct around *placed, int64_t row) {
    for (int64_t i = 0; i < count; i++) {
        const struct around dot = {points[i].x, points[i].y, 2 * DOT, 2 * DOT};
        if ((is_there(&points[i]) && overlap(label, &dot)) ||
            (i < row && placed[i].width > 0 && overlap(label, &placed[i])))
            return false;
    }
    return true;
}

static const char *label_of(const struct nx_row *row) {
    const char *space = strrchr(row->name, ' ');
    return space ? space + 1 : row->name;
}

// The first free place of a row's label around its point; without width where there is none.
static struct around place_label(const struct nx_panel *panel, const struct point *points,
                                 const struct around *placed, int64_t row,
                                 const struct nx_box *box) {
    static const int sides[][2] = {{1, 0},  {-1, 0},  {0, -1}, {0, 1},
                                   {1, -1}, {-1, -1}, {1, 1},  {-1, 1}};
    double width = nx_text_width(label_of(&panel->row[row]), NX_FONT_SMALL);
    for (size_t i = 0; i < sizeof sides / sizeof *sides && is_there(&points[row]); i++) {
        const struct around label = {points[row].x + sides[i][0] * (DOT + 1 + width / 2),
                                     points[row].y + sides[i][1] * (DOT + LINE / 2), width, LINE};
        if (inside(&label, box) && is_free(&label, points, panel->rows, placed, row))
            return label;
    }
    return (struct around){0};
}

// ---- drawing ---------------------------------------------------------------------------------

static const char *display(bool shown) {
    return shown ? "" : " display=\"none\"";
}

static enum tr_status put_point(struct tr_string *out, const struct nx_row *row,
                                const struct point *point, const struct nx_box *box,
                                struct tr_err *err) {
    bool there = is_there(point), sure = there && isfinite(point->low) && isfinite(point->high);
    double x = there ? box->x + point->x : 0;
    TR_TRY(tr_string_format(out, err, "<g "));
    TR_TRY(nx_svg_paint(out, row, "unit", err));
    return tr_string_format(
        out, err,
        "%s><path stroke-width=\".6\"%s d=\"M%.2f %.2fV%.2f\"/><path stroke-width=\"%g\" "
        "stroke-linecap=\"round\" d=\"M%.2f %.2fh.01\"/></g>\n",
        display(there), display(sure), x, sure ? box->y + point->low : 0,
        sure ? box->y + point->high : 0, 2 * DOT, x, there ? box->y + point->y : 0);
}

static enum tr_status put_label(struct tr_string *out, const struct nx_row *row,
                                const struct around *label, const struct nx_box *box,
                                struct tr_err *err) {
    TR_TRY(tr_string_format(
        out, err, "<text x=\"%.2f\" y=\"%.2f\" font-size=\"%g\" text-anchor=\"middle\"%s>",
        box->x + label->x, box->y + label->y + 0.36 * NX_FONT_SMALL, NX_FONT_SMALL,
        display(label->width > 0)));
    TR_TRY(nx_escape(out, label_of(row), err));
    return tr_string_format(out, err, "</text>\n");
}

static enum tr_status put_all(struct tr_string *out, const struct nx_panel *panel,
                              const struct point *points, struct around *placed,
                              const struct nx_box *box, struct tr_err *err) {
    TR_TRY(tr_string_format(out, err, "<g class=\"points\">\n"));
    for (int64_t row = 0; row < panel->rows; row++)
        TR_TRY(put_point(out, &panel->row[row], &points[row], box, err));
    for (int64_t row = 0; row < panel->rows; row++) {
        placed[row] = place_label(panel, points, placed, row, box);
        TR_TRY(put_label(out, &panel->row[row], &placed[row], box, err));
    }
    return tr_string_format(out, err, "</g>\n");
}

enum tr_status nx_svg_scatter(struct tr_string *out, const struct nx_panel *panel,
                              const struct nx_box *box, struct tr_err *err) {
    struct point *points = NULL;
    struct around *placed = NULL;
    enum tr_status status;
    TR_GO(status, TR_NEW(&points, panel->rows, "points of a figure", err), out);
    TR_GO(status, TR_NEW(&placed, panel->rows, "labels of a figure", err), out);
    for (int64_t row = 0; row < panel->rows; row++)
        points[row] = point_of(panel, row, box);
    status = put_all(out, panel, points, placed, box, err);
out:
    free(points);
    free(placed);
    return status;
}

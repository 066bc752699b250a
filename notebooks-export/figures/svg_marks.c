// SPDX-License-Identifier: Apache-2.0
#include "svg_marks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "colour.h"
#include "svg_cells.h"
#include "svg_lines.h"
#include "svg_scatter.h"

enum tr_status nx_svg_text(struct tr_string *out, const struct nx_text *text, struct tr_err *err) {
    const char *raised = strchr(text->text, '^');
    char base[NX_LABEL];
    snprintf(base, sizeof base, "%.*s", (int)strcspn(text->text, "^"), text->text);
    TR_TRY(tr_string_format(out, err, "<text x=\"%.2f\" y=\"%.2f\" font-size=\"%g\"", text->x,
                            text->y, text->size));
    TR_TRY(tr_string_format(out, err, " text-anchor=\"%s\"%s", text->anchor,
                            text->bold ? " font-weight=\"bold\"" : ""));
    if (text->upright)
        TR_TRY(
            tr_string_format(out, err, " transform=\"rotate(-90 %.2f %.2f)\"", text->x, text->y));
    TR_TRY(tr_string_append(out, ">", 1, err));
    TR_TRY(nx_escape(out, base, err));
    if (raised) {
        TR_TRY(tr_string_format(out, err, "<tspan dy=\"%.2f\" font-size=\"%.2f\">",
                                -0.36 * text->size, 0.74 * text->size));
        TR_TRY(nx_escape(out, raised + 1, err));
        TR_TRY(tr_string_format(out, err, "</tspan>"));
    }
    return tr_string_format(out, err, "</text>\n");
}

enum tr_status nx_svg_marks(struct tr_string *out, const struct nx_figure *figure, int index,
                            const struct nx_box *box, struct tr_err *err) {
    const struct nx_panel *panel = &figure->panels[index];
    char id[64];
    if (panel->marks == NX_CELLS)
        return nx_svg_cells(out, panel, &figure->bar, box, err);
    if (panel->marks == NX_SCATTER)
        return nx_svg_scatter(out, panel, box, err);
    snprintf(id, sizeof id, "%s-%d-clip", figure->name, index);
    return nx_svg_lines(out, panel, id, box, err);
}

// The height of a row's last value within the panel; NaN when it has none there.
static double end_of(const struct nx_panel *panel, const struct nx_box *box, int64_t row) {
    for (int64_t column = panel->columns - 1; column >= 0; column--) {
        double y = nx_down(&panel->y, panel->values[row * panel->columns + column], box->height);
        if (y >= 0 && y <= box->height)
            return y;
    }
    return NAN;
}

struct name {
    double y;
    const struct nx_row *row;
};

static int by_height(const void *a, const void *b) {
    const struct name *x = a, *y = b;
    return x->y < y->y ? -1 : x->y > y->y;
}

// A piece of the line, for rows that have a colour of their own or ask for it.
static enum tr_status put_key(struct tr_string *out, const struct nx_row *row, double x, double y,
                              struct tr_err *err) {
    if (row->paint == NX_FAINT && !row->keyed)
        return TR_OK;
    TR_TRY(tr_string_format(out, err, "<path "));
    TR_TRY(nx_svg_paint(out, row, "", err));
    return tr_string_format(out, err, " stroke-width=\"1.2\"%s d=\"M%.2f %.2fh7\"/>\n",
                            row->dashed ? " stroke-dasharray=\"2 1\"" : "", x, y);
}

static enum tr_status put_names(struct tr_string *out, const struct name *names, int64_t count,
                                double *places, const struct nx_box *box, struct tr_err *err) {
    for (int64_t i = 0; i < count; i++)
        places[i] = names[i].y;
    nx_spread(places, count, NX_FONT_SMALL, 0, box->height);
    for (int64_t i = 0; i < count; i++) {
        double x = box->x + box->width, y = box->y + places[i];
        const struct nx_text text = {.x = x + NX_NAME_ROOM - 1,
                                     .y = y + 0.36 * NX_FONT_SMALL,
                                     .size = NX_FONT_SMALL,
                                     .anchor = "start",
                                     .text = names[i].row->name};
        TR_TRY(put_key(out, names[i].row, x + 3, y, err));
        TR_TRY(nx_svg_text(out, &text, err));
    }
    return TR_OK;
}

enum tr_status nx_svg_names(struct tr_string *out, const struct nx_panel *panel,
                            const struct nx_box *box, struct tr_err *err) {
    struct name *names = NULL;
    double *y = NULL;
    int64_t count = 0;
    enum tr_status status;
    TR_GO(status, TR_NEW(&names, panel->rows, "names of lines", err), out);
    TR_GO(status, TR_NEW(&y, panel->rows, "names of lines", err), out);
    for (int64_t row = 0; row < panel->rows; row++) {
        double end = panel->row[row].named ? end_of(panel, box, row) : NAN;
        if (!isnan(end))
            names[count++] = (struct name){end, &panel->row[row]};
    }
    qsort(names, (size_t)count, sizeof *names, by_height);
    status = put_names(out, names, count, y, box, err);
out:
    free(names);
    free(y);
    return status;
}

uint32_t nx_shade(const struct nx_axis *bar, double place) {
    return bar->diverging ? nx_diverging(place) : nx_sequential(place);
}

static enum tr_status paint_shade(struct tr_string *out, const struct nx_figure *figure,
                                  double shade, struct tr_err *err) {
    const struct nx_row row = {.paint = NX_BY_DEPTH, .shade = shade};
    if (figure->bar_is_depth)
        return nx_svg_paint(out, &row, "", err);
    return tr_string_format(out, err, "stroke=\"#%06x\"", nx_shade(&figure->bar, shade));
}

enum tr_status nx_svg_shades(struct tr_string *out, const struct nx_figure *figure,
                             const struct nx_box *box, struct tr_err *err) {
    enum { PIECES = 64 };
    double piece = box->width / PIECES;
    TR_TRY(tr_string_format(out, err, "<g stroke-width=\"%g\" shape-rendering=\"crispEdges\">\n",
                            box->height));
    for (int i = 0; i < PIECES; i++) {
        TR_TRY(tr_string_format(out, err, "<path "));
        TR_TRY(paint_shade(out, figure, i / (PIECES - 1.0), err));
        TR_TRY(tr_string_format(out, err, " d=\"M%.2f %.2fh%.2f\"/>\n", box->x + i * piece,
                                box->y + box->height / 2, piece + (i + 1 < PIECES ? 0.3 : 0)));
    }
    return tr_string_format(out, err, "</g>\n");
}

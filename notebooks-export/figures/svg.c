// SPDX-License-Identifier: Apache-2.0
// The frame of a figure: panels with their axes, the colour bar, and the element around them. What
// is inside the panels is svg_marks.c's.
#include "figures/svg.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "colour.h"
#include "svg_marks.h"

#define TICK 2.5 // points
#define SMALL_TICK 1.5

// The axes of one panel in the making: all their strokes are one path.
struct pen {
    struct tr_string strokes, texts;
};

static enum tr_status x_axis(struct pen *pen, const struct nx_axis *axis, const struct nx_box *box,
                             struct tr_err *err) {
    struct nx_tick ticks[NX_TICKS_MAX];
    int count = nx_axis_ticks(axis, box->width, false, ticks);
    double bottom = box->y + box->height, free_from = 0;
    struct nx_text text = {
        .y = bottom + TICK + NX_FONT_SMALL, .size = NX_FONT_SMALL, .anchor = "middle"};
    for (int i = 0; i < count; i++) {
        double half = nx_text_width(ticks[i].text, NX_FONT_SMALL) / 2;
        text.x = box->x + nx_along(axis, ticks[i].value, box->width);
        TR_TRY(tr_string_format(&pen->strokes, err, "M%.2f %.2fv%g", text.x, bottom,
                                ticks[i].text[0] ? TICK : SMALL_TICK));
        if (!ticks[i].text[0] || text.x - half < free_from)
            continue;
        free_from = text.x + half + 2;
        text.text = ticks[i].text;
        TR_TRY(nx_svg_text(&pen->texts, &text, err));
    }
    const struct nx_text name = {.x = box->x + box->width / 2,
                                 .y = text.y + 1.35 * NX_FONT,
                                 .size = NX_FONT,
                                 .anchor = "middle",
                                 .text = axis->label};
    return axis->label[0] ? nx_svg_text(&pen->texts, &name, err) : TR_OK;
}

static enum tr_status y_axis(struct pen *pen, const struct nx_axis *axis, const struct nx_box *box,
                             struct tr_err *err) {
    struct nx_tick ticks[NX_TICKS_MAX];
    int count = nx_axis_ticks(axis, box->height, true, ticks);
    struct nx_text text = {.x = box->x - TICK - 1.5, .size = NX_FONT_SMALL, .anchor = "end"};
    for (int i = 0; i < count; i++) {
        double y = box->y + nx_down(axis, ticks[i].value, box->height);
        TR_TRY(tr_string_format(&pen->strokes, err, "M%.2f %.2fh-%g", box->x, y,
                                ticks[i].text[0] ? TICK : SMALL_TICK));
        text.y = y + 0.36 * NX_FONT_SMALL;
        text.text = ticks[i].text;
        if (text.text[0])
            TR_TRY(nx_svg_text(&pen->texts, &text, err));
    }
    const struct nx_text name = {.x = NX_EDGE + 0.9 * NX_FONT,
                                 .y = box->y + box->height / 2,
                                 .size = NX_FONT,
                                 .anchor = "middle",
                                 .upright = true,
                                 .text = axis->label};
    return axis->label[0] ? nx_svg_text(&pen->texts, &name, err) : TR_OK;
}

// Around cells, left and below lines. Between the place of 0 and a logarithmic rest the axis is
// broken: two strokes stand at the ends of a gap.
static enum tr_status frame(struct pen *pen, const struct nx_panel *panel, const struct nx_box *box,
                            struct tr_err *err) {
    double bottom = box->y + box->height, gap = box->width * NX_GAP_PERCENT / 200.0;
    TR_TRY(tr_string_format(&pen->strokes, err, "M%.2f %.2fv%.2f", box->x, box->y, box->height));
    if (panel->marks == NX_CELLS)
        return tr_string_format(&pen->strokes, err, "h%.2fv-%.2fz", box->width, box->height);
    if (panel->x.scale.kind == NX_LOG_ZERO)
        return tr_string_format(&pen->strokes, err,
                                "h%.2fm-1.2 2.5l2.4 -5m2 0l-2.4 5m1.2 -2.5H%.2f", gap,
                                box->x + box->width);
    return tr_string_format(&pen->strokes, err, "h%.2fM%.2f %.2f", box->width, box->x, bottom);
}

static enum tr_status put_pen(struct tr_string *out, const struct pen *pen, struct tr_err *err) {
    TR_TRY(tr_string_format(out, err,
                            "<g class=\"axes\">\n<path class=\"ink\" fill=\"none\" "
                            "stroke=\"#222\" stroke-width=\"0.6\" d=\"%s\"/>\n",
                            pen->strokes.data));
    TR_TRY(tr_string_append(out, pen->texts.data, pen->texts.size, err));
    return tr_string_format(out, err, "</g>\n");
}

// Where an axis goes through 0 there is a line.
static enum tr_status zero_line(struct tr_string *out, const struct nx_panel *panel,
                                const struct nx_box *box, struct tr_err *err) {
    double y = nx_down(&panel->y, 0, box->height);
    bool has_zero = panel->y.scale.kind == NX_LINEAR || panel->y.scale.kind == NX_SIGNED_LOG;
    if (panel->marks == NX_CELLS || !has_zero || !(y > 0 && y < box->height))
        return TR_OK;
    return tr_string_format(out, err,
                            "<path class=\"faint\" fill=\"none\" stroke=\"#bbb\" "
                            "stroke-width=\"0.6\" d=\"M%.2f %.2fh%.2f\"/>\n",
                            box->x, box->y + y, box->width);
}

enum { SHOWN_MAX = 30 }; // characters of a checkpoint's label beside a title

// The text without what is behind so many characters.
static void cut(char out[NX_LABEL], const char *text) {
    int characters = 0;
    size_t size = 0;
    for (; text[size] && size + 8 < NX_LABEL; size++) {
        characters += ((unsigned char)text[size] & 0xc0) != 0x80;
        if (characters > SHOWN_MAX)
            break;
    }
    snprintf(out, NX_LABEL, "%.*s%s", (int)size, text, text[size] ? "\xe2\x80\xa6" : "");
}

// At the right end of the title's line: the checkpoint that is drawn. The page's script writes
// another one there.
static enum tr_status put_shown(struct tr_string *out, const struct nx_panel *panel,
                                const struct nx_box *box, struct tr_err *err) {
    char shown[NX_LABEL];
    if (panel->marks != NX_SCATTER)
        return TR_OK;
    cut(shown, panel->column_names[panel->shown]);
    TR_TRY(tr_string_format(out, err,
                            "<text class=\"shown\" x=\"%.2f\" y=\"%.2f\" font-size=\"%g\" "
                            "text-anchor=\"end\">",
                            box->x + box->width, box->y - 0.5 * NX_FONT, NX_FONT_SMALL));
    TR_TRY(nx_escape(out, shown, err));
    return tr_string_format(out, err, "</text>\n");
}

static enum tr_status panel_axes(struct pen *pen, const struct nx_panel *panel,
                                 const struct nx_box *box, struct tr_err *err) {
    const struct nx_text title = {.x = box->x,
                                  .y = box->y - 0.5 * NX_FONT,
                                  .size = NX_FONT,
                                  .anchor = "start",
                                  .bold = true,
                                  .text = panel->title};
    TR_TRY(frame(pen, panel, box, err));
    TR_TRY(x_axis(pen, &panel->x, box, err));
    TR_TRY(y_axis(pen, &panel->y, box, err));
    TR_TRY(nx_svg_names(&pen->texts, panel, box, err));
    return panel->title[0] ? nx_svg_text(&pen->texts, &title, err) : TR_OK;
}

static enum tr_status put_panel(struct tr_string *out, const struct nx_figure *figure, int index,
                                const struct nx_box *box, struct tr_err *err) {
    struct pen pen = {{0}, {0}};
    enum tr_status status;
    TR_GO(status,
          tr_string_format(out, err, "<g class=\"panel\" id=\"%s-%d\">\n", figure->name, index),
          out);
    TR_GO(status, zero_line(out, &figure->panels[index], box, err), out);
    TR_GO(status, nx_svg_marks(out, figure, index, box, err), out);
    TR_GO(status, put_shown(out, &figure->panels[index], box, err), out);
    TR_GO(status, panel_axes(&pen, &figure->panels[index], box, err), out);
    TR_GO(status, put_pen(out, &pen, err), out);
    status = tr_string_format(out, err, "</g>\n");
out:
    tr_string_free(&pen.strokes);
    tr_string_free(&pen.texts);
    return status;
}

static enum tr_status put_bar(struct tr_string *out, const struct nx_figure *figure,
                              const struct nx_box *box, struct tr_err *err) {
    struct pen pen = {{0}, {0}};
    enum tr_status status;
    TR_GO(status, nx_svg_shades(out, figure, box, err), out);
    TR_GO(status, x_axis(&pen, &figure->bar, box, err), out);
    status = put_pen(out, &pen, err);
out:
    tr_string_free(&pen.strokes);
    tr_string_free(&pen.texts);
    return status;
}

// <title> and <desc> are what screen readers say.
static enum tr_status described(struct tr_string *out, const struct nx_figure *figure,
                                struct tr_err *err) {
    TR_TRY(tr_string_format(out, err,
                            " role=\"img\" aria-labelledby=\"%s-title %s-desc\" "
                            "font-family=\"sans-serif\" fill=\"#222\">\n<title id=\"%s-title\">",
                            figure->name, figure->name, figure->name));
    TR_TRY(nx_escape(out, figure->title, err));
    TR_TRY(tr_string_format(out, err, "</title>\n<desc id=\"%s-desc\">", figure->name));
    TR_TRY(nx_escape(out, figure->caption.size ? figure->caption.data : "", err));
    return tr_string_format(out, err, "</desc>\n");
}

static enum tr_status contents(struct tr_string *out, const struct nx_figure *figure,
                               const struct nx_layout *layout, struct tr_err *err) {
    for (int i = 0; i < figure->count; i++)
        TR_TRY(put_panel(out, figure, i, &layout->panels[i], err));
    if (figure->has_bar)
        TR_TRY(put_bar(out, figure, &layout->bar, err));
    return tr_string_format(out, err, "</svg>\n");
}

enum tr_status nx_svg_document(struct tr_string *out, const struct nx_figure *figure,
                               const char *source, struct tr_err *err) {
    struct nx_layout layout;
    nx_layout_figure(&layout, figure);
    TR_TRY(tr_string_format(out, err,
                            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                            "<svg xmlns=\"http://www.w3.org/2000/svg\" version=\"1.1\" "
                            "width=\"%gpt\" height=\"%gpt\" viewBox=\"0 0 %g %g\"",
                            layout.width, layout.height, layout.width, layout.height));
    TR_TRY(described(out, figure, err));
    TR_TRY(tr_string_format(out, err, "<metadata>"));
    TR_TRY(nx_escape(out, source, err));
    TR_TRY(tr_string_format(
        out, err, "</metadata>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n"));
    return contents(out, figure, &layout, err);
}

enum tr_status nx_svg_inline(struct tr_string *out, const struct nx_figure *figure,
                             struct tr_err *err) {
    struct nx_layout layout;
    nx_layout_figure(&layout, figure);
    TR_TRY(tr_string_format(out, err, "<svg class=\"figure\" viewBox=\"0 0 %g %g\"", layout.width,
                            layout.height));
    TR_TRY(described(out, figure, err));
    return contents(out, figure, &layout, err);
}

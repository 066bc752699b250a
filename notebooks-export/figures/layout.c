// SPDX-License-Identifier: Apache-2.0
#include "figures/layout.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define TICK_ROOM 4.0 // points: a tick and the space to its text

double nx_text_width(const char *text, double size) {
    double width = 0, scale = 1;
    for (; *text; text++) {
        if (*text == '^') {
            scale = 0.72;
        } else if (((unsigned char)*text & 0xc0) != 0x80) {
            bool narrow = strchr("il.,:;|!' ()", *text) != NULL;
            width += scale * (narrow ? 0.38 : 0.64);
        }
    }
    return width * size;
}

double nx_along(const struct nx_axis *axis, double value, double length) {
    double half = axis->scale.kind == NX_BANDS ? 0.5 : 0;
    return length * nx_scale_place(&axis->scale, value + half);
}

double nx_down(const struct nx_axis *axis, double value, double length) {
    double along = nx_along(axis, value, length);
    return axis->scale.kind == NX_BANDS ? along : length - along;
}

static void band_name(const struct nx_axis *axis, int64_t band, char out[NX_NUMBER_MAX]) {
    if (axis->names)
        snprintf(out, NX_NUMBER_MAX, "%s", axis->names[band]);
    else
        snprintf(out, NX_NUMBER_MAX, "%lld", (long long)band);
}

// How many of the texts of size NX_FONT_SMALL fit on an axis.
static int band_room(const struct nx_axis *axis, double length, bool vertical) {
    if (vertical)
        return (int)(length / (NX_FONT_SMALL * 1.05));
    double widest = NX_FONT_SMALL;
    for (int64_t band = 0; band < (int64_t)axis->scale.high; band++) {
        char text[NX_NUMBER_MAX];
        band_name(axis, band, text);
        widest = fmax(widest, nx_text_width(text, NX_FONT_SMALL));
    }
    return (int)(length / (widest + 3));
}

static int band_ticks(const struct nx_axis *axis, double length, bool vertical,
                      struct nx_tick *ticks) {
    int64_t bands = (int64_t)axis->scale.high;
    int room = band_room(axis, length, vertical), count = 0;
    int64_t stride = nx_band_stride(bands, room < NX_TICKS_MAX ? room : NX_TICKS_MAX);
    for (int64_t band = 0; band < bands && count < NX_TICKS_MAX; band += stride) {
        // The last band is named too, in place of the one before it where both do not fit.
        bool crowded = !vertical && bands - 1 - band < stride && bands - 1 > band;
        ticks[count].value = (double)(crowded ? bands - 1 : band);
        band_name(axis, (int64_t)ticks[count].value, ticks[count].text);
        count++;
    }
    return count;
}

int nx_axis_ticks(const struct nx_axis *axis, double length, bool vertical,
                  struct nx_tick ticks[NX_TICKS_MAX]) {
    if (axis->scale.kind == NX_BANDS)
        return band_ticks(axis, length, vertical, ticks);
    double lines = axis->number == NX_RANK ? 1.3 : 2, each = (vertical ? lines : 4) * NX_FONT_SMALL;
    int room = (int)(length / each);
    return nx_scale_ticks(&axis->scale, axis->number, room > 2 ? room : 2, ticks);
}

static double widest_tick(const struct nx_axis *axis, double length) {
    struct nx_tick ticks[NX_TICKS_MAX];
    double widest = 0;
    int count = nx_axis_ticks(axis, length, true, ticks);
    for (int i = 0; i < count; i++)
        widest = fmax(widest, nx_text_width(ticks[i].text, NX_FONT_SMALL));
    return widest;
}

static double widest_name(const struct nx_panel *panel) {
    double widest = 0;
    for (int64_t row = 0; row < panel->rows; row++)
        if (panel->row[row].named)
            widest = fmax(widest, nx_text_width(panel->row[row].name, NX_FONT_SMALL));
    return widest;
}

void nx_layout_figure(struct nx_layout *layout, const struct nx_figure *figure) {
    double left = 0, right = 8, y = NX_EDGE;
    for (int i = 0; i < figure->count; i++) {
        const struct nx_panel *panel = &figure->panels[i];
        double name = widest_name(panel);
        left = fmax(left, widest_tick(&panel->y, panel->height));
        right = fmax(right, name > 0 ? name + NX_NAME_ROOM : 0);
    }
    left += NX_EDGE + TICK_ROOM + 1.5 * NX_FONT;
    right += NX_EDGE;
    for (int i = 0; i < figure->count; i++) {
        const struct nx_panel *panel = &figure->panels[i];
        y += panel->title[0] ? 1.6 * NX_FONT : 0.5 * NX_FONT;
        layout->panels[i] = (struct nx_box){left, y, NX_WIDTH - left - right, panel->height};
        y += panel->height + TICK_ROOM + 1.1 * NX_FONT_SMALL;
        y += panel->x.label[0] ? 1.4 * NX_FONT : 0.4 * NX_FONT;
    }
    layout->bar = (struct nx_box){left, y + 0.6 * NX_FONT, NX_WIDTH - left - right, NX_FONT};
    if (figure->has_bar)
        y = layout->bar.y + layout->bar.height + TICK_ROOM + 1.1 * NX_FONT_SMALL + 1.4 * NX_FONT;
    layout->width = NX_WIDTH;
    layout->height = y + NX_EDGE;
}

void nx_spread(double *places, int64_t count, double distance, double low, double high) {
    for (int64_t i = 1; i < count; i++)
        places[i] = fmax(places[i], places[i - 1] + distance);
    double over = count > 0 ? places[count - 1] - high : 0;
    for (int64_t i = count - 1; i >= 0 && over > 0; i--) {
        double most = i == count - 1 ? high : places[i + 1] - distance;
        if (places[i] <= most)
            break;
        places[i] = fmax(most, low);
    }
}

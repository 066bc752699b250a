// SPDX-License-Identifier: Apache-2.0
#include "analysis/heatmap.h"

#include <math.h>
#include <string.h>

#include "base/printable.h"

enum { MARGIN = 8, WIDEST_CELL = 6, MOST_LEVELS = 10 };

// The shades, from low to high.
struct ramp {
    int levels;
    const char *cell[MOST_LEVELS];
    const char *after; // each cell
};

static const struct ramp ascii = {10, {" ", ".", ":", "-", "=", "+", "*", "#", "%", "@"}, ""};
static const struct ramp shades = {5, {" ", "░", "▒", "▓", "█"}, ""};
static const struct ramp colours = {
    10,
    {"\033[48;5;53m ", "\033[48;5;54m ", "\033[48;5;60m ", "\033[48;5;61m ", "\033[48;5;31m ",
     "\033[48;5;36m ", "\033[48;5;71m ", "\033[48;5;113m ", "\033[48;5;185m ", "\033[48;5;227m "},
    "\033[0m"};

struct map {
    const struct an_map *of;
    int columns, cell; // columns shown, and how wide each is
    double low, high;  // ends of the scale, as `height` has them
    bool absent;       // a shown value is missing
    bool negative;     // one is below 0, on a linear scale
    const struct ramp *ramp;
};

static int64_t shown(const struct map *map, int column) {
    if (map->columns == 1)
        return map->of->checkpoints - 1;
    return column * (map->of->checkpoints - 1) / (map->columns - 1);
}

static double value(const struct map *map, int column, int64_t layer) {
    return map->of->values[shown(map, column) * map->of->layers + layer];
}

// Where a value is on the scale, and back; NaN for one that no scale holds.
static double height(const struct map *map, double v) {
    if (map->of->logarithmic)
        return v > 0.0 ? log10(v) : NAN;
    return v >= 0.0 ? v : NAN;
}

static double value_at(const struct map *map, double height) {
    return map->of->logarithmic ? pow(10.0, height) : height;
}

// Finds the ends of the scale; they stay NaN when no value is on it.
static void find_scale(struct map *map) {
    map->low = map->high = NAN;
    for (int column = 0; column < map->columns; column++)
        for (int64_t layer = 0; layer < map->of->layers; layer++) {
            double v = value(map, column, layer);
            map->absent |= !isfinite(v);
            map->negative |= !map->of->logarithmic && v < 0.0;
            if (isfinite(v)) {
                map->low = fmin(map->low, height(map, v));
                map->high = fmax(map->high, height(map, v));
            }
        }
    if (map->negative)
        map->low = 0.0;
}

static const char *cell(const struct map *map, double v) {
    if (!isfinite(v))
        return "x";
    if (!map->of->logarithmic && v < 0.0)
        return "<";
    int levels = map->ramp->levels, level = 0;
    double at = height(map, v);
    if (isfinite(at) && map->high > map->low)
        level = (int)((at - map->low) / (map->high - map->low) * levels);
    return map->ramp->cell[level < levels ? level : levels - 1];
}

// Writes the labels that fit, with at least one space between them.
static enum tr_status append_labels(struct tr_string *out, const struct map *map,
                                    struct tr_err *err) {
    TR_TRY(tr_string_format(out, err, "%*s", MARGIN, "step  "));
    int at = 0;
    for (int i = 0; i < map->columns; i++) {
        const char *label = map->of->column[shown(map, i)];
        int start = i * map->cell, length = (int)strlen(label);
        if ((at > 0 && start <= at) || start + length > map->columns * map->cell + 1)
            continue;
        size_t before = out->size;
        TR_TRY(tr_string_format(out, err, "%*s%s", start - at, "", label));
        out->size = before + tr_printable(out->data + before, out->size - before, "");
        at = start + length;
    }
    return tr_string_append(out, "\n", 1, err);
}

static enum tr_status append_layer(struct tr_string *out, const struct map *map, int64_t layer,
                                   struct tr_err *err) {
    TR_TRY(tr_string_format(out, err, "%6lld  ", (long long)layer));
    for (int i = 0; i < map->columns; i++) {
        const char *text = cell(map, value(map, i, layer));
        for (int repeat = 0; repeat < map->cell; repeat++)
            TR_TRY(tr_string_format(out, err, "%s%s", text, map->ramp->after));
    }
    return tr_string_append(out, "\n", 1, err);
}

static enum tr_status append_legend(struct tr_string *out, const struct map *map,
                                    struct tr_err *err) {
    TR_TRY(tr_string_format(out, err, "%*s", MARGIN, ""));
    if (map->high > map->low) {
        TR_TRY(tr_string_format(out, err, "%.2g [", value_at(map, map->low)));
        for (int level = 0; level < map->ramp->levels; level++)
            TR_TRY(tr_string_format(out, err, "%s%s", map->ramp->cell[level], map->ramp->after));
        TR_TRY(tr_string_format(out, err, "] %.2g  %s, %s scale", value_at(map, map->high),
                                map->of->quantity, map->of->logarithmic ? "log" : "linear"));
    } else {
        TR_TRY(tr_string_format(out, err, "all the same: no scale"));
    }
    if (map->negative)
        TR_TRY(tr_string_format(out, err, "\n%*s< = below 0", MARGIN, ""));
    if (map->absent)
        TR_TRY(tr_string_format(out, err, "\n%*sx = not measured", MARGIN, ""));
    TR_TRY(tr_string_append(out, "\n", 1, err));
    if (map->columns < map->of->checkpoints)
        TR_TRY(tr_string_format(out, err, "%*s%d of %lld checkpoints shown, evenly spaced\n",
                                MARGIN, "", map->columns, (long long)map->of->checkpoints));
    return TR_OK;
}

enum tr_status an_heatmap(struct tr_string *out, const struct an_map *of,
                          const struct an_style *style, struct tr_err *err) {
    int room = style->width > MARGIN + 10 ? style->width - MARGIN - 1 : 10;
    struct map map = {.of = of,
                      .columns = of->checkpoints < room ? (int)of->checkpoints : room,
                      .ramp = style->colour ? &colours
                              : style->utf8 ? &shades
                                            : &ascii};
    map.cell = room / map.columns < WIDEST_CELL ? room / map.columns : WIDEST_CELL;
    find_scale(&map);
    TR_TRY(append_labels(out, &map, err));
    for (int64_t layer = 0; layer < of->layers; layer++)
        TR_TRY(append_layer(out, &map, layer, err));
    return append_legend(out, &map, err);
}

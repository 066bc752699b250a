// SPDX-License-Identifier: Apache-2.0
// What is left out so that all layers are compared over the same checkpoints.
#include <math.h>
#include <stdlib.h>

#include "analysis/run_series.h"
#include "base/alloc.h"

// The table of checkpoints and units, and which of them are still to be compared.
struct grid {
    const struct an_series *series;
    int64_t units;      // of the series
    bool *row, *column; // [series.checkpoints], [units]
};

static bool is_missing(const struct grid *grid, int64_t c, int64_t u) {
    return !isfinite(grid->series->value[c * grid->units + u]);
}

static int64_t count(const bool *kept, int64_t size) {
    int64_t sum = 0;
    for (int64_t i = 0; i < size; i++)
        sum += kept[i];
    return sum;
}

// The kept row (column) that lacks most values, and their number.
static int64_t worst_line(int64_t *lacks_p, const struct grid *grid, bool rows) {
    int64_t checkpoints = grid->series->checkpoints, worst = -1;
    int64_t lines = rows ? checkpoints : grid->units, across = rows ? grid->units : checkpoints;
    const bool *line = rows ? grid->row : grid->column, *other = rows ? grid->column : grid->row;
    *lacks_p = 0;
    for (int64_t i = 0; i < lines; i++) {
        int64_t lacks = 0;
        for (int64_t k = 0; k < across && line[i]; k++)
            lacks += other[k] && is_missing(grid, rows ? i : k, rows ? k : i);
        if (lacks > *lacks_p) {
            *lacks_p = lacks;
            worst = i;
        }
    }
    return worst;
}

static void close_gaps(struct grid *grid) {
    for (;;) {
        int64_t lacks_row, lacks_column;
        int64_t rows = count(grid->row, grid->series->checkpoints);
        int64_t columns = count(grid->column, grid->units);
        int64_t row = worst_line(&lacks_row, grid, true);
        int64_t column = worst_line(&lacks_column, grid, false);
        if (row < 0)
            return;
        if (rows > 1 && (double)lacks_row * (double)rows >= (double)lacks_column * (double)columns)
            grid->row[row] = false;
        else
            grid->column[column] = false;
    }
}

// The layers that have a value at some checkpoint from `first` on.
static void mark_present(struct grid *grid, const bool wanted[TR_MODULES]) {
    for (int64_t c = grid->series->first; c < grid->series->checkpoints; c++) {
        grid->row[c] = true;
        for (int64_t u = 0; u < grid->units; u++)
            grid->column[u] |= wanted[u % TR_MODULES] && !is_missing(grid, c, u);
    }
}

enum tr_status an_series_close_gaps(struct an_series *series, const bool wanted[TR_MODULES],
                                    struct tr_err *err) {
    struct grid grid = {.series = series, .units = series->layers * TR_MODULES};
    enum tr_status status;
    TR_GO(status, TR_NEW(&grid.row, series->checkpoints, "gaps", err), out);
    TR_GO(status, TR_NEW(&grid.column, grid.units, "gaps", err), out);
    mark_present(&grid, wanted);
    for (int64_t u = 0; u < grid.units; u++)
        series->gappy[u] = grid.column[u];
    close_gaps(&grid);
    for (int64_t u = 0; u < grid.units; u++)
        series->gappy[u] &= !grid.column[u];
    series->claimed = 0;
    for (int64_t c = series->first; c < series->checkpoints; c++)
        if (grid.row[c])
            series->claim[series->claimed++] = c;
    status = an_series_weigh(series, err);
out:
    free(grid.row);
    free(grid.column);
    return status;
}

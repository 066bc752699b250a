// SPDX-License-Identifier: Apache-2.0
// Resampled means of all cells as one product: the weighted values and, where they differ, the
// token counts of a checkpoint are the columns of a matrix that the weights multiply. A tile of
// resamples goes through all checkpoints before the next one, so that its running means and maxima
// stay in the cache.
#include "statistics/bootstrap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cell.h"
#include "clones.h"
#include "product.h"
#include "statistics/random.h"

enum { TILE = 40 * AN_PANEL_ROWS }; // resamples

enum tr_status an_resamples_draw(struct an_resamples *resamples, int64_t count, int64_t sequences,
                                 uint64_t seed, struct tr_err *err) {
    struct an_resamples new = {.count = count, .sequences = sequences, .seed = seed};
    uint64_t size;
    if (count < 1 || sequences < 1)
        return tr_fail(err, TR_EUSAGE, "%lld resamples of %lld sequences cannot be drawn",
                       (long long)count, (long long)sequences);
    if (!tr_mul((uint64_t)count, (uint64_t)sequences, &size))
        return tr_fail(err, TR_ENOMEM, "no memory for the resamples");
    TR_TRY(TR_NEW(&new.weights, size, "the resamples", err));
    struct an_random random;
    an_random_seed(&random, seed);
    for (int64_t i = 0; i < count; i++)
        for (int64_t draw = 0; draw < sequences; draw++)
            new.weights[i * sequences + (int64_t)an_random_below(&random, (uint64_t)sequences)] +=
                1.0;
    *resamples = new;
    return TR_OK;
}

void an_resamples_free(struct an_resamples *resamples) {
    free(resamples->weights);
}

// One checkpoint's columns: its units' weighted values, then the token counts of each run of units
// that were measured on the same tokens.
struct columns {
    int64_t runs;
    int64_t *run;   // [units + 1] first unit of each run; `units` after the last
    double *packed; // for an_product
};

struct work {
    const struct an_panel *panel;
    const double *weight;    // [checkpoints] or NULL
    struct columns *columns; // [checkpoints]
    double *lines;           // [2 units, sequences] one checkpoint before packing
    double *resamples;       // packed tile
    double *product;         // [TILE, 2 units]
    double *shares;          // [TILE, units] sums of the weights behind the means
};

static void fill_lines(struct work *work, struct columns *columns, int64_t checkpoint) {
    int64_t units = work->panel->units, sequences = work->panel->sequences;
    double *counts = work->lines + units * sequences;
    columns->runs = 0;
    for (int64_t u = 0; u < units; u++) {
        double *tokens = counts + columns->runs * sequences;
        an_cell_terms(work->lines + u * sequences, tokens, work->panel, checkpoint * units + u);
        if (u > 0 && memcmp(tokens, tokens - sequences, (size_t)sequences * sizeof *tokens) == 0)
            continue;
        columns->run[columns->runs++] = u;
    }
    columns->run[columns->runs] = units;
}

static enum tr_status make_columns(struct work *work, int64_t checkpoint, struct tr_err *err) {
    struct columns *columns = &work->columns[checkpoint];
    int64_t units = work->panel->units, sequences = work->panel->sequences;
    TR_TRY(TR_NEW(&columns->run, units + 1, "the bootstrap", err));
    fill_lines(work, columns, checkpoint);
    int64_t lines = units + columns->runs;
    TR_TRY(TR_NEW(&columns->packed, an_packed_size(lines, sequences, AN_PANEL_COLS),
                  "the bootstrap", err));
    an_pack(columns->packed, work->lines, lines, sequences, AN_PANEL_COLS);
    return TR_OK;
}

// One resample's aggregates take in one checkpoint's units [0, count) of a run.
AN_CLONES
static void take_in(double *restrict mean, double *restrict worst, double *restrict last,
                    double *restrict shares, const double *restrict weighted, double tokens,
                    double weight, int64_t count) {
    for (int64_t u = 0; u < count; u++) {
        double value = weighted[u] / tokens;
        mean[u] += weight * value;
        shares[u] += weight;
        worst[u] = value > worst[u] ? value : worst[u];
        last[u] = value;
    }
}

static void take_in_checkpoint(struct an_draws *draws, struct work *work, int64_t checkpoint,
                               int64_t first, int64_t rows) {
    const struct columns *columns = &work->columns[checkpoint];
    int64_t units = draws->units, width = units + columns->runs;
    double weight = work->weight ? work->weight[checkpoint] : 1.0;
    for (int64_t row = 0; row < rows; row++) {
        const double *sums = work->product + row * width;
        double *last = draws->of[AN_LAST] + (first + row) * units;
        for (int64_t u = 0; u < units; u++)
            last[u] = NAN;
        for (int64_t r = 0; r < columns->runs; r++) {
            int64_t unit = columns->run[r], to = (first + row) * units + unit;
            if (sums[units + r] > 0.0)
                take_in(draws->of[AN_MEAN] + to, draws->of[AN_WORST] + to, last + unit,
                        work->shares + row * units + unit, sums + unit, sums[units + r], weight,
                        columns->run[r + 1] - unit);
        }
    }
}

static void draw_tile(struct an_draws *draws, struct work *work, const double *weights,
                      int64_t first, int64_t rows) {
    int64_t units = draws->units, sequences = work->panel->sequences;
    double *mean = draws->of[AN_MEAN] + first * units, *worst = draws->of[AN_WORST] + first * units;
    for (int64_t i = 0; i < rows * units; i++) {
        work->shares[i] = 0.0;
        worst[i] = -INFINITY;
    }
    an_pack(work->resamples, weights + first * sequences, rows, sequences, AN_PANEL_ROWS);
    for (int64_t c = 0; c < work->panel->checkpoints; c++) {
        int64_t width = units + work->columns[c].runs;
        an_product(work->product, width, work->resamples, work->columns[c].packed, rows, width,
                   sequences);
        take_in_checkpoint(draws, work, c, first, rows);
    }
    for (int64_t i = 0; i < rows * units; i++) {
        mean[i] = work->shares[i] > 0.0 ? mean[i] / work->shares[i] : NAN;
        worst[i] = isinf(worst[i]) ? NAN : worst[i];
    }
}

static enum tr_status work_allocate(struct work *work, struct tr_err *err) {
    int64_t units = work->panel->units, sequences = work->panel->sequences;
    TR_TRY(TR_NEW(&work->columns, work->panel->checkpoints, "the bootstrap", err));
    TR_TRY(TR_NEW(&work->lines, 2 * units * sequences + sequences, "the bootstrap", err));
    TR_TRY(TR_NEW(&work->resamples, TILE * sequences, "the bootstrap", err));
    TR_TRY(TR_NEW(&work->product, TILE * 2 * units, "the bootstrap", err));
    TR_TRY(TR_NEW(&work->shares, TILE * units, "the bootstrap", err));
    for (int64_t c = 0; c < work->panel->checkpoints; c++)
        TR_TRY(make_columns(work, c, err));
    return TR_OK;
}

static void work_free(struct work *work) {
    for (int64_t c = 0; work->columns && c < work->panel->checkpoints; c++) {
        free(work->columns[c].run);
        free(work->columns[c].packed);
    }
    free(work->columns);
    free(work->lines);
    free(work->resamples);
    free(work->product);
    free(work->shares);
}

static enum tr_status draws_allocate(struct an_draws *draws, struct tr_err *err) {
    uint64_t size;
    if (!tr_mul((uint64_t)draws->count, (uint64_t)draws->units, &size))
        return tr_fail(err, TR_ENOMEM, "no memory for resampled means");
    for (int which = 0; which < AN_AGGREGATES; which++)
        TR_TRY(TR_NEW(&draws->of[which], size, "resampled means", err));
    return TR_OK;
}

enum tr_status an_draws_make(struct an_draws *draws, const struct an_resamples *resamples,
                             const struct an_panel *panel, const double *weight,
                             struct tr_err *err) {
    struct an_draws new = {.count = resamples->count, .units = panel->units};
    struct work work = {.panel = panel, .weight = weight};
    enum tr_status status;
    if (resamples->sequences != panel->sequences)
        return tr_fail(err, TR_EUSAGE, "resamples of %lld sequences do not fit %lld",
                       (long long)resamples->sequences, (long long)panel->sequences);
    TR_GO(status, draws_allocate(&new, err), out);
    TR_GO(status, work_allocate(&work, err), out);
    for (int64_t first = 0; first < new.count; first += TILE) {
        int64_t rows = new.count - first < TILE ? new.count - first : TILE;
        draw_tile(&new, &work, resamples->weights, first, rows);
    }
    *draws = new;
out:
    if (status != TR_OK)
        an_draws_free(&new);
    work_free(&work);
    return status;
}

void an_draws_free(struct an_draws *draws) {
    for (int which = 0; which < AN_AGGREGATES; which++)
        free(draws->of[which]);
}

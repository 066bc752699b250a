// SPDX-License-Identifier: Apache-2.0
#include "wild.h"

#include <math.h>
#include <stdio.h>

#include "statistics/random.h"
#include "store/store.h"

enum { SEQ_LEN = 64, STEP = 500 };

static struct an_random random_state;

static double uniform(void) {
    return an_random_uniform(&random_state);
}

static bool chance(double p) {
    return uniform() < p;
}

static int64_t within(int64_t low, int64_t high) {
    return low + (int64_t)an_random_below(&random_state, (uint64_t)(high - low + 1));
}

// How values of a store are spread: not at all, a little, or over orders of magnitude.
static double spread;
static bool tied;

// Above 0, mostly small; at most `most`.
static double positive(double most) {
    if (tied && chance(0.7))
        return fmin(0.25, most);
    if (chance(0.05))
        return chance(0.5) ? 0.0 : fmin(most, 2.0);
    return fmin(most, 0.05 * exp(spread * an_random_normal(&random_state)));
}

static double cosine(void) {
    double value = spread * 0.3 * an_random_normal(&random_state);
    return chance(0.03) ? (chance(0.5) ? -1.0 : 1.0) : fmax(-1.0, fmin(1.0, value));
}

static void fill_cell(struct tr_row *row, const struct tr_layout *layout, int64_t cell) {
    double sum = 0.0, tokens = 0.0;
    bool absent = chance(0.05);
    for (int64_t s = 0; s < layout->sequences; s++) {
        int64_t at = cell * layout->sequences + s;
        bool here = !absent && !chance(0.02);
        double importance = positive(2.0);
        uint32_t count = here ? (uint32_t)within(spread > 1.0 ? 1 : SEQ_LEN, SEQ_LEN) : 0;
        tr_row_u32(row, TR_V_TOKEN_COUNT)[at] = count;
        tr_row_f64(row, TR_V_IMPORTANCE_SEQ)[at] = here ? importance : NAN;
        tr_row_f64(row, TR_V_UPDATE_RATIO_SEQ)[at] = here ? 10.0 * positive(INFINITY) : NAN;
        tr_row_f64(row, TR_V_ALIGNMENT_SEQ)[at] = here ? cosine() : NAN;
        sum += here ? count * importance : 0.0;
        tokens += count;
    }
    tr_row_f64(row, TR_V_IMPORTANCE)[cell] = tokens > 0.0 ? sum / tokens : NAN;
    tr_row_f64(row, TR_V_UPDATE_RATIO)[cell] = tokens > 0.0 ? 1.0 : NAN;
    tr_row_f64(row, TR_V_ALIGNMENT)[cell] = tokens > 0.0 ? 0.0 : NAN;
    tr_row_f64(row, TR_V_STREAM_NORM)[cell] = 1.0 + positive(100.0);
}

static void fill_costs(struct tr_row *row, const struct tr_layout *layout) {
    int64_t rows = layout->cost_sequences;
    for (int64_t s = 0; s < rows; s++)
        tr_row_f64(row, TR_V_BASE_NLL)[s] = tr_row_f64(row, TR_V_NLL)[s];
    for (int64_t i = 0; i < layout->layers * TR_MODULES * rows; i++) {
        if (i / rows % TR_MODULES == TR_BLOCK)
            continue;
        tr_row_f64(row, TR_V_DROP_NLL)[i] =
            tr_row_f64(row, TR_V_NLL)[i % rows] + spread * an_random_normal(&random_state);
        tr_row_f64(row, TR_V_DROP_KL)[i] = positive(INFINITY);
        tr_row_f64(row, TR_V_DROP_AGREE)[i] = fabs(cosine());
    }
    for (int64_t i = 0; i < layout->drop_sets * rows; i++) {
        tr_row_f64(row, TR_V_SET_NLL)[i] = 3.0 + spread * an_random_normal(&random_state);
        tr_row_f64(row, TR_V_SET_KL)[i] = positive(INFINITY);
        tr_row_f64(row, TR_V_SET_AGREE)[i] = fabs(cosine());
    }
}

static enum tr_status commit(const char *out, const struct tr_run_info *info, int64_t checkpoint,
                             struct tr_err *err) {
    struct tr_row row;
    char name[32];
    TR_TRY(tr_row_new(&row, &info->layout, err));
    snprintf(name, sizeof name, "step%lld", (long long)(checkpoint * STEP));
    tr_row_u8(&row, TR_V_STATUS)[0] = TR_ROW_COMPLETE;
    tr_row_i64(&row, TR_V_STEP)[0] = checkpoint * STEP;
    for (int64_t s = 0; s < info->layout.sequences; s++)
        tr_row_f64(&row, TR_V_NLL)[s] = 3.0 + 0.5 * an_random_normal(&random_state);
    for (int64_t cell = 0; cell < info->layout.layers * TR_MODULES; cell++)
        fill_cell(&row, &info->layout, cell);
    if (info->layout.cost_sequences)
        fill_costs(&row, &info->layout);
    enum tr_status status = tr_row_set_string(&row, TR_V_NAME, name, err);
    if (status == TR_OK)
        status = tr_store_commit(out, info, &row, err);
    tr_row_free(&row);
    return status;
}

enum tr_status write_wild(const char *out, uint64_t seed, struct tr_err *err) {
    static const double spreads[] = {0.02, 0.5, 1.5, 4.0};
    struct tr_run_info info = {.layout = {.seq_len = SEQ_LEN, .nll = true}};
    struct tr_store *store;
    char *warnings;
    an_random_seed(&random_state, seed);
    info.layout.layers = within(1, 4);
    info.layout.sequences = within(2, 8);
    spread = spreads[within(0, 3)];
    tied = chance(0.2);
    if (chance(2.0 / 3.0)) {
        info.layout.cost_sequences = info.layout.sequences;
        info.layout.cost_batch = 1;
        info.layout.drop_sets = within(0, 2);
    }
    TR_TRY(tr_run_info_text(&info, TR_IDENTITY, "tokens_digest", "wild", err));
    TR_TRY(tr_run_info_sequences(&info, err));
    TR_TRY(tr_run_info_sets(&info, err));
    for (int64_t set = 0; set < info.layout.drop_sets; set++)
        TR_TRY(tr_run_info_set(&info, set, set ? "both" : "one", set ? "attn:0 mlp:0" : "attn:0",
                               err));
    TR_TRY(tr_store_open(&store, out, &info, true, &warnings, err));
    for (int64_t c = 0, checkpoints = within(1, 6); c < checkpoints; c++)
        TR_TRY(commit(out, &info, c, err));
    TR_TRY(tr_store_publish(store, NULL, err));
    tr_store_close(store);
    tr_run_info_free(&info);
    return TR_OK;
}

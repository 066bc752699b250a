// SPDX-License-Identifier: Apache-2.0
// write_series OUT CHECKPOINTS LAYERS SEQUENCES [SEED [gaps|right|wrong|late|faint|steps [DTYPE]]]:
// a store of a made-up training run, large where it is asked to be, for tests of speed and memory.
// Importance falls from the first to the middle layers and rises to the last, drifts with training,
// wanders by checkpoint (correlated in time), and every sequence has its own level and noise; block
// and MLP lie above attention. With `right`, `wrong` and `late` it has costs of attention and MLP,
// which follow importance throughout; but for layers 2 and 5, whose costs are each other's; or from
// the middle of training on, and before it a random order; `faint` is `right` with costs of a
// hundredth, and DTYPE what the store says of the operands of products. With `steps` nobody knows
// the tokens.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strings.h"
#include "statistics/random.h"
#include "store/store.h"

enum { SEQ_LEN = 2048, STEP = 1000, TOKENS_PER_STEP = 2097152 };

enum costs { NONE, RIGHT, WRONG, LATE, FAINT };

struct made_up {
    struct tr_layout layout;
    struct an_random random;
    bool gaps;  // attention 7 has no importance at checkpoint 2, MLP 6 has one at the first only
    bool steps; // only they are known
    enum costs costs;
    const char *dtype; // NULL: not said
    double *wander;    // [layers, modules] of the logarithm, AR(1) over checkpoints
    double *level;     // [sequences] of the logarithm
};

// The logarithm of a unit's mean importance at a checkpoint, `age` from 0 to 1.
static double trend(const struct made_up *run, int64_t layer, int module, double age) {
    double depth = ((double)layer + 0.5) / (double)run->layout.layers;
    double bowl = 4.0 * (depth - 0.6) * (depth - 0.6);
    return log(0.01) + 3.0 * bowl + (double)module - 0.8 * age * (1.0 - depth);
}

// Writes the per-sequence values of a unit and their means.
static void fill_unit(struct made_up *run, struct tr_row *row, int64_t cell, double mean) {
    int64_t sequences = run->layout.sequences;
    double sums[3] = {0.0, 0.0, 0.0};
    static const enum tr_variable_id of[] = {TR_V_IMPORTANCE_SEQ, TR_V_UPDATE_RATIO_SEQ,
                                             TR_V_ALIGNMENT_SEQ};
    for (int64_t s = 0; s < sequences; s++) {
        double noise = 0.1 * an_random_normal(&run->random);
        double importance = exp(mean + run->level[s] + noise);
        double alignment = 0.05 * an_random_normal(&run->random);
        const double values[] = {importance, sqrt(2.0 * importance), alignment};
        int64_t at = cell * sequences + s;
        tr_row_u32(row, TR_V_TOKEN_COUNT)[at] = SEQ_LEN;
        for (int i = 0; i < 3; i++) {
            tr_row_f64(row, of[i])[at] = values[i];
            sums[i] += values[i];
        }
        tr_row_f64(row, TR_V_XX_SEQ)[at] = 100.0;
        tr_row_f64(row, TR_V_DD_SEQ)[at] = 200.0 * importance;
        tr_row_f64(row, TR_V_XD_SEQ)[at] = 100.0 * sqrt(2.0 * importance) * alignment;
    }
    double count = (double)sequences;
    tr_row_f64(row, TR_V_IMPORTANCE)[cell] = sums[0] / count;
    tr_row_f64(row, TR_V_SIMILARITY)[cell] = 1.0 - sums[0] / count;
    tr_row_f64(row, TR_V_UPDATE_RATIO)[cell] = sums[1] / count;
    tr_row_f64(row, TR_V_ALIGNMENT)[cell] = sums[2] / count;
    tr_row_f64(row, TR_V_STREAM_NORM)[cell] = 10.0;
}

// The layer by whose importance another costs.
static int64_t counterpart(const struct made_up *run, int64_t layer, double age) {
    int64_t layers = run->layout.layers;
    if (run->costs == WRONG && (layer == 2 || layer == 5))
        return 7 - layer;
    return run->costs == LATE && age < 0.5 ? (layer * 5 + 3) % layers : layer;
}

// A sublayer that turns the stream little may help by being left out.
static void fill_costs(struct made_up *run, struct tr_row *row, int64_t cell, double age) {
    int64_t layer = cell / TR_MODULES, module = cell % TR_MODULES;
    int64_t as = counterpart(run, layer, age) * TR_MODULES + module;
    double scale = run->costs == FAINT ? 0.01 : 1.0;
    double mean = scale * 5.0 * exp(trend(run, as / TR_MODULES, (int)module, age));
    for (int64_t s = 0; s < run->layout.sequences && module != TR_BLOCK; s++) {
        int64_t at = cell * run->layout.sequences + s;
        double loss =
            mean * exp(run->level[s]) - scale * 0.1 + scale * 0.02 * an_random_normal(&run->random);
        double divergence = mean * exp(run->level[s] + 0.1 * an_random_normal(&run->random));
        tr_row_f64(row, TR_V_DROP_NLL)[at] = tr_row_f64(row, TR_V_BASE_NLL)[s] + loss;
        tr_row_f64(row, TR_V_DROP_KL)[at] = divergence;
        tr_row_f64(row, TR_V_DROP_AGREE)[at] = exp(-divergence);
    }
}

static void leave_out(const struct made_up *run, struct tr_row *row, int64_t layer, int module) {
    int64_t cell = layer * TR_MODULES + module;
    tr_row_f64(row, TR_V_IMPORTANCE)[cell] = NAN;
    for (int64_t s = 0; s < run->layout.sequences; s++)
        tr_row_f64(row, TR_V_IMPORTANCE_SEQ)[cell * run->layout.sequences + s] = NAN;
}

static enum tr_status commit(struct made_up *run, const char *out, const struct tr_run_info *info,
                             int64_t checkpoint, int64_t checkpoints, struct tr_err *err) {
    struct tr_row row;
    char name[32], digest[40];
    double age = (double)checkpoint / (double)(checkpoints > 1 ? checkpoints - 1 : 1);
    TR_TRY(tr_row_new(&row, &run->layout, err));
    snprintf(name, sizeof name, "step%lld", (long long)(checkpoint * STEP));
    snprintf(digest, sizeof digest, "%032llx", (unsigned long long)(checkpoint + 1));
    tr_row_u8(&row, TR_V_STATUS)[0] = TR_ROW_COMPLETE;
    tr_row_i64(&row, TR_V_STEP)[0] = checkpoint * STEP;
    tr_row_f64(&row, TR_V_TOKENS_SEEN)[0] =
        run->steps ? NAN : (double)checkpoint * STEP * TOKENS_PER_STEP;
    for (int64_t cell = 0; cell < run->layout.layers * TR_MODULES; cell++) {
        run->wander[cell] = 0.8 * run->wander[cell] + 0.06 * an_random_normal(&run->random);
        double mean = trend(run, cell / TR_MODULES, (int)(cell % TR_MODULES), age);
        fill_unit(run, &row, cell, mean + run->wander[cell]);
    }
    if (run->gaps && checkpoint == 2 && run->layout.layers > 7)
        leave_out(run, &row, 7, TR_ATTN);
    if (run->gaps && checkpoint > 0 && run->layout.layers > 7)
        leave_out(run, &row, 6, TR_MLP);
    for (int64_t s = 0; s < run->layout.sequences; s++)
        tr_row_f64(&row, TR_V_NLL)[s] = 3.0 + 4.0 * exp(-8.0 * age) + run->level[s];
    for (int64_t s = 0; s < run->layout.cost_sequences; s++)
        tr_row_f64(&row, TR_V_BASE_NLL)[s] = tr_row_f64(&row, TR_V_NLL)[s];
    for (int64_t cell = 0; cell < run->layout.layers * TR_MODULES && run->costs; cell++)
        fill_costs(run, &row, cell, age);
    enum tr_status status = tr_row_set_string(&row, TR_V_NAME, name, err);
    if (status == TR_OK)
        status = tr_row_set_string(&row, TR_V_WEIGHTS_DIGEST, digest, err);
    if (status == TR_OK)
        status = tr_store_commit(out, info, &row, err);
    tr_row_free(&row);
    return status;
}

// Of a model whose layers are alike: what runs with costs say of sizes.
static enum tr_status add_sizes(struct tr_run_info *info, struct tr_err *err) {
    struct tr_string text = {0};
    long long last = (long long)info->layout.layers - 1;
    enum tr_status status = tr_string_format(
        &text, err,
        "{\"weight_bytes\":2,\"elsewhere\":1000,\"head\":2000,\"sublayers\":["
        "{\"module\":\"attn\",\"first\":0,\"last\":%lld,\"parameters\":100,\"met\":100,"
        "\"kept\":8,\"key\":64,\"window\":0},"
        "{\"module\":\"mlp\",\"first\":0,\"last\":%lld,\"parameters\":300,\"met\":300,"
        "\"kept\":0,\"key\":0,\"window\":0}]}",
        last, last);
    if (status == TR_OK)
        status = tr_run_info_text(info, TR_GAINED, "sizes", text.data, err);
    tr_string_free(&text);
    return status;
}

static enum tr_status write_series(struct made_up *run, const char *out, int64_t checkpoints,
                                   struct tr_err *err) {
    struct tr_run_info info = {.layout = run->layout};
    struct tr_store *store;
    char *warnings;
    TR_TRY(tr_run_info_text(&info, TR_IDENTITY, "model", "made up", err));
    TR_TRY(tr_run_info_text(&info, TR_IDENTITY, "tokens_digest", "made up", err));
    if (run->dtype)
        TR_TRY(tr_run_info_text(&info, TR_IDENTITY, "dtype", run->dtype, err));
    if (run->costs)
        TR_TRY(add_sizes(&info, err));
    TR_TRY(tr_run_info_sequences(&info, err));
    TR_TRY(tr_store_open(&store, out, &info, true, &warnings, err));
    for (int64_t c = 0; c < checkpoints; c++)
        TR_TRY(commit(run, out, &info, c, checkpoints, err));
    TR_TRY(tr_store_publish(store, NULL, err));
    tr_store_close(store);
    tr_run_info_free(&info);
    return TR_OK;
}

int main(int argc, char **argv) {
    int64_t number[4] = {0};
    if (argc < 5 || argc > 8)
        return 2;
    for (int i = 2; i < argc && i < 6; i++)
        if (!tr_parse_i64(argv[i], i < 5, 1000000, &number[i - 2]))
            return 2;
    struct made_up run = {
        .layout = {.layers = number[1], .sequences = number[2], .seq_len = SEQ_LEN, .nll = true}};
    static const char *const kinds[] = {
        [NONE] = "gaps", [RIGHT] = "right", [WRONG] = "wrong", [LATE] = "late", [FAINT] = "faint"};
    run.dtype = argc > 7 ? argv[7] : NULL;
    run.gaps = argc > 6 && !strcmp(argv[6], kinds[NONE]);
    for (int kind = RIGHT; kind <= FAINT && argc > 6; kind++)
        if (!strcmp(argv[6], kinds[kind]))
            run.costs = kind;
    run.steps = argc > 6 && !strcmp(argv[6], "steps");
    if (argc > 6 && !run.gaps && !run.steps && run.costs == NONE)
        return 2;
    run.layout.cost_sequences = run.costs ? number[2] : 0;
    run.layout.cost_batch = run.costs ? 1 : 0;
    run.wander = calloc((size_t)(number[1] * TR_MODULES), sizeof *run.wander);
    run.level = calloc((size_t)number[2], sizeof *run.level);
    an_random_seed(&run.random, (uint64_t)number[3]);
    for (int64_t s = 0; run.level && s < number[2]; s++)
        run.level[s] = 0.2 * an_random_normal(&run.random);
    struct tr_err err = {.text = "out of memory"};
    enum tr_status status =
        run.wander && run.level ? write_series(&run, argv[1], number[0], &err) : TR_ENOMEM;
    free(run.wander);
    free(run.level);
    if (status != TR_OK)
        fprintf(stderr, "write_series: %s\n", err.text);
    return status == TR_OK ? 0 : 1;
}

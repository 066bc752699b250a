// SPDX-License-Identifier: Apache-2.0
#ifndef TEST_MADE_STORE_H
#define TEST_MADE_STORE_H

// Stores whose values a test makes up, and what is made of them. To be included after cmocka.h.

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "analysis/result.h"
#include "folder.h"
#include "store/store.h"

static struct tr_err err;

static inline void ok(enum tr_status status) {
    if (status != TR_OK)
        fail_msg("%s", err.text);
}

// A run whose every value is a function of where it is.
struct made {
    int64_t checkpoints, layers, sequences;
    const int64_t *step;       // [checkpoints]
    const char *const *digest; // [checkpoints]; NULL: all differ
    double (*value)(int64_t checkpoint, int64_t layer, int module, int64_t sequence);
    // Costs of attention and MLP, on every second sequence; NULL: none.
    double (*cost)(int64_t checkpoint, int64_t layer, int module, int64_t cost_sequence);
    uint32_t nonfinite_at_1; // tokens left out of attention 0 at checkpoint 1
    uint32_t angleless_at_1; // of MLP 0's first sequence there
    // Of the stream at two boundaries between blocks, from < to; NULL: no spans.
    float (*similarity)(int64_t checkpoint, int64_t from, int64_t to);
};

static inline void write_cell(struct tr_row *row, const struct made *made, int64_t c, int64_t layer,
                              int module) {
    int64_t cell = layer * TR_MODULES + module;
    double sum = 0.0;
    for (int64_t s = 0; s < made->sequences; s++) {
        double value = made->value(c, layer, module, s);
        tr_row_f64(row, TR_V_IMPORTANCE_SEQ)[cell * made->sequences + s] = value;
        if (made->cost) {
            tr_row_f64(row, TR_V_UPDATE_RATIO_SEQ)[cell * made->sequences + s] = sqrt(2.0 * value);
            tr_row_f64(row, TR_V_ALIGNMENT_SEQ)[cell * made->sequences + s] = 0.0;
        }
        tr_row_u32(row, TR_V_TOKEN_COUNT)[cell * made->sequences + s] = 8;
        sum += value;
    }
    tr_row_f64(row, TR_V_IMPORTANCE)[cell] = sum / (double)made->sequences;
}

static inline void write_costs(struct tr_row *row, const struct made *made, int64_t c,
                               const struct tr_layout *layout) {
    for (int64_t s = 0; s < layout->cost_sequences; s++)
        tr_row_f64(row, TR_V_BASE_NLL)[s] = 3.0 + (double)s;
    for (int64_t cell = 0; cell < made->layers * TR_MODULES; cell++)
        for (int64_t s = 0; s < layout->cost_sequences && cell % TR_MODULES != TR_BLOCK; s++) {
            double cost = made->cost(c, cell / TR_MODULES, (int)(cell % TR_MODULES), s);
            int64_t at = cell * layout->cost_sequences + s;
            tr_row_f64(row, TR_V_DROP_NLL)[at] = 3.0 + (double)s + cost;
            tr_row_f64(row, TR_V_DROP_KL)[at] = fabs(cost);
            tr_row_f64(row, TR_V_DROP_AGREE)[at] = 1.0 - fabs(cost);
        }
}

static inline void write_spans(struct tr_row *row, const struct made *made, int64_t c) {
    int64_t boundaries = made->layers + 1;
    for (int64_t from = 0; from < boundaries; from++)
        for (int64_t to = from; to < boundaries; to++) {
            float value = from < to ? made->similarity(c, from, to) : 1.0F;
            tr_row_f32(row, TR_V_SPAN_SIMILARITY)[from * boundaries + to] = value;
            tr_row_f32(row, TR_V_SPAN_SIMILARITY)[to * boundaries + from] = value;
        }
}

static inline void write_row(const struct made *made, const struct tr_run_info *info,
                             const char *path, int64_t c) {
    struct tr_row row;
    char name[32];
    snprintf(name, sizeof name, "step%lld", (long long)made->step[c]);
    ok(tr_row_new(&row, &info->layout, &err));
    ok(tr_row_set_string(&row, TR_V_NAME, name, &err));
    ok(tr_row_set_string(&row, TR_V_WEIGHTS_DIGEST, made->digest ? made->digest[c] : name, &err));
    tr_row_i64(&row, TR_V_STEP)[0] = made->step[c];
    tr_row_u8(&row, TR_V_STATUS)[0] = TR_ROW_COMPLETE;
    for (int64_t layer = 0; layer < made->layers; layer++)
        for (int module = 0; module < TR_MODULES; module++)
            write_cell(&row, made, c, layer, module);
    if (made->cost)
        write_costs(&row, made, c, &info->layout);
    if (made->similarity)
        write_spans(&row, made, c);
    if (c == 1) {
        tr_row_u32(&row, TR_V_NONFINITE)[TR_ATTN] = made->nonfinite_at_1;
        tr_row_u32(&row, TR_V_TOKEN_COUNT)[TR_ATTN * made->sequences] -= made->nonfinite_at_1;
        tr_row_u32(&row, TR_V_TOKEN_COUNT)[TR_MLP * made->sequences] -= made->angleless_at_1;
    }
    ok(tr_store_commit(path, info, &row, &err));
    tr_row_free(&row);
}

static inline struct tr_trace *write_store(const struct made *made) {
    struct tr_run_info info = {
        .layout = {.layers = made->layers, .sequences = made->sequences, .seq_len = 8}};
    info.layout.cost_sequences = made->cost ? made->sequences / 2 : 0;
    info.layout.cost_batch = made->cost ? 1 : 0;
    if (made->similarity)
        info.layout.span_tokens = info.layout.probes = info.layout.channels = 4;
    struct tr_store *store;
    struct tr_trace *trace;
    char *path = in_folder("made.h5"), *warnings;
    ok(tr_run_info_sequences(&info, &err));
    ok(tr_store_open(&store, path, &info, true, &warnings, &err));
    for (int64_t c = 0; c < made->checkpoints; c++)
        write_row(made, &info, path, c);
    ok(tr_store_publish(store, NULL, &err));
    tr_store_close(store);
    tr_run_info_free(&info);
    ok(tr_trace_open(&trace, path, &err));
    return trace;
}

static inline struct an_settings settings_of(enum an_group group, int64_t count) {
    struct an_settings settings = {.count = count,
                                   .below = NAN,
                                   .from = INT64_MIN,
                                   .resamples = 1000,
                                   .seed = 1,
                                   .level = 0.95};
    settings.wanted[group] = true;
    return settings;
}

static inline struct an_result analyze(const struct made *made,
                                       const struct an_settings *settings) {
    struct tr_trace *trace = write_store(made);
    struct an_result result;
    ok(an_analyze(&result, trace, "made.h5", settings, &err));
    tr_trace_close(trace);
    return result;
}

#endif

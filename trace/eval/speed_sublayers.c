// SPDX-License-Identifier: Apache-2.0
#include "speed_sublayers.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "model/costs.h"
#include "page_table.h"

// ---- kinds -------------------------------------------------------------------------------------

static enum tr_status find_kind(struct tr_sublayer_speeds *s, const struct tr_config *c,
                                enum tr_module module, int layer, int64_t *kind_p,
                                struct tr_err *err) {
    struct tr_sublayer_kind kind = {.module = module,
                                    .parameters = tr_sublayer_parameters(c, module, layer, true),
                                    .windowed = module == TR_ATTN &&
                                                tr_config_has(c, layer, TR_LAYER_WINDOWED)};
    int64_t i = 0;
    while (i < s->count &&
           (s->kinds[i].module != module || s->kinds[i].parameters < kind.parameters ||
            s->kinds[i].parameters > kind.parameters || s->kinds[i].windowed != kind.windowed))
        i++;
    if (i == s->count) {
        TR_TRY(tr_grow((void **)&s->kinds, &s->capacity, (uint64_t)s->count + 1, sizeof *s->kinds,
                       "kinds of sublayers", err));
        s->kinds[s->count++] = kind;
    }
    s->kinds[i].count++;
    *kind_p = i;
    return TR_OK;
}

static enum tr_status find_kinds(struct tr_sublayer_speeds *s, const struct tr_config *c,
                                 struct tr_err *err) {
    s->layers = (int64_t)c->layers;
    TR_TRY(TR_NEW(&s->kind, 2 * (int64_t)c->layers, "kinds of sublayers", err));
    for (int i = 0; i < 2 * c->layers; i++) {
        enum tr_module module = i % 2 ? TR_MLP : TR_ATTN;
        s->kind[i] = -1;
        if (tr_config_keeps(c, NULL, module, i / 2))
            TR_TRY(find_kind(s, c, module, i / 2, &s->kind[i], err));
    }
    return TR_OK;
}

// All sublayers of a kind.
static enum tr_status set_of(struct tr_drop_set *set, const struct tr_sublayer_speeds *s,
                             int64_t kind, struct tr_err *err) {
    for (int i = 0; i < 2 * s->layers; i++)
        if (s->kind[i] == kind)
            TR_TRY(tr_drop_set_add(set, s->kinds[kind].module, i / 2, err));
    return TR_OK;
}

// ---- times -------------------------------------------------------------------------------------

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Milliseconds, the median of the rounds, of (whole - without) / count; without may be NULL. What
// noise makes of nothing is nothing, and never less.
static double median_of(const double *whole, const double *without, int64_t rounds, double count,
                        double *scratch) {
    for (int64_t r = 0; r < rounds; r++)
        scratch[r] = 1e3 * (whole[r] - (without ? without[r] : 0)) / count;
    qsort(scratch, (size_t)rounds, sizeof *scratch, by_value);
    double median = (scratch[(rounds - 1) / 2] + scratch[rounds / 2]) / 2;
    return median > 0 ? median : 0;
}

static void take_times(struct tr_sublayer_speeds *s, const struct tr_speed_model *models,
                       int64_t rounds, double *scratch) {
    double steps = (double)s->shape.generated;
    s->decode = median_of(models->decode, NULL, rounds, steps, scratch);
    s->prefill = median_of(models->prefill, NULL, rounds, 1, scratch);
    for (int64_t k = 0; k < s->count; k++) {
        struct tr_sublayer_kind *kind = &s->kinds[k];
        const struct tr_speed_model *without = &models[1 + k];
        double count = (double)kind->count;
        kind->decode = median_of(models->decode, without->decode, rounds, count * steps, scratch);
        kind->prefill = median_of(models->prefill, without->prefill, rounds, count, scratch);
    }
}

static enum tr_status measure(struct tr_sublayer_speeds *s, struct tr_pass_weights *weights,
                              struct tr_speed_model *models, struct tr_drop_set *sets,
                              double *seconds, int64_t rounds, struct tr_err *err) {
    for (int64_t m = 0; m <= s->count; m++) {
        if (m)
            TR_TRY(set_of(&sets[m - 1], s, m - 1, err));
        models[m] = (struct tr_speed_model){.drop = m ? &sets[m - 1] : NULL,
                                            .prefill = seconds + 2 * m * rounds,
                                            .decode = seconds + (2 * m + 1) * rounds};
    }
    TR_TRY(tr_speed_measure(weights, &s->shape, models, (int)s->count + 1, rounds, err));
    take_times(s, models, rounds, seconds + 2 * (s->count + 1) * rounds);
    return TR_OK;
}

enum tr_status tr_sublayer_speeds_measure(struct tr_sublayer_speeds *s,
                                          struct tr_pass_weights *weights,
                                          const struct tr_speed_shape *shape, int64_t rounds,
                                          struct tr_err *err) {
    struct tr_speed_model *models = NULL;
    struct tr_drop_set *sets = NULL;
    double *seconds = NULL;
    enum tr_status status;
    *s = (struct tr_sublayer_speeds){.shape = *shape};
    TR_GO(status, find_kinds(s, &weights->loaded.config, err), out);
    TR_GO(status, TR_NEW(&models, s->count + 1, "speeds", err), out);
    TR_GO(status, TR_NEW(&sets, s->count, "speeds", err), out);
    TR_GO(status, TR_NEW(&seconds, (2 * s->count + 3) * rounds, "speeds", err), out);
    status = measure(s, weights, models, sets, seconds, rounds, err);
out:
    for (int64_t k = 0; sets && k < s->count; k++)
        tr_drop_set_free(&sets[k]);
    free(sets);
    free(models);
    free(seconds);
    if (status != TR_OK)
        tr_sublayer_speeds_free(s);
    return status;
}

void tr_sublayer_speeds_free(struct tr_sublayer_speeds *s) {
    free(s->kinds);
    free(s->kind);
    *s = (struct tr_sublayer_speeds){0};
}

// ---- for people, and as JSON -------------------------------------------------------------------

static enum tr_status add_kind(struct tr_page_table *table, const struct tr_sublayer_speeds *s,
                               const struct tr_sublayer_kind *kind, const char *checkpoint,
                               struct tr_err *err) {
    TR_TRY(tr_page_cell(table, err, "%s", checkpoint));
    TR_TRY(tr_page_cell(table, err, "%s%s", tr_module_names[kind->module],
                        kind->windowed ? ", with a window" : ""));
    TR_TRY(tr_page_cell(table, err, "%lld", (long long)kind->count));
    TR_TRY(tr_page_cell(table, err, "%lld", (long long)s->shape.prompt));
    TR_TRY(tr_page_cell(table, err, "%.4f", kind->decode));
    TR_TRY(tr_page_cell(table, err, "%.4f", s->decode));
    TR_TRY(tr_page_cell(table, err, "%.4f", kind->prefill));
    return tr_page_cell(table, err, "%.4f", s->prefill);
}

enum tr_status tr_sublayer_speeds_table(const struct tr_sublayer_speeds *speeds, int64_t count,
                                        const char *checkpoint, struct tr_string *page,
                                        struct tr_err *err) {
    static const struct tr_page_column columns[] = {
        {"Checkpoint", false, false}, {"Sublayer", false, false}, {"Layers", true, false},
        {"Prompt", true, false},      {"ms a step", true, false}, {"Whole", true, true},
        {"ms a prompt", true, false}, {"Whole", true, true}};
    struct tr_page_table table = {
        .columns = columns, .column_count = sizeof columns / sizeof *columns, .keys = 4};
    enum tr_status status = TR_OK;
    for (int64_t i = 0; i < count; i++)
        for (int64_t k = 0; k < speeds[i].count && status == TR_OK; k++)
            status = add_kind(&table, &speeds[i], &speeds[i].kinds[k], checkpoint, err);
    if (status == TR_OK)
        status = tr_page_write(&table, page, err);
    tr_page_free(&table);
    return status;
}

json_t *tr_sublayer_speeds_json(const struct tr_sublayer_speeds *s) {
    json_t *list = json_array();
    for (int i = 0; i < 2 * s->layers; i++) {
        const struct tr_sublayer_kind *kind = s->kind[i] < 0 ? NULL : &s->kinds[s->kind[i]];
        if (kind)
            json_array_append_new(list, json_pack("{s:s, s:i, s:f, s:f}", "module",
                                                  tr_module_names[kind->module], "layer", i / 2,
                                                  "decode_ms", kind->decode, "prefill_ms",
                                                  kind->prefill));
    }
    return json_pack("{s:I, s:I, s:I, s:f, s:f, s:o}", "prompt", (json_int_t)s->shape.prompt,
                     "generated", (json_int_t)s->shape.generated, "batch",
                     (json_int_t)s->shape.batch, "decode_ms", s->decode, "prefill_ms", s->prefill,
                     "sublayers", list);
}

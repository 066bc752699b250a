// SPDX-License-Identifier: Apache-2.0
#include "quant_report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "model/weight_source.h"
#include "statistics/interval.h"

static const double level = 0.95;

// ---- errors of outputs -------------------------------------------------------------------------

// "self_attn.q_proj" of "model.layers.0.self_attn.q_proj.weight".
static void short_name(char out[64], const char *name) {
    const char *end = strrchr(name, '.'), *begin;
    int dots = 0;
    end = end ? end : name + strlen(name);
    for (begin = end; begin > name && dots < 2; begin--)
        dots += begin[-1] == '.';
    begin += dots == 2;
    snprintf(out, 64, "%.*s", (int)(end - begin), begin);
}

static enum tr_status tell_errors(const struct tr_part *part, int layer, struct tr_string *told,
                                  struct tr_err *err) {
    const char *comma = "";
    for (int64_t i = 0; i < part->count; i++) {
        const struct tr_quantized *t = &part->tensors[i];
        char name[64];
        if (!isfinite(t->error))
            continue;
        short_name(name, t->name);
        if (!*comma)
            TR_TRY(tr_string_format(told, err, "%5d  ", layer));
        TR_TRY(tr_string_format(told, err, "%s%s %.2e", comma, name, t->error));
        comma = ", ";
    }
    return *comma ? tr_string_append(told, "\n", 1, err) : TR_OK;
}

enum tr_status tr_report_errors(const struct tr_quantizer *q, struct tr_string *told,
                                struct tr_err *err) {
    TR_TRY(tr_string_format(told, err, "Relative error of each weight's output, by layer:\n"));
    for (int layer = 0; layer < tr_held_loaded(q->held)->config.layers; layer++) {
        struct tr_part part = {0};
        bool found;
        char *path;
        TR_TRY(tr_quantizer_part_path(q, layer, &path, err));
        enum tr_status status = tr_part_read(&part, path, q->identity, &found, err);
        if (status == TR_OK && found)
            status = tell_errors(&part, layer, told, err);
        tr_part_free(&part);
        free(path);
        TR_TRY(status);
    }
    return TR_OK;
}

// ---- losses ------------------------------------------------------------------------------------

enum { MODELS = 4, MEASURES = 3 };
enum measure { ADDED_LOSS, DIVERGENCE, AGREEMENT };

// What a sublayer or block does to the stream, over all tokens: the sum of 1 - cos, and how many.
struct importance {
    double sum, count;
};

// One of the models that are compared.
struct model {
    char label[128];
    struct importance (*importance)[TR_MODULES]; // [layers]
    int64_t layers;
    struct tr_held *held;
    struct tr_forward *forward;
    struct tr_streams *streams;
    double *loss;              // [rows]
    double *measure[MEASURES]; // [rows]
};

struct comparison {
    const struct tr_quantizer *q;
    struct tr_rows rows;
    struct model models[MODELS];
    int count;
    struct tr_taps taps[MODELS];
    double *memory;
};

static void pass_over(void *user, const struct tr_tap *tap) {
    (void)user, (void)tap;
}

static void go_on(void *user, int64_t index) {
    (void)user, (void)index;
}

static void on_layer(void *user, const struct tr_tap *tap) {
    struct model *m = user;
    int64_t bins = tr_position_bins(tap->seq_len);
    for (int module = 0; module < TR_MODULES; module++)
        for (int64_t s = 0; s < tap->sequences && tap->has[module]; s++) {
            int64_t at = module * tap->sequences + s;
            struct importance *importance = &m->importance[tap->layer][module];
            importance->sum += tap->sums[at * (KN_SUMS + bins) + KN_SUM_IMPORTANCE];
            importance->count += tap->counts[at * (KN_COUNTS + TR_BINS + bins) + KN_COUNT_FINITE];
        }
}

static double mean_of_finite(const double *values, int64_t count) {
    double sum = 0;
    int64_t finite = 0;
    for (int64_t i = 0; i < count; i++)
        if (!isnan(values[i])) { // a position without a next token
            sum += values[i];
            finite++;
        }
    return finite ? sum / (double)finite : (double)NAN;
}

static void on_loss(void *user, const struct tr_loss_tap *tap) {
    struct model *m = user;
    for (int64_t s = 0; s < tap->sequences; s++)
        m->loss[tap->first_sequence + s] =
            mean_of_finite(tap->loss + s * tap->seq_len, tap->seq_len);
}

static void on_divergence(void *user, const struct tr_divergence_tap *tap) {
    struct model *m = user;
    for (int64_t s = 0; s < tap->sequences; s++) {
        int64_t row = tap->first_sequence + s, at = s * tap->seq_len, agrees = 0;
        for (int64_t i = 0; i < tap->seq_len; i++)
            agrees += tap->agrees[at + i];
        m->loss[row] = mean_of_finite(tap->loss + at, tap->seq_len);
        m->measure[DIVERGENCE][row] = mean_of_finite(tap->divergence + at, tap->seq_len);
        m->measure[AGREEMENT][row] = (double)agrees / (double)tap->seq_len;
    }
}

static int64_t head_step(const struct tr_weight_plan *plan) {
    int64_t step = plan->step_count;
    while (step > 0 && plan->steps[step - 1].kind >= TR_STEP_HEAD_DENSE)
        step--;
    return step;
}

static enum tr_status open_model(struct comparison *c, struct model *m, const char *folder,
                                 const struct tr_drop_set *drop, struct tr_err *err) {
    const struct tr_wanted wanted = {.head = true, .drop = drop};
    TR_TRY(tr_held_open(&m->held, c->q->kn, folder, &wanted, err));
    const struct tr_config *config = &tr_held_loaded(m->held)->config;
    const struct tr_forward_options options = {.seq_len = c->rows.seq_len,
                                               .max_sequences = c->rows.sequences,
                                               .micro_batch = c->q->micro_batch,
                                               .head = true,
                                               .divergences = true};
    m->layers = config->layers;
    TR_TRY(TR_NEW(&m->importance, m->layers, "the layers' importance", err));
    TR_TRY(tr_forward_new(&m->forward, c->q->kn, config, &options, err));
    return tr_streams_new(&m->streams, c->q->kn, config, &options, err);
}

static enum tr_status run_steps(struct comparison *c, struct model *m, int64_t first, int64_t last,
                                struct tr_err *err) {
    struct tr_weight_source source = tr_held_source(m->held);
    const struct tr_taps taps = {.user = m, .tap = on_layer, .slab = go_on};
    const struct tr_candidate one = {.streams = m->streams, .taps = &taps};
    struct tr_pass pass = {
        .rows = &c->rows, .end = c->rows.sequences, .first_step = first, .last_step = last};
    return first < last ? tr_forward_run(m->forward, &source, &one, 1, &pass, err) : TR_OK;
}

static struct model *begin_model(struct comparison *c, const char *label) {
    struct model *m = &c->models[c->count];
    int64_t rows = c->rows.sequences;
    snprintf(m->label, sizeof m->label, "%s", label);
    m->loss = c->memory + c->count * (1 + MEASURES) * rows;
    for (int k = 0; k < MEASURES; k++)
        m->measure[k] = m->loss + (k + 1) * rows;
    c->count++;
    return m;
}

static enum tr_status add_model(struct comparison *c, const char *label, const char *folder,
                                const struct tr_drop_set *drop, struct tr_err *err) {
    struct model *m = begin_model(c, label);
    TR_TRY(open_model(c, m, folder, drop, err));
    return run_steps(c, m, 0, head_step(tr_held_source(m->held).plan), err);
}

// The model with its weights rounded to nearest, block by block in memory.
static enum tr_status add_rounded(struct comparison *c, const char *folder,
                                  const struct tr_drop_set *drop, struct tr_err *err) {
    struct tr_quant_settings plain = *c->q->settings;
    struct tr_quantizer rounding = *c->q;
    char label[64];
    int64_t done = 0, end;
    snprintf(label, sizeof label, "in %d bits (%s)", plain.grid.bits,
             tr_quant_method_names[TR_QUANT_NEAREST]);
    struct model *m = begin_model(c, label);
    TR_TRY(open_model(c, m, folder, drop, err));
    plain.method = TR_QUANT_NEAREST;
    rounding.settings = &plain;
    rounding.grid.clip = false;
    rounding.held = m->held;
    rounding.plan = tr_held_source(m->held).plan;
    for (int layer = 0; layer < tr_held_loaded(m->held)->config.layers; layer++) {
        TR_TRY(tr_round_block(&rounding, layer, &end, err));
        TR_TRY(run_steps(c, m, done, end, err));
        done = end > done ? end : done;
    }
    return run_steps(c, m, done, head_step(rounding.plan), err);
}

// One head for all: what is compared has the same.
static enum tr_status run_head(struct comparison *c, struct tr_err *err) {
    struct tr_candidate candidates[MODELS];
    struct tr_weight_source source = tr_held_source(c->models[0].held);
    for (int i = 0; i < c->count; i++) {
        c->taps[i] = (struct tr_taps){.user = &c->models[i],
                                      .tap = pass_over,
                                      .loss = on_loss,
                                      .divergence = on_divergence,
                                      .slab = go_on};
        candidates[i] = (struct tr_candidate){.streams = c->models[i].streams, .taps = &c->taps[i]};
    }
    struct tr_pass pass = {
        .rows = &c->rows, .end = c->rows.sequences, .first_step = head_step(source.plan)};
    return tr_forward_run(c->models[0].forward, &source, candidates, c->count, &pass, err);
}

// How a measure's mean and the ends of its interval are written, and how far it can reach.
static const struct {
    const char *mean, *ends;
    int width; // of the ends
    double low, high;
} shown[MEASURES] = {
    [ADDED_LOSS] = {"  %+.4f", " [%+.4f, %+.4f]", 19, -INFINITY, INFINITY},
    [DIVERGENCE] = {"  %.4f", " [%.4f, %.4f]", 17, 0, INFINITY},
    [AGREEMENT] = {"  %.3f", " [%.3f, %.3f]", 0, 0, 1},
};

// A measure's mean and its interval, no wider than it can be; few rows have none.
static enum tr_status tell_mean(const double *values, int64_t rows, int measure,
                                struct tr_string *told, struct tr_err *err) {
    struct an_interval interval;
    struct an_sample sample = {
        .estimate = mean_of_finite(values, rows), .sequences = rows, .pseudo = values};
    TR_TRY(an_interval(&interval, &sample, level, err));
    TR_TRY(tr_string_format(told, err, shown[measure].mean, sample.estimate));
    if (interval.method == AN_NO_INTERVAL)
        return tr_string_format(told, err, "%*s", shown[measure].width, "");
    return tr_string_format(told, err, shown[measure].ends, fmax(interval.low, shown[measure].low),
                            fmin(interval.high, shown[measure].high));
}

static enum tr_status tell_model(const struct comparison *c, int index, struct tr_string *told,
                                 struct tr_err *err) {
    const struct model *m = &c->models[index];
    int64_t rows = c->rows.sequences;
    TR_TRY(tr_string_format(told, err, "%-28s %8.4f", m->label, mean_of_finite(m->loss, rows)));
    for (int64_t r = 0; r < rows && index; r++)
        m->measure[ADDED_LOSS][r] = m->loss[r] - c->models[0].loss[r];
    for (int measure = 0; measure < MEASURES && index; measure++)
        TR_TRY(tell_mean(m->measure[measure], rows, measure, told, err));
    return tr_string_append(told, "\n", 1, err);
}

// What the method is worth: its loss less that of rounding, which is the model before it.
static enum tr_status tell_gain(const struct comparison *c, struct tr_string *told,
                                struct tr_err *err) {
    const struct model *method = &c->models[c->count - 1], *nearest = method - 1;
    int64_t rows = c->rows.sequences;
    if (c->q->settings->method == TR_QUANT_NEAREST)
        return TR_OK;
    for (int64_t r = 0; r < rows; r++)
        method->measure[ADDED_LOSS][r] = method->loss[r] - nearest->loss[r];
    TR_TRY(tr_string_format(told, err, "%-28s %8s", "from rounding to nearest", ""));
    TR_TRY(tell_mean(method->measure[ADDED_LOSS], rows, ADDED_LOSS, told, err));
    return tr_string_append(told, "\n", 1, err);
}

static enum tr_status tell(const struct comparison *c, struct tr_string *told, struct tr_err *err) {
    TR_TRY(tr_string_format(told, err,
                            "On %lld rows of %lld tokens behind the calibration's, in nats, with "
                            "%.3g %% intervals (skewness-corrected t):\n%-28s %8s  %-26s  %-23s  "
                            "%s\n",
                            (long long)c->rows.sequences, (long long)c->rows.seq_len, 100 * level,
                            "", "loss", "added loss", "KL from the whole model", "agreement"));
    for (int i = 0; i < c->count; i++)
        TR_TRY(tell_model(c, i, told, err));
    TR_TRY(tell_gain(c, told, err));
    return c->rows.sequences >= AN_INTERVAL_LEAST
               ? TR_OK
               : tr_string_format(told, err, "Fewer than %d rows give no intervals.\n",
                                  AN_INTERVAL_LEAST);
}

// ---- importance --------------------------------------------------------------------------------

static enum tr_status tell_importance(const struct importance *importance, struct tr_string *told,
                                      struct tr_err *err) {
    return importance->count > 0
               ? tr_string_format(told, err, "  %9.4f", importance->sum / importance->count)
               : tr_string_format(told, err, "  %9s", "-");
}

// Of the model, without the set where there is one, and of the folder. A folder with fewer blocks
// has other layers.
static enum tr_status tell_importances(const struct comparison *c, struct tr_string *told,
                                       struct tr_err *err) {
    const struct model *before = &c->models[c->q->job.drop.count ? 1 : 0];
    const struct model *after = &c->models[c->count - 1];
    int bits = c->q->settings->grid.bits;
    if (before->layers != after->layers)
        return TR_OK;
    TR_TRY(tr_string_format(told, err,
                            "Importance, 1 - cos of the stream before and behind, on these rows:\n"
                            "layer       attn  in %d bits        mlp  in %d bits      block  in %d "
                            "bits\n",
                            bits, bits, bits));
    for (int64_t layer = 0; layer < after->layers; layer++) {
        TR_TRY(tr_string_format(told, err, "%5lld", (long long)layer));
        for (int module = 0; module < TR_MODULES; module++) {
            TR_TRY(tell_importance(&before->importance[layer][module], told, err));
            TR_TRY(tell_importance(&after->importance[layer][module], told, err));
        }
        TR_TRY(tr_string_append(told, "\n", 1, err));
    }
    return TR_OK;
}

static enum tr_status compare(struct comparison *c, struct tr_string *told, struct tr_err *err) {
    const struct tr_quant_settings *s = c->q->settings;
    const char *source = s->run.paths[0];
    char label[64];
    TR_TRY(TR_NEW(&c->memory, MODELS * (1 + MEASURES) * c->rows.sequences, "the report", err));
    TR_TRY(add_model(c, "as it is", source, NULL, err));
    if (c->q->job.drop.count)
        TR_TRY(add_model(c, "without the set", source, &c->q->job.drop, err));
    snprintf(label, sizeof label, "in %d bits (%s)", s->grid.bits,
             tr_quant_method_names[s->method]);
    if (s->method != TR_QUANT_NEAREST)
        TR_TRY(add_rounded(c, source, &c->q->job.drop, err));
    TR_TRY(add_model(c, label, s->target, NULL, err));
    TR_TRY(run_head(c, err));
    TR_TRY(tell(c, told, err));
    return tell_importances(c, told, err);
}

enum tr_status tr_report_losses(const struct tr_quantizer *q, struct tr_string *told,
                                struct tr_err *err) {
    const struct tr_calibration *text = &q->job.calibration;
    struct comparison c = {.q = q,
                           .rows = {.ids = text->ids + q->sequences * text->seq_len,
                                    .sequences = q->settings->report,
                                    .seq_len = text->seq_len}};
    enum tr_status status = compare(&c, told, err);
    for (int i = 0; i < c.count; i++) {
        tr_streams_free(c.models[i].streams);
        tr_forward_free(c.models[i].forward);
        tr_held_close(c.models[i].held);
        free(c.models[i].importance);
    }
    free(c.memory);
    return status;
}

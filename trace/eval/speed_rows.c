// SPDX-License-Identifier: Apache-2.0
#include "speed_rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "model/costs.h"

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Sorts the values.
static struct tr_speed_range range_of(double *values, int64_t count) {
    qsort(values, (size_t)count, sizeof *values, by_value);
    double low = values[(count - 1) / 2], high = values[count / 2];
    return (struct tr_speed_range){(low + high) / 2, values[0], values[count - 1], true};
}

// ---- what is counted ---------------------------------------------------------------------------

// Bytes of the weights' matrices that a step reads: all that are kept, of experts those that one
// token meets, of the embedding nothing to speak of.
static double weight_bytes(const struct tr_pass_weights *w, const struct tr_drop_set *drop) {
    const struct tr_config *c = &w->loaded.config;
    double each = w->kn->unified ? w->loaded.bytes_read / tr_config_parameters(c)
                                 : (double)kn_type_size(w->kn->activation_type);
    double count = (double)c->vocabulary * (double)c->hidden;
    for (int layer = 0; layer < c->layers; layer++)
        for (int module = TR_ATTN; module <= TR_MLP; module++)
            if (tr_config_keeps(c, drop, (enum tr_module)module, layer))
                count += tr_sublayer_parameters(c, (enum tr_module)module, layer, true);
    return count * each;
}

static double larger(double a, double b) {
    return a > b ? a : b;
}

static void count_row(struct tr_speed_row *row, const struct tr_pass_weights *w,
                      const struct tr_drop_set *drop) {
    static const struct tr_wanted head = {.head = true}, no_head = {0};
    const struct tr_config *c = &w->loaded.config;
    const struct tr_speed_shape *s = &row->shape;
    int64_t middle = s->prompt + s->generated / 2, all = s->prompt + s->generated;
    struct tr_decoder_options options = {.drop = drop, .sequences = s->batch, .positions = all};
    row->weight_bytes = weight_bytes(w, drop);
    row->token_bytes = tr_cache_bytes(w->kn, c, drop, 1, 1);
    row->cache_bytes = tr_cache_bytes(w->kn, c, drop, s->batch, middle);
    row->step_flops = tr_step_flops(c, middle, &head, drop);
    row->prompt_flops = tr_kept_flops(c, 1, s->prompt, &no_head, drop, 0);
    row->planned = tr_decoder_bytes(w->kn, c, &options, s->prompt).all.backend;
    if (w->resident)
        row->planned += tr_resident_bytes(w->resident);
}

static double bytes_of(const struct tr_speed_row *row) {
    return row->weight_bytes + row->cache_bytes;
}

// Seconds that so much takes at least at the machine's rates.
static double least(const struct tr_speed_rows *all, double bytes, double flops) {
    return larger(bytes / all->copy_rate, flops / all->product_rate);
}

static void compare_counts(struct tr_speed_row *row, const struct tr_speed_row *whole,
                           const struct tr_speed_rows *all) {
    double texts = (double)row->shape.batch, prompts = texts * (double)row->shape.prompt;
    double step = least(all, bytes_of(row), texts * row->step_flops);
    double prompt = least(all, row->weight_bytes, prompts * row->prompt_flops);
    double bytes = bytes_of(whole) / bytes_of(row);
    double prompt_bytes = whole->weight_bytes / row->weight_bytes;
    row->decode_most = larger(larger(bytes, whole->step_flops / row->step_flops),
                              texts / step / whole->decode.median);
    row->prefill_most = larger(larger(prompt_bytes, whole->prompt_flops / row->prompt_flops),
                               prompts / prompt / whole->prefill.median);
}

// ---- what is measured --------------------------------------------------------------------------

// Seconds of a model's rounds: rates, and ratios to the whole model's of the same rounds. `scratch`
// has room for a round each.
static struct tr_speed_range rates_of(const double *seconds, double tokens, int64_t rounds,
                                      double *scratch) {
    for (int64_t r = 0; r < rounds; r++)
        scratch[r] = tokens / seconds[r];
    return range_of(scratch, rounds);
}

static struct tr_speed_range ratio_of(const double *seconds, const double *whole, int64_t rounds,
                                      const struct tr_speed_range *own,
                                      const struct tr_speed_range *whole_rate, double *scratch) {
    for (int64_t r = 0; r < rounds; r++)
        scratch[r] = whole[r] / seconds[r];
    struct tr_speed_range ratio = range_of(scratch, rounds);
    ratio.median = own->median / whole_rate->median;
    ratio.is_there = own->low > whole_rate->high || own->high < whole_rate->low;
    return ratio;
}

static void fill_row(struct tr_speed_row *row, const struct tr_speed_model *models, int model,
                     const struct tr_speed_row *whole, const struct tr_speed_rows *all,
                     double *scratch) {
    const struct tr_speed_shape *s = &row->shape;
    const struct tr_speed_model *own = &models[model];
    int64_t rounds = all->rounds;
    row->prefill = rates_of(own->prefill, (double)(s->batch * s->prompt), rounds, scratch);
    row->decode = rates_of(own->decode, (double)(s->batch * s->generated), rounds, scratch);
    row->peak = own->peak;
    row->share_of_bandwidth =
        row->decode.median / (double)s->batch * bytes_of(row) / all->copy_rate;
    if (!model)
        return;
    row->prefill_ratio =
        ratio_of(own->prefill, models->prefill, rounds, &row->prefill, &whole->prefill, scratch);
    row->decode_ratio =
        ratio_of(own->decode, models->decode, rounds, &row->decode, &whole->decode, scratch);
    compare_counts(row, whole, all);
}

static enum tr_status add_rows(struct tr_speed_rows *rows, const struct tr_pass_weights *weights,
                               const struct tr_speed_shape *shape,
                               const struct tr_speed_model *models, double *scratch,
                               struct tr_err *err) {
    int64_t count = rows->sets->count + 1;
    TR_TRY(tr_grow((void **)&rows->rows, &rows->capacity, (uint64_t)(rows->count + count),
                   sizeof *rows->rows, "speeds", err));
    struct tr_speed_row *whole = &rows->rows[rows->count];
    for (int64_t set = 0; set < count; set++) {
        struct tr_speed_row *row = &whole[set];
        *row = (struct tr_speed_row){.set = set, .shape = *shape};
        count_row(row, weights, models[set].drop);
        fill_row(row, models, (int)set, whole, rows, scratch);
    }
    rows->count += count;
    return TR_OK;
}

static enum tr_status check_shape(const struct tr_config *config,
                                  const struct tr_speed_shape *shape, struct tr_err *err) {
    int64_t longest = tr_config_longest(config);
    if (shape->prompt + shape->generated <= longest)
        return TR_OK;
    return tr_fail(err, TR_EUSAGE,
                   "--speed: a prompt of %lld tokens with %lld more is longer than the model's "
                   "%lld positions",
                   (long long)shape->prompt, (long long)shape->generated, (long long)longest);
}

enum tr_status tr_speed_rows_measure(struct tr_speed_rows *rows, struct tr_pass_weights *weights,
                                     const struct tr_speed_shape *shape, struct tr_err *err) {
    int64_t count = rows->sets->count + 1, rounds = rows->rounds;
    struct tr_speed_model *models = NULL;
    double *seconds = NULL;
    enum tr_status status;
    TR_TRY(check_shape(&weights->loaded.config, shape, err));
    TR_GO(status, TR_NEW(&models, count, "speeds", err), out);
    TR_GO(status, TR_NEW(&seconds, (2 * count + 1) * rounds, "speeds", err), out);
    for (int64_t i = 0; i < count; i++)
        models[i] = (struct tr_speed_model){.drop = i ? &rows->sets->sets[i - 1].drop : NULL,
                                            .prefill = seconds + 2 * i * rounds,
                                            .decode = seconds + (2 * i + 1) * rounds};
    status = tr_speed_measure(weights, shape, models, (int)count, rounds, err);
    if (status == TR_OK)
        status = add_rows(rows, weights, shape, models, seconds + 2 * count * rounds, err);
out:
    free(models);
    free(seconds);
    return status;
}

void tr_speed_rows_free(struct tr_speed_rows *rows) {
    free(rows->rows);
    *rows = (struct tr_speed_rows){0};
}

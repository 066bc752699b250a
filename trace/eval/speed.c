// SPDX-License-Identifier: Apache-2.0
#include "eval/speed.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"

enum { TAKEN = 32 }; // steps that are queued before the host reads what they chose

// What a round needs beside the model.
struct speed {
    struct tr_pass_weights *weights;
    const struct tr_speed_shape *shape;
    int32_t *prompts;            // [batch, prompt]
    struct tr_prompt_row *rows;  // [batch]
    int32_t *sequences, *tokens; // [batch]
    int32_t *chosen;             // [TAKEN, batch]
};

// Tokens from all over the vocabulary, each text its own.
static enum tr_status make_prompts(struct speed *s, struct tr_err *err) {
    static const char what[] = "the prompts";
    int64_t batch = s->shape->batch, length = s->shape->prompt;
    int64_t vocabulary = s->weights->loaded.config.vocabulary;
    TR_TRY(TR_NEW(&s->prompts, batch * length, what, err));
    TR_TRY(TR_NEW(&s->rows, batch, what, err));
    TR_TRY(TR_NEW(&s->sequences, batch, what, err));
    TR_TRY(TR_NEW(&s->tokens, batch, what, err));
    TR_TRY(TR_NEW(&s->chosen, TAKEN * batch, what, err));
    for (int64_t i = 0; i < batch * length; i++)
        s->prompts[i] = (int32_t)((i * 7919 + i / length * 104729 + 11) % vocabulary);
    for (int64_t i = 0; i < batch; i++) {
        s->rows[i] = (struct tr_prompt_row){s->prompts + i * length, length};
        s->sequences[i] = (int32_t)i;
    }
    return TR_OK;
}

static void free_prompts(struct speed *s) {
    free(s->prompts);
    free(s->rows);
    free(s->sequences);
    free(s->tokens);
    free(s->chosen);
}

static enum tr_status prefill(struct speed *s, struct tr_decoder *decoder, struct tr_err *err) {
    struct tr_weight_source source;
    TR_TRY(tr_pass_weights_begin(s->weights, &source, err));
    enum tr_status status =
        tr_decoder_begin(decoder, &source, s->rows, s->shape->batch, s->tokens, err);
    tr_pass_weights_end(s->weights);
    return status;
}

static enum tr_status step(struct speed *s, struct tr_decoder *decoder, struct tr_err *err) {
    struct tr_weight_source source;
    TR_TRY(tr_pass_weights_begin(s->weights, &source, err));
    enum tr_status status = tr_decoder_step(decoder, &source, err);
    tr_pass_weights_end(s->weights);
    return status;
}

static enum tr_status decode(struct speed *s, struct tr_decoder *decoder, struct tr_err *err) {
    int64_t all = s->shape->generated;
    TR_TRY(tr_decoder_place(decoder, s->sequences, s->tokens, s->shape->batch, err));
    for (int64_t i = 1; i <= all; i++) {
        TR_TRY(step(s, decoder, err));
        if (i % TAKEN == 0 || i == all)
            TR_TRY(tr_decoder_take(decoder, s->chosen, err));
    }
    return TR_OK;
}

// One turn of one model.
static enum tr_status take_turn(struct speed *s, struct tr_speed_model *model, double *prefill_p,
                                double *decode_p, struct tr_err *err) {
    struct kn_backend *kn = s->weights->kn;
    struct tr_decoder_options options = {.drop = model->drop,
                                         .sequences = s->shape->batch,
                                         .positions = s->shape->prompt + s->shape->generated,
                                         .no_graph = s->shape->no_graph};
    struct tr_decoder *decoder;
    kn->memory_peak = kn->memory_used;
    TR_TRY(tr_decoder_new(&decoder, kn, &s->weights->loaded.config, &options, err));
    double start = tr_now(), middle = start;
    enum tr_status status = prefill(s, decoder, err);
    if (status == TR_OK) {
        middle = tr_now();
        status = decode(s, decoder, err);
    }
    *prefill_p = middle - start;
    *decode_p = tr_now() - middle;
    model->peak = fmax(model->peak, (double)kn->memory_peak);
    tr_decoder_free(decoder);
    return status;
}

static enum tr_status run_rounds(struct speed *s, struct tr_speed_model *models, int count,
                                 int64_t rounds, struct tr_err *err) {
    for (int64_t r = -1; r < rounds; r++)
        for (int m = 0; m < count; m++) {
            double unmeasured[2];
            double *prefill = r < 0 ? &unmeasured[0] : &models[m].prefill[r];
            double *decode = r < 0 ? &unmeasured[1] : &models[m].decode[r];
            TR_TRY(take_turn(s, &models[m], prefill, decode, err));
        }
    return TR_OK;
}

enum tr_status tr_speed_measure(struct tr_pass_weights *weights, const struct tr_speed_shape *shape,
                                struct tr_speed_model *models, int count, int64_t rounds,
                                struct tr_err *err) {
    struct speed s = {.weights = weights, .shape = shape};
    enum tr_status status = make_prompts(&s, err);
    if (status == TR_OK)
        status = run_rounds(&s, models, count, rounds, err);
    free_prompts(&s);
    return status;
}

// ---- the ceiling -------------------------------------------------------------------------------

// Rows of f32, many times what caches hold.
enum { COPY_COLS = 1 << 14, HOST_ROWS = 1 << 11, DEVICE_ROWS = 1 << 14, COPIES = 10 };

static enum kn_status time_copies(struct kn_backend *kn, void *to, void *from, int64_t rows,
                                  double *seconds_p) {
    struct kn_matrix y = kn_matrix(to, KN_F32, rows, COPY_COLS);
    struct kn_matrix x = kn_matrix(from, KN_F32, rows, COPY_COLS);
    struct kn_copy_heads copy = {.y = {.x = y, .count = 1, .pitch = y.cols, .dim = y.cols},
                                 .x = {.x = x, .count = 1, .pitch = x.cols, .dim = x.cols}};
    double start = 0;
    enum kn_status status = KN_OK;
    for (int i = 0; i <= COPIES && status == KN_OK; i++) {
        status = kn->ops->sync(kn);
        start = i < 2 ? tr_now() : start; // the first is for nobody
        if (status == KN_OK)
            status = kn->ops->copy_heads(kn, &copy);
    }
    if (status == KN_OK)
        status = kn->ops->sync(kn);
    *seconds_p = (tr_now() - start) / COPIES;
    return status;
}

enum tr_status tr_speed_copy(struct kn_backend *kn, double *rate_p, struct tr_err *err) {
    int64_t rows = kn->unified ? HOST_ROWS : DEVICE_ROWS;
    size_t bytes = (size_t)(rows * COPY_COLS) * 4;
    void *from = NULL, *to = NULL;
    double seconds = 1;
    enum kn_status status = kn->ops->alloc(kn, &from, bytes);
    if (status == KN_OK)
        status = kn->ops->alloc(kn, &to, bytes);
    if (status == KN_OK)
        status = time_copies(kn, to, from, rows, &seconds);
    if (from)
        kn->ops->free(kn, from);
    if (to)
        kn->ops->free(kn, to);
    *rate_p = 2 * (double)bytes / seconds;
    return status == KN_OK ? TR_OK
                           : tr_fail(err, TR_ENVIRONMENT, "timing a copy on %s failed: %s",
                                     kn->ops->name, kn_status_text(status));
}

enum tr_status tr_speed_product(struct kn_backend *kn, double *rate_p, struct tr_err *err) {
    int64_t side = kn->unified ? 512 : 4096;
    double seconds = kn_product_seconds(kn, side, side, side);
    if (!(seconds > 0))
        return tr_fail(err, TR_ENVIRONMENT, "timing a product on %s failed", kn->ops->name);
    *rate_p = 2 * (double)side * (double)side * (double)side / seconds;
    return TR_OK;
}

// SPDX-License-Identifier: Apache-2.0
#include "reload.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "kernels/backend.h"
#include "model/forward.h"

// Rows as long as windows are, within bounds; and what two ways of computing the same may differ
// by.
enum { ROWS = 3, SHORTEST = 64, LONGEST = 512 };
static const double loss_tolerance = 1e-5, stream_tolerance = 1e-5;

// What one run makes of the rows.
struct outcome {
    int64_t boundary, hidden;
    double *loss;  // [rows, seq_len]
    float *stream; // [rows * seq_len, hidden], behind the last block
    float *unused; // where the streams of other boundaries go
};

struct run {
    const char *folder;
    struct tr_wanted wanted;
    struct kn_backend *kn;
    const struct tr_rows *rows;
    const int64_t *tokens;
    struct tr_loaded loaded;
    struct tr_slab_reader *reader;
    struct tr_streamed *weights;
    struct tr_streams *streams;
    struct tr_forward *forward;
    struct outcome outcome;
};

// ---- taps --------------------------------------------------------------------------------------

static void keep_loss(void *user, const struct tr_loss_tap *tap) {
    struct outcome *outcome = user;
    for (int64_t i = 0; i < tap->sequences * tap->seq_len; i++)
        outcome->loss[tap->first_sequence * tap->seq_len + i] = tap->loss[i];
}

static float *keep_stream(void *user, int64_t boundary, int64_t first, int64_t count) {
    struct outcome *outcome = user;
    (void)count;
    return (boundary == outcome->boundary ? outcome->stream : outcome->unused) +
           first * outcome->hidden;
}

static void pass_over(void *user, const struct tr_tap *tap) {
    (void)user, (void)tap;
}

static void go_on(void *user, int64_t index) {
    (void)user, (void)index;
}

// ---- a run -------------------------------------------------------------------------------------

static enum tr_status make_outcome(struct run *run, struct tr_err *err) {
    struct outcome *outcome = &run->outcome;
    int64_t tokens = run->rows->sequences * run->rows->seq_len;
    outcome->boundary = run->loaded.config.layers;
    outcome->hidden = run->loaded.config.hidden;
    TR_TRY(TR_NEW(&outcome->loss, tokens, "the losses", err));
    TR_TRY(TR_NEW(&outcome->stream, tokens * outcome->hidden, "the residual stream", err));
    return TR_NEW(&outcome->unused, tokens * outcome->hidden, "the residual stream", err);
}

static enum tr_status prepare(struct run *run, struct tr_err *err) {
    TR_TRY(tr_loaded_examine(&run->loaded, run->folder, &run->wanted, err));
    const struct tr_config *config = &run->loaded.config;
    const struct tr_forward_options options = {.seq_len = run->rows->seq_len,
                                               .max_sequences = run->rows->sequences,
                                               .micro_batch = 1,
                                               .head = true};
    TR_TRY(make_outcome(run, err));
    TR_TRY(tr_slab_reader_open(&run->reader, run->kn, run->loaded.largest_slab, 0, err));
    TR_TRY(tr_streamed_new(&run->weights, run->kn, 0, 0, err));
    TR_TRY(tr_streams_new(&run->streams, run->kn, config, &options, err));
    return tr_forward_new(&run->forward, run->kn, config, &options, err);
}

static enum tr_status pass(struct run *run, struct tr_err *err) {
    char digest[TR_DIGEST_MAX];
    const struct tr_taps taps = {.user = &run->outcome,
                                 .tap = pass_over,
                                 .loss = keep_loss,
                                 .slab = go_on,
                                 .token_count = run->rows->sequences * run->rows->seq_len,
                                 .tokens = run->tokens,
                                 .boundary = keep_stream};
    const struct tr_candidate whole = {.streams = run->streams, .taps = &taps};
    const struct tr_pass all = {.rows = run->rows, .end = run->rows->sequences};
    TR_TRY(tr_slab_reader_push(run->reader, run->folder, &run->wanted, err));
    TR_TRY(tr_slab_reader_begin(run->reader, &run->loaded, err));
    struct tr_weight_source source = tr_streamed_begin(run->weights, run->reader);
    enum tr_status status = tr_forward_run(run->forward, &source, &whole, 1, &all, err);
    tr_slab_reader_end(run->reader, digest);
    return status;
}

static enum tr_status run_model(struct run *run, struct tr_err *err) {
    enum tr_status status = prepare(run, err);
    if (status == TR_OK)
        status = pass(run, err);
    tr_forward_free(run->forward);
    tr_streams_free(run->streams);
    tr_streamed_free(run->weights);
    tr_slab_reader_close(run->reader);
    return status;
}

static void free_outcome(struct outcome *outcome) {
    free(outcome->loss);
    free(outcome->stream);
    free(outcome->unused);
}

// ---- comparing ---------------------------------------------------------------------------------

// Not a number differs from everything but itself.
static double apart(double a, double b) {
    return isnan(a) && isnan(b) ? 0 : isnan(a - b) ? INFINITY : fabs(a - b);
}

static void compare(struct tr_reloaded *reloaded, const struct outcome *ours,
                    const struct outcome *truth) {
    int64_t tokens = reloaded->rows * reloaded->seq_len;
    double largest = 0, difference = 0;
    for (int64_t i = 0; i < tokens; i++)
        reloaded->loss = fmax(reloaded->loss, apart(ours->loss[i], truth->loss[i]));
    for (int64_t i = 0; i < tokens * truth->hidden; i++) {
        largest = fmax(largest, fabs((double)truth->stream[i]));
        difference = fmax(difference, apart(ours->stream[i], truth->stream[i]));
    }
    reloaded->stream = difference > 0 ? difference / largest : 0;
}

static enum tr_status judge(const struct tr_reloaded *reloaded, const char *folder,
                            struct tr_err *err) {
    if (reloaded->loss <= loss_tolerance && reloaded->stream <= stream_tolerance)
        return TR_OK;
    return tr_fail(err, TR_EFORMAT,
                   "what was written to %s is not the model without the set: losses differ by up "
                   "to %.3g nats, the last residual stream by %.3g of its largest entry",
                   folder, reloaded->loss, reloaded->stream);
}

static enum tr_status run_both(struct tr_reloaded *reloaded, struct run *truth, struct run *ours,
                               struct tr_err *err) {
    TR_TRY(run_model(truth, err));
    TR_TRY(run_model(ours, err));
    compare(reloaded, &ours->outcome, &truth->outcome);
    return judge(reloaded, ours->folder, err);
}

// ---- rows --------------------------------------------------------------------------------------

// Knuth's MMIX generator: the same tokens everywhere.
static void draw_ids(int32_t *ids, int64_t *tokens, int64_t count, int64_t vocabulary) {
    uint64_t state = 1;
    for (int64_t i = 0; i < count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        ids[i] = (int32_t)((state >> 33) % (uint64_t)vocabulary);
        tokens[i] = i;
    }
}

// Longer than a window, so that it matters which layers have one.
static int64_t row_length(const struct tr_config *config) {
    int64_t length = config->window + SHORTEST;
    length = length > LONGEST ? LONGEST : length;
    return length < config->positions ? length : config->positions;
}

static enum tr_status reload(struct tr_reloaded *reloaded, const struct tr_drop_job *job,
                             const char *folder, struct kn_backend *kn, struct tr_err *err) {
    struct tr_rows rows = {.sequences = ROWS, .seq_len = row_length(&job->config)};
    int64_t count = rows.sequences * rows.seq_len, *tokens = NULL;
    struct run truth = {.folder = job->options->source, .kn = kn, .rows = &rows};
    struct run ours = {.folder = folder, .kn = kn, .rows = &rows};
    enum tr_status status;
    int32_t *ids;
    TR_TRY(TR_NEW(&ids, count, "rows of tokens", err));
    TR_GO(status, TR_NEW(&tokens, count, "rows of tokens", err), out);
    draw_ids(ids, tokens, count, job->config.vocabulary);
    rows.ids = ids;
    truth.tokens = ours.tokens = tokens;
    truth.wanted = (struct tr_wanted){.head = true, .drop = &job->drop};
    ours.wanted = (struct tr_wanted){.head = true};
    *reloaded = (struct tr_reloaded){.rows = rows.sequences, .seq_len = rows.seq_len};
    status = run_both(reloaded, &truth, &ours, err);
    free_outcome(&truth.outcome);
    free_outcome(&ours.outcome);
out:
    free(tokens);
    free(ids);
    return status;
}

enum tr_status tr_reload(struct tr_reloaded *reloaded, const struct tr_drop_job *job,
                         const char *folder, struct tr_err *err) {
    struct kn_backend *kn;
    const struct kn_options options = {.threads = job->options->threads};
    enum kn_status opened = kn_open(&kn, KN_CPU, &options);
    if (opened != KN_OK)
        return tr_fail(err, TR_ENVIRONMENT, "cannot run what was written: %s",
                       kn_status_text(opened));
    enum tr_status status = reload(reloaded, job, folder, kn, err);
    kn->ops->close(kn);
    return status;
}

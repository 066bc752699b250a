// SPDX-License-Identifier: Apache-2.0
#include "run/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "cost_pass.h"
#include "measure/measures.h"
#include "passes.h"
#include "results.h"
#include "run/assignment.h"
#include "store/deaths.h"

struct worker {
    const struct tr_job *job;
    struct kn_backend *kn;
    struct dist *dist;
    struct tr_slab_reader *reader;
    struct tr_forward *forward; // NULL until the first item
    struct tr_streams *streams;
    struct tr_streams **candidates; // [fit.cost_candidates]: streams of costs
    struct tr_streamed *weights;
    struct tr_config shape; // the forward's
    struct tr_fit fit;      // fit.slabs: as last reported
    // The largest slabs of all checkpoints that the forward pass has served, for which it has room.
    size_t slab_bytes, converted_bytes;
    struct tr_assignment present, next;
    struct tr_item_passes passes, next_passes; // of both
    bool asked;                                // `next` is known
    int64_t slabs, ask_from;     // of the present checkpoint: when slab ask_from begins, ask
    bool last_pass;              // of the present item
    struct tr_measured measured; // of the present item
    struct tr_err asking;        // why asking failed, code TR_OK if it did not
    double item_tokens;          // of the present item's passes that are over
    double pass_tokens;          // of the present pass
    double last_told;            // when progress was last reported
    char *note;                  // store/deaths.h; NULL: none
};

// ---- asking ------------------------------------------------------------------------------------

// Sends a message and behind it what was measured, unless that is NULL.
static enum tr_status tell(struct worker *w, const struct tr_message *message,
                           const struct tr_measured *measured, struct tr_err *err) {
    struct tr_string bytes = {0};
    enum tr_status status = tr_string_append(&bytes, message, sizeof *message, err);
    if (status == TR_OK && measured)
        status = tr_measured_append(measured, &bytes, err);
    void *answer = NULL;
    size_t answer_size;
    if (status == TR_OK)
        status = dist_request(w->dist, bytes.data, bytes.size, &answer, &answer_size, err);
    if (status == TR_OK && message->kind == TR_MSG_NEXT)
        status = tr_assignment_read(&w->next, answer, answer_size, err);
    free(answer);
    tr_string_free(&bytes);
    return status;
}

// Says in a note what this rank is at, so that it is known if it dies of it. One that is told to
// stop is ended from outside.
static void note_item(struct worker *w, const char *next) {
    if (w->note && !*w->job->settings->stop)
        tr_death_note_write(w->note, w->present.entry.name, next);
}

static enum tr_status push(struct worker *w, const struct tr_assignment *assignment,
                           const struct tr_item_passes *passes, struct tr_err *err) {
    for (int64_t i = 0; i < passes->count; i++)
        TR_TRY(tr_slab_reader_push(w->reader, assignment->entry.path, &w->job->wanted, err));
    return TR_OK;
}

// Asks for the next item and lets the reader start on it; at most once per item.
static enum tr_status ask(struct worker *w, struct tr_err *err) {
    if (w->asked)
        return TR_OK;
    struct tr_message message = {.kind = TR_MSG_NEXT};
    TR_TRY(tell(w, &message, NULL, err));
    w->asked = w->next.next != DIST_WAIT;
    if (w->next.next != DIST_ITEM)
        return TR_OK;
    TR_TRY(tr_item_passes(&w->next_passes, w->job, &w->fit, &w->next.item, w->next.traced, err));
    if (w->next.suspect) // read when nothing else is at hand
        return TR_OK;
    if (w->present.entry.name)
        note_item(w, w->next.entry.name);
    return push(w, &w->next, &w->next_passes, err);
}

// ---- one item ----------------------------------------------------------------------------------

static void on_tap(void *user, const struct tr_tap *tap) {
    tr_measured_tap(&((struct worker *)user)->measured, tap);
}

static void on_loss(void *user, const struct tr_loss_tap *tap) {
    tr_measured_loss(&((struct worker *)user)->measured, tap);
}

static void on_removal(void *user, const struct tr_removal *removal) {
    tr_measured_removal(&((struct worker *)user)->measured, removal);
}

static float *on_boundary(void *user, int64_t boundary, int64_t first, int64_t count) {
    (void)count;
    return tr_measured_boundary(&((struct worker *)user)->measured, boundary, first);
}

// Reports how far the present item is, at the first slab and about once a second; a checkpoint may
// take minutes.
static void tell_progress(struct worker *w, int64_t index) {
    if (tr_now() - w->last_told < 1)
        return;
    w->last_told = tr_now();
    double share = (double)index / (double)w->slabs;
    struct tr_message message = {.kind = TR_MSG_PROGRESS,
                                 .tokens = w->item_tokens + share * w->pass_tokens};
    w->asking.code = tell(w, &message, NULL, &w->asking);
}

static void on_slab(void *user, int64_t index) {
    struct worker *w = user;
    if (w->asking.code == TR_OK)
        tell_progress(w, index);
    if (w->last_pass && index >= w->ask_from && w->asking.code == TR_OK && !w->present.suspect)
        w->asking.code = ask(w, &w->asking);
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

static double device_bytes(const struct worker *w, const struct tr_config *config,
                           size_t slab_bytes, size_t converted_bytes) {
    return tr_fit_device_bytes(w->job, w->kn, config, &w->fit, slab_bytes, converted_bytes);
}

// Whether the forward pass that is there serves this checkpoint, too. Checkpoints of a series may
// be stored in different types: its room for their slabs grows, and must not outgrow the device.
static bool serves(const struct worker *w, const struct tr_loaded *loaded) {
    size_t slab = larger(loaded->largest_slab, w->slab_bytes);
    size_t converted = larger(loaded->converted[w->kn->activation_type], w->converted_bytes);
    return w->forward && memcmp(&loaded->config, &w->shape, sizeof w->shape) == 0 &&
           device_bytes(w, &loaded->config, slab, converted) <= w->fit.device;
}

static void free_forward(struct worker *w) {
    tr_forward_free(w->forward);
    tr_streams_free(w->streams);
    for (int64_t i = 0; w->candidates && i < w->fit.cost_candidates; i++)
        tr_streams_free(w->candidates[i]);
    free(w->candidates);
    tr_streamed_free(w->weights);
    w->candidates = NULL;
    w->forward = NULL;
    w->streams = NULL;
    w->weights = NULL;
    w->slab_bytes = w->converted_bytes = 0;
}

static enum tr_status make_candidates(struct worker *w, const struct tr_config *config,
                                      struct tr_err *err) {
    struct tr_forward_options options = tr_cost_stream_options(w->job, w->fit.cost_batches);
    TR_TRY(TR_NEW(&w->candidates, w->fit.cost_candidates, "the candidates", err));
    for (int64_t i = 0; i < w->fit.cost_candidates; i++)
        TR_TRY(tr_streams_new(&w->candidates[i], w->kn, config, &options, err));
    return TR_OK;
}

static enum tr_status make_forward(struct worker *w, const struct tr_loaded *loaded,
                                   struct tr_err *err) {
    struct tr_forward_options options = tr_fit_options(w->job, &w->fit);
    free_forward(w);
    memcpy(&w->shape, &loaded->config, sizeof w->shape);
    TR_TRY(tr_streamed_new(&w->weights, w->kn, loaded->largest_slab,
                           loaded->converted[w->kn->activation_type], err));
    TR_TRY(tr_streams_new(&w->streams, w->kn, &loaded->config, &options, err));
    TR_TRY(make_candidates(w, &loaded->config, err));
    return tr_forward_new(&w->forward, w->kn, &loaded->config, &options, err);
}

static enum tr_status prepare_forward(struct worker *w, const struct tr_loaded *loaded,
                                      const char *name, struct tr_err *err) {
    size_t converted = loaded->converted[w->kn->activation_type];
    char shape[256];
    tr_shape_text(&loaded->config, shape);
    if (strcmp(shape, w->job->shape))
        return tr_fail(err, TR_EFORMAT, "%s is another model than the series' first: %s, not %s",
                       name, shape, w->job->shape);
    double device = device_bytes(w, &loaded->config, loaded->largest_slab, converted);
    if (device > w->fit.device)
        return tr_fail(err, TR_EUNSUPPORTED,
                       "%s has larger weights than the series' first, or of another type: with "
                       "them a rank needs %.2f GB of its device, and may take %.2f",
                       name, device / 1e9, w->fit.device / 1e9);
    if (!serves(w, loaded))
        TR_TRY(make_forward(w, loaded, err));
    w->slab_bytes = larger(w->slab_bytes, loaded->largest_slab);
    w->converted_bytes = larger(w->converted_bytes, converted);
    return TR_OK;
}

// Traces the sequences [begin, end).
static enum tr_status trace_wave(struct worker *w, const struct tr_weight_source *source,
                                 int64_t begin, int64_t end, struct tr_err *err) {
    const struct tr_calibration *c = &w->job->calibration;
    struct tr_rows rows = {.ids = c->ids, .sequences = c->sequences, .seq_len = c->seq_len};
    struct tr_taps taps = {
        .user = w, .tap = on_tap, .loss = on_loss, .slab = on_slab, .boundary = on_boundary};
    taps.tokens = tr_measured_tokens(&w->measured, &taps.token_count);
    struct tr_candidate whole = {.streams = w->streams, .taps = &taps};
    struct tr_pass pass = {.rows = &rows, .begin = begin, .end = end};
    return tr_forward_run(w->forward, source, &whole, 1, &pass, err);
}

static enum tr_status measure_costs(struct worker *w, const struct tr_weight_source *source,
                                    const struct tr_loaded *loaded,
                                    const struct tr_cost_block *block, struct tr_err *err) {
    const struct tr_job *job = w->job;
    struct tr_rows rows = {.ids = job->cost_ids,
                           .sequences = job->info.layout.cost_sequences,
                           .seq_len = job->calibration.seq_len};
    struct tr_cost_pass pass = {.config = &loaded->config,
                                .absent = &job->drop,
                                .rows = &rows,
                                .micro_batch = job->micro_batch,
                                .forward = w->forward,
                                .base = w->streams,
                                .compares = job->wanted.comparisons,
                                .streams = w->candidates,
                                .candidates = job->cost.candidates,
                                .block = *block,
                                .removal = on_removal,
                                .slab = on_slab,
                                .user = w};
    return tr_cost_pass_run(&pass, source, err);
}

static enum tr_status run_loaded(struct worker *w, const struct tr_item_pass *pass,
                                 const struct tr_loaded *loaded, struct tr_err *err) {
    TR_TRY(prepare_forward(w, loaded, w->present.entry.name, err));
    struct tr_weight_source source = tr_streamed_begin(w->weights, w->reader);
    if (pass->begin < pass->end)
        return trace_wave(w, &source, pass->begin, pass->end, err);
    return measure_costs(w, &source, loaded, &pass->costs, err);
}

static void count_pass(const struct worker *w, const struct tr_item_pass *pass,
                       const struct tr_loaded *loaded, struct tr_message *message) {
    message->waited += tr_streamed_waited(w->weights);
    message->tokens += pass->tokens;
    message->bytes += loaded->bytes_read;
    message->flops += pass->flops;
    message->blocks_done += pass->cost_flops.blocks_done;
    message->blocks_whole += pass->cost_flops.blocks_whole;
}

// Whether what the watch has found is not what was read.
static bool is_other(const struct worker *w, const char *identity) {
    return *w->present.entry.identity && strcmp(w->present.entry.identity, identity) != 0;
}

// Runs one pass of the present item over the weights. The reader's checkpoint is begun and ended
// here whatever happens.
static enum tr_status run_pass(struct worker *w, const struct tr_item_pass *pass,
                               struct tr_message *message, struct tr_err *err) {
    struct tr_loaded loaded;
    char digest[TR_DIGEST_MAX];
    double waited = tr_slab_reader_waited(w->reader);
    TR_TRY(tr_slab_reader_begin(w->reader, &loaded, err));
    message->waited += tr_slab_reader_waited(w->reader) - waited;
    strcpy(message->identity, loaded.identity);
    strcpy(message->config_digest, loaded.config_digest);
    if (is_other(w, loaded.identity)) {
        tr_slab_reader_end(w->reader, digest);
        return tr_fail(err, TR_EIO, "%s was written anew before it was read",
                       w->present.entry.name);
    }
    w->slabs = loaded.slabs;
    w->ask_from = loaded.slabs - tr_slab_reader_slabs(w->reader);
    w->item_tokens = message->tokens;
    w->pass_tokens = pass->tokens;
    enum tr_status status = run_loaded(w, pass, &loaded, err);
    tr_slab_reader_end(w->reader, digest);
    TR_TRY(status);
    if (*message->weights_digest && strcmp(digest, message->weights_digest))
        return tr_fail(err, TR_EIO, "%s changed while it was read: digests %s and %s",
                       w->present.entry.name, message->weights_digest, digest);
    strcpy(message->weights_digest, digest);
    count_pass(w, pass, &loaded, message);
    return TR_OK;
}

static enum tr_status run_passes(struct worker *w, struct tr_message *message, struct tr_err *err) {
    enum tr_status status = TR_OK;
    for (int64_t i = 0; i < w->passes.count; i++) {
        struct tr_err again;
        w->last_pass = i + 1 == w->passes.count;
        // Each pass has pushed its checkpoint to the reader, so one that failed is still begun and
        // ended for the passes that are left.
        enum tr_status here =
            run_pass(w, &w->passes.passes[i], message, status == TR_OK ? err : &again);
        status = status == TR_OK ? here : status;
    }
    return status;
}

// Says when the reader had to do with fewer slabs than it had before.
static void note_slabs(struct worker *w, struct tr_message *message) {
    int64_t slabs = tr_slab_reader_slabs(w->reader);
    if (slabs < w->fit.slabs)
        snprintf(message->note, sizeof message->note,
                 "%lld slabs of weights are held at a time from here on, not %lld: there is no "
                 "more page-locked memory, or they are larger",
                 (long long)slabs, (long long)w->fit.slabs);
    w->fit.slabs = slabs;
}

static enum tr_status new_measured(struct worker *w, struct tr_err *err) {
    const struct tr_layout *layout = &w->job->info.layout;
    int64_t begin, end;
    if (w->present.traced)
        return tr_measured_new_additions(&w->measured, layout, err);
    tr_item_sequences(w->job, &w->present.item, &begin, &end);
    return tr_measured_new(&w->measured, layout, begin, end, err);
}

// Whether the present checkpoint, of which something could not be read, is no more: a trainer keeps
// the newest few, or writes it anew. Deleting it takes a moment.
static bool has_vanished(const struct worker *w, const char *identity) {
    enum { LOOKS = 15 };
    if (*identity && is_other(w, identity))
        return true;
    for (int i = 0; i < LOOKS && w->job->settings->follow; i++) {
        if (!tr_file_exists(w->present.entry.path))
            return true;
        tr_sleep(0.2);
    }
    return false;
}

// Runs the present item into sums and says in the message what happened. An error of this rank
// (not of the checkpoint) is returned.
static enum tr_status run_item(struct worker *w, struct tr_message *message, struct tr_err *err) {
    TR_TRY(new_measured(w, err));
    struct tr_err failure = {0};
    double start = tr_now();
    w->asked = false;
    message->status = run_passes(w, message, &failure);
    message->seconds = tr_now() - start;
    message->vanished = message->status != TR_OK && has_vanished(w, message->identity);
    note_slabs(w, message);
    strcpy(message->text, message->status == TR_OK ? "" : failure.text);
    if (message->status == TR_ENOMEM || message->status == TR_ENVIRONMENT) {
        *err = failure;
        return message->status;
    }
    if (w->asking.code != TR_OK) {
        *err = w->asking;
        return err->code;
    }
    return TR_OK;
}

// ---- results -----------------------------------------------------------------------------------

static enum tr_status deliver(struct worker *w, struct tr_message *message, struct tr_err *err) {
    message->item = w->present.item;
    if (w->present.item.pieces == 1) {
        message->kind = TR_MSG_WHOLE;
        TR_TRY(tr_results_commit(&w->measured, w->job, &w->present.entry, w->present.traced,
                                 message, w->kn->description, err));
        return tell(w, message, NULL, err);
    }
    bool complete = message->status == TR_OK;
    message->kind = complete ? TR_MSG_PIECE : TR_MSG_FAILED;
    return tell(w, message, complete ? &w->measured : NULL, err);
}

// Asks until there is an item or the end; between two questions a rank sleeps.
static enum tr_status ask_and_wait(struct worker *w, struct tr_err *err) {
    static const struct timespec pause = {.tv_nsec = 200 * 1000 * 1000};
    TR_TRY(ask(w, err));
    while (w->next.next == DIST_WAIT) {
        nanosleep(&pause, NULL);
        TR_TRY(ask(w, err));
    }
    return TR_OK;
}

static enum tr_status take_next(struct worker *w, struct tr_err *err) {
    tr_assignment_free(&w->present);
    tr_item_passes_free(&w->passes);
    w->present = w->next;
    w->passes = w->next_passes;
    w->next = (struct tr_assignment){0};
    w->next_passes = (struct tr_item_passes){0};
    note_item(w, NULL);
    return w->present.suspect ? push(w, &w->present, &w->passes, err) : TR_OK;
}

static enum tr_status work(struct worker *w, struct tr_err *err) {
    TR_TRY(tr_slab_reader_open(&w->reader, w->kn, w->job->first.largest_slab, w->fit.slabs, err));
    TR_TRY(ask_and_wait(w, err));
    while (w->next.next == DIST_ITEM) {
        struct tr_message message = {0};
        TR_TRY(take_next(w, err));
        enum tr_status status = run_item(w, &message, err);
        if (status == TR_OK)
            status = deliver(w, &message, err);
        tr_measured_free(&w->measured);
        TR_TRY(status);
        TR_TRY(ask_and_wait(w, err)); // when the item failed before its last slabs
    }
    return TR_OK;
}

// While there is a note, this rank's death speaks against the checkpoint.
static enum tr_status open_note(struct worker *w, struct tr_err *err) {
    const struct tr_run_settings *o = w->job->settings;
    struct tr_shard shard = {o->shard, o->shards};
    if (!o->give_up)
        return TR_OK;
    TR_TRY(tr_death_note(&w->note, o->out, shard, err));
    if (o->remove_on_stop)
        o->remove_on_stop(w->note);
    return TR_OK;
}

static void close_note(struct worker *w) {
    if (!w->note)
        return;
    tr_death_note_remove(w->note);
    if (w->job->settings->remove_on_stop)
        w->job->settings->remove_on_stop(NULL);
    free(w->note);
}

enum tr_status tr_worker_run(const struct tr_job *job, struct kn_backend *kn, struct dist *dist,
                             const struct tr_fit *fit, struct tr_err *err) {
    struct worker worker = {.job = job, .kn = kn, .dist = dist, .fit = *fit};
    enum tr_status status = open_note(&worker, err);
    if (status == TR_OK)
        status = work(&worker, err);
    close_note(&worker);
    tr_slab_reader_close(worker.reader);
    free_forward(&worker);
    tr_assignment_free(&worker.present);
    tr_assignment_free(&worker.next);
    tr_item_passes_free(&worker.passes);
    tr_item_passes_free(&worker.next_passes);
    if (status != TR_OK) {
        struct tr_message message = {.kind = TR_MSG_FATAL, .status = status};
        struct tr_err ignored;
        strcpy(message.text, err->text);
        tell(&worker, &message, NULL, &ignored);
    }
    return status;
}

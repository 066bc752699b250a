// SPDX-License-Identifier: Apache-2.0
// Generation through a cache gives the tokens of the run without one. Several texts of unequal
// length are generated, whole and without sublayers, alone and together, with weights resident and
// streamed, on the CPU and on a device that is late; then each text goes through the model as a
// whole, and at every position the likeliest token must be the one that was generated.
//
//     test_generation TOKENS FOLDER...         a line for each folder, with the near ties
//     test_generation --cuda TOKENS FOLDER...  the same on the first CUDA device, in f32
//
// Each folder goes all together and one of the other ways, in turn (in little memory, which takes
// long, now and then). The run without a cache is
// always the CPU's. Where two tokens' logits are closer than NEAR_TIE both are right: such
// positions are counted.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eval/generation.h"
#include "fake_device.h"

enum { TEXTS = 7, LONGEST_PROMPT = 40, WAYS = 6 };
#define NEAR_TIE 1e-4

static struct tr_err err;

static void require(bool holds, const char *folder, const char *what) {
    if (holds)
        return;
    fprintf(stderr, "%s: %s: %s\n", folder, what, err.text);
    exit(1);
}

// ---- the run without a cache -------------------------------------------------------------------

struct whole {
    const char *folder;
    struct kn_backend *kn;
    struct tr_pass_weights *weights;
    const struct tr_drop_set *drop;
    int64_t length;
    int32_t *best; // [length]
    double *loss;
};

static void on_loss(void *user, const struct tr_loss_tap *tap) {
    struct whole *w = user;
    memcpy(w->best, tap->best, (size_t)w->length * sizeof *w->best);
    memcpy(w->loss, tap->loss, (size_t)w->length * sizeof *w->loss);
}

static void on_tap(void *user, const struct tr_tap *tap) {
    (void)user;
    (void)tap;
}

static void on_slab(void *user, int64_t index) {
    (void)user;
    (void)index;
}

// The likeliest token behind each of the first `length` tokens, and the loss of `targets` there.
static void run_whole(struct whole *w, const int32_t *ids, const int32_t *targets, int64_t length) {
    const struct tr_config *config = &w->weights->loaded.config;
    struct tr_forward_options options = {.seq_len = length,
                                         .max_sequences = 1,
                                         .micro_batch = 1,
                                         .head = true,
                                         .losses_only = true,
                                         .best = true};
    struct tr_rows rows = {ids, 1, length, targets};
    struct tr_taps taps = {.user = w, .tap = on_tap, .loss = on_loss, .slab = on_slab};
    struct tr_candidate candidate = {.drop = w->drop, .taps = &taps};
    struct tr_pass pass = {.rows = &rows, .end = 1};
    struct tr_forward *forward;
    struct tr_weight_source source;
    w->length = length;
    require(tr_streams_new(&candidate.streams, w->kn, config, &options, &err) == TR_OK &&
                tr_forward_new(&forward, w->kn, config, &options, &err) == TR_OK &&
                tr_pass_weights_begin(w->weights, &source, &err) == TR_OK &&
                tr_forward_run(forward, &source, &candidate, 1, &pass, &err) == TR_OK,
            w->folder, "the run without a cache");
    tr_pass_weights_end(w->weights);
    tr_forward_free(forward);
    tr_streams_free(candidate.streams);
}

// Whether the rotation of a text depends on its length.
static bool turns_by_length(const struct tr_config *config) {
    return tr_rope_reach(&config->rope[0], 1) != INT64_MAX ||
           tr_rope_reach(&config->rope[1], 1) != INT64_MAX;
}

// Compares the tokens behind positions [first, length): how many are no near tie and differ.
static int64_t compare(struct whole *w, const int32_t *ids, int64_t first, int64_t length,
                       int64_t *ties) {
    int32_t *best = malloc((size_t)length * sizeof *best);
    double *loss = malloc((size_t)length * sizeof *loss);
    int64_t wrong = 0;
    require(best && loss, w->folder, "memory");
    run_whole(w, ids, ids + 1, length);
    memcpy(best, w->best, (size_t)length * sizeof *best);
    memcpy(loss, w->loss, (size_t)length * sizeof *loss);
    if (memcmp(best + first, ids + 1 + first, (size_t)(length - first) * sizeof *best) != 0) {
        run_whole(w, ids, best, length);
        for (int64_t t = first; t < length; t++) {
            bool is_tie = loss[t] - w->loss[t] < NEAR_TIE;
            wrong += best[t] != ids[t + 1] && !is_tie;
            *ties += best[t] != ids[t + 1] && is_tie;
        }
    }
    free(best);
    free(loss);
    return wrong;
}

static void check_text(struct whole *w, const struct tr_continuation *text, int64_t *ties) {
    int64_t all = text->prompt_count + text->count;
    int32_t *ids = malloc((size_t)all * sizeof *ids);
    require(ids != NULL, w->folder, "memory");
    memcpy(ids, text->prompt, (size_t)text->prompt_count * sizeof *ids);
    memcpy(ids + text->prompt_count, text->tokens, (size_t)text->count * sizeof *ids);
    int64_t first = text->prompt_count - 1, wrong = 0;
    if (!turns_by_length(&w->weights->loaded.config))
        wrong = compare(w, ids, first, all - 1, ties);
    for (int64_t t = first; t < all - 1 && turns_by_length(&w->weights->loaded.config); t++)
        wrong += compare(w, ids, t, t + 1, ties);
    if (wrong)
        fprintf(stderr, "%lld of %lld tokens behind a prompt of %lld\n", (long long)wrong,
                (long long)text->count, (long long)text->prompt_count);
    require(!wrong, w->folder, "other tokens than without a cache");
    free(ids);
}

// ---- generation --------------------------------------------------------------------------------

struct texts {
    struct tr_continuation of[TEXTS];
    int32_t prompts[TEXTS][LONGEST_PROMPT];
};

// Random prompts of 1 to LONGEST_PROMPT tokens, each with as many more as the model has room for.
static void make_texts(struct texts *texts, const struct tr_config *config, int64_t most) {
    static const int64_t lengths[TEXTS] = {9, 1, LONGEST_PROMPT, 2, 17, 9, 30};
    int64_t longest = tr_config_longest(config);
    for (int i = 0; i < TEXTS; i++) {
        struct tr_continuation *of = &texts->of[i];
        int64_t count = lengths[i] < longest ? lengths[i] : longest, room = longest + 1 - count;
        for (int64_t t = 0; t < count; t++)
            texts->prompts[i][t] = (int32_t)(rand() % config->vocabulary);
        *of = (struct tr_continuation){
            .prompt = texts->prompts[i], .prompt_count = count, .most = most < room ? most : room};
        of->tokens = calloc((size_t)of->most, sizeof *of->tokens);
    }
}

static void free_texts(struct texts *texts) {
    for (int i = 0; i < TEXTS; i++)
        free(texts->of[i].tokens);
}

// The other way round, one of them is stopped at its third token.
static bool ends(void *user, int64_t index, const struct tr_continuation *text) {
    (void)user;
    return index == 4 && text->count == 3;
}

struct way {
    const char *name;
    struct kn_backend *kn;
    double memory;
    int64_t batch;
    bool drops;
    bool is_tight; // there is room for one text at a time
};

static int64_t check_way(const char *folder, const struct way *way, const struct way *judge,
                         int64_t most, int64_t *ties) {
    static const struct tr_wanted wanted = {.head = true};
    struct tr_pass_weights weights, judging;
    struct tr_drop_set drop = {0};
    struct texts texts;
    bool stopped;
    require(tr_pass_weights_open(&weights, way->kn, folder, &wanted, way->memory, &err) == TR_OK &&
                tr_pass_weights_open(&judging, judge->kn, folder, &wanted, 1e12, &err) == TR_OK &&
                (!way->drops || tr_drop_set_parse(&drop, "attn:0 mlp:1", &err) == TR_OK),
            folder, "opening");
    require((weights.resident != NULL) == (way->memory > 0), folder, "resident or not");
    make_texts(&texts, &weights.loaded.config, most);
    struct tr_generator g = {.weights = &weights, .drop = &drop, .batch = way->batch, .ends = ends};
    size_t memory = way->kn->memory_free;
    way->kn->memory_free = way->is_tight ? 1 : memory;
    require(tr_generate(&g, texts.of, TEXTS, &stopped, &err) == TR_OK && !stopped, folder,
            way->name);
    way->kn->memory_free = memory;
    require(!way->is_tight || g.prefills >= TEXTS, folder, "texts went together without room");
    struct whole w = {.folder = folder, .kn = judge->kn, .weights = &judging, .drop = &drop};
    w.best = malloc((size_t)(LONGEST_PROMPT + most) * sizeof *w.best);
    w.loss = malloc((size_t)(LONGEST_PROMPT + most) * sizeof *w.loss);
    for (int i = 0; i < TEXTS; i++) {
        int64_t wanted_count = i == 4 && texts.of[i].most > 3 ? 3 : texts.of[i].most;
        require(texts.of[i].count == wanted_count, folder, "too few tokens");
        check_text(&w, &texts.of[i], ties);
    }
    free(w.best);
    free(w.loss);
    free_texts(&texts);
    tr_pass_weights_close(&weights);
    tr_pass_weights_close(&judging);
    tr_drop_set_free(&drop);
    return g.tokens;
}

// What a cache takes of memory is what is counted; of latents no more than they and the key that
// heads share.
static void check_cache(const char *folder, struct kn_backend *kn) {
    enum { SEQUENCES = 64 };
    static const struct tr_wanted wanted = {.head = true};
    struct tr_pass_weights weights;
    struct tr_cache *cache;
    require(tr_pass_weights_open(&weights, kn, folder, &wanted, 1e12, &err) == TR_OK, folder,
            "opening");
    const struct tr_config *c = &weights.loaded.config;
    double token = tr_cache_bytes(kn, c, NULL, 1, 1);
    int64_t positions = (int64_t)(2e9 / (SEQUENCES * token));
    double counted = tr_cache_bytes(kn, c, NULL, SEQUENCES, positions);
    double before = (double)kn->memory_used;
    require(tr_cache_new(&cache, kn, c, NULL, SEQUENCES, positions, &err) == TR_OK, folder,
            "the cache");
    double taken = (double)kn->memory_used - before;
    double pages = (double)c->layers * 0x1p23; // two blocks, each with up to two large pages more
    require(fabs(taken - counted) <= pages, folder, "a cache takes what is not counted");
    double latent = (double)(c->layers * (c->kv_rank + c->rope_dim)) * 4;
    require(!c->kv_rank || token == latent, folder, "a cache of more than latents");
    tr_cache_free(cache);
    tr_pass_weights_close(&weights);
}

static void check_folder(const char *folder, const struct way *together, const struct way *other,
                         const struct way *judge, int64_t most) {
    int64_t ties = 0, tokens = check_way(folder, together, judge, most, &ties);
    tokens += check_way(folder, other, judge, most, &ties);
    printf("%s: %lld tokens, %lld near ties\n", folder, (long long)tokens, (long long)ties);
    fflush(stdout);
}

// Where there is no such device: 77, which ctest takes for skipped.
static struct kn_backend *open_cuda(void) {
    struct kn_options options = {.type = KN_F32, .error = err.text};
    struct kn_backend *kn;
    if (kn_device_count() == 0)
        exit(77);
    require(kn_open(&kn, KN_CUDA, &options) == KN_OK, "cuda", "opening the device");
    return kn;
}

int main(int argc, char **argv) {
    bool on_cuda = argc > 1 && strcmp(argv[1], "--cuda") == 0;
    int first = on_cuda ? 2 : 1;
    struct kn_backend *cpu, *device = on_cuda ? open_cuda() : fake_device_open(FAKE_LATE_ALL);
    struct kn_options options = {.threads = 1};
    require(argc > first + 1 && device && kn_open(&cpu, KN_CPU, &options) == KN_OK, "usage",
            argv[0]);
    struct kn_backend *kn = on_cuda ? device : cpu;
    const struct way judge = {.kn = cpu};
    const struct way ways[WAYS] = {{"together", kn, 1e12, TEXTS, false, false},
                                   {"alone", kn, 1e12, 1, true, false},
                                   {"without sublayers", kn, 1e12, 5, true, false},
                                   {"streamed", kn, 0, 3, false, false},
                                   {"on a late device", device, 1e9, TEXTS, true, false},
                                   {"in little memory", device, 1e9, TEXTS, true, true}};
    int64_t most = strtoll(argv[first], NULL, 10);
    for (int i = first + 1; i < argc; i++) {
        int turn = i % 20 == 0 && !on_cuda ? WAYS - 1 : 1 + i % (on_cuda ? 3 : 4);
        check_folder(argv[i], ways, &ways[turn], &judge, most);
        check_cache(argv[i], cpu);
    }
    cpu->ops->close(cpu);
    device->ops->close(device);
    return 0;
}

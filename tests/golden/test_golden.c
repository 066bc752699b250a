// SPDX-License-Identifier: Apache-2.0
// Runs trace-ckpts and compares what it stores with numbers that PyTorch computed in float64:
//
//   test_golden PROGRAM STORE tokens SERIES        a trained series over its tokens.npy
//   test_golden PROGRAM STORE text SERIES TEXT     the same from the text
//   test_golden PROGRAM STORE forward FOLDER       its subfolders, tiny random models
//   test_golden --cuda ...                         in f32 on a GPU; exits with 77 without one
//
// SERIES has golden.json, a subfolder expected.json: arrays [layer]..., one for each of attn, mlp
// and block. Missing values are failures.
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "base/strings.h"
#include "store/store.h"

extern char **environ;

enum { MAX_PATHS = 512, MAX_ARGS = MAX_PATHS + 32, MAX_SHOWN = 10, JSON_LIMIT = 64 << 20 };

struct tolerance {
    double relative, absolute;
};

struct quantity {
    const char *key; // in the golden file
    enum tr_variable_id id;
    struct tolerance tolerance;
};

static const struct quantity quantities[] = {
    {"importance", TR_V_IMPORTANCE, {1e-5, 1e-9}},
    {"importance_seq", TR_V_IMPORTANCE_SEQ, {1e-5, 1e-9}},
    {"similarity", TR_V_SIMILARITY, {1e-5, 1e-9}},
    {"update_ratio", TR_V_UPDATE_RATIO, {1e-5, 1e-9}},
    {"stream_norm", TR_V_STREAM_NORM, {1e-5, 1e-9}},
    {"alignment", TR_V_ALIGNMENT, {0, 1e-6}},
};
static const struct quantity per_token = {NULL, TR_V_IMPORTANCE_TOKEN, {2e-5, 1e-9}};
// Random models on a GPU, whose products add up in another order.
static const struct quantity per_token_cuda = {NULL, TR_V_IMPORTANCE_TOKEN, {1e-4, 1e-8}};
static const struct tolerance loss = {0, 1e-5};

// Between boundaries: golden over every so many-th token of the calibration.
static const struct {
    const char *key;
    enum tr_variable_id id;
    int64_t every;
} spans[] = {
    {"span_similarity", TR_V_SPAN_SIMILARITY, 1},
    {"cka_every4th_token", TR_V_CKA, 4},
};
static const struct tolerance span = {0, 1e-5};

// Costs of leaving out one sublayer: means over all sequences.
static const struct {
    const char *key;
    enum tr_variable_id id;
} costs[] = {{"nll", TR_V_DROP_NLL}, {"kl", TR_V_DROP_KL}};
static const struct tolerance cost = {0, 1e-5}, cost_cuda = {0, 1e-4};

static bool on_cuda;

struct tally {
    long compared, failed;
    double worst; // error over its tolerance
};

// One stored checkpoint, while it is compared.
struct subject {
    struct tally *tally;
    const char *name;
    const struct tr_row *row;
    const struct tr_layout *layout;
};

__attribute__((format(printf, 2, 3))) static void complain(struct tally *tally, const char *format,
                                                           ...) {
    va_list args;
    va_start(args, format);
    if (tally->failed++ < MAX_SHOWN) {
        vprintf(format, args);
        putchar('\n');
    }
    va_end(args);
}

static void compare(struct tally *tally, const char *what, double found, double truth,
                    struct tolerance tolerance) {
    double allowed = tolerance.relative * fabs(truth) + tolerance.absolute;
    double share = fabs(found - truth) / allowed;
    tally->compared++;
    if (share > tally->worst)
        tally->worst = share;
    if (!(share <= 1)) // NaN is a failure too
        complain(tally, "%s: %.12g, expected %.12g", what, found, truth);
}

static int64_t count_numbers(const json_t *nested) {
    int64_t count = json_is_number(nested);
    for (size_t i = 0; i < json_array_size(nested); i++)
        count += count_numbers(json_array_get(nested, i));
    return count;
}

// Compares the numbers of nested arrays with found[] in order; how many there were.
static int64_t compare_in_order(struct tally *tally, const char *what, const json_t *nested,
                                const double *found, struct tolerance tolerance) {
    if (json_is_number(nested)) {
        compare(tally, what, found[0], json_number_value(nested), tolerance);
        return 1;
    }
    int64_t done = 0;
    for (size_t i = 0; i < json_array_size(nested); i++)
        done += compare_in_order(tally, what, json_array_get(nested, i), found + done, tolerance);
    return done;
}

// The same where there must be exactly `count` numbers.
static void compare_nested(struct tally *tally, const char *what, const json_t *truth,
                           const double *found, int64_t count, struct tolerance tolerance) {
    if (count_numbers(truth) == count)
        compare_in_order(tally, what, truth, found, tolerance);
    else
        complain(tally, "%s: %lld values in the golden file, expected %lld", what,
                 (long long)count_numbers(truth), (long long)count);
}

// A variable of the row as doubles, freed with free(); NULL, told, when the row lacks it.
static double *as_doubles(const struct subject *s, enum tr_variable_id id) {
    if (!s->row->data[id]) {
        complain(s->tally, "%s: the store has no %s", s->name, tr_variables[id].name);
        return NULL;
    }
    int64_t count = tr_variable_elements(id, s->layout);
    double *values = malloc((size_t)count * sizeof *values);
    if (!values)
        abort();
    for (int64_t i = 0; i < count; i++)
        values[i] = tr_variables[id].type == TR_VALUE_F32 ? (double)tr_row_f32(s->row, id)[i]
                                                          : tr_row_f64(s->row, id)[i];
    return values;
}

// truth: [layer]... of one module; the store has [layer, module, ...], of which truth covers the
// first `used` elements of each layer and module (0: all).
static void compare_module(const struct subject *s, const struct quantity *quantity,
                           enum tr_module module, const json_t *truth, int64_t used) {
    double *found = as_doubles(s, quantity->id);
    if (!found)
        return;
    int64_t layers = s->layout->layers;
    int64_t stride = tr_variable_elements(quantity->id, s->layout) / (layers * TR_MODULES);
    if ((int64_t)json_array_size(truth) != layers)
        complain(s->tally, "%s %s: %zu layers in the golden file, %lld in the store", s->name,
                 tr_module_names[module], json_array_size(truth), (long long)layers);
    for (int64_t layer = 0; layer < layers && (size_t)layer < json_array_size(truth); layer++) {
        char what[256];
        snprintf(what, sizeof what, "%s %s layer %lld %s", s->name, tr_module_names[module],
                 (long long)layer, tr_variables[quantity->id].name);
        compare_nested(s->tally, what, json_array_get(truth, (size_t)layer),
                       found + (layer * TR_MODULES + module) * stride, used ? used : stride,
                       quantity->tolerance);
    }
    free(found);
}

static void compare_loss(const struct subject *s, const json_t *golden) {
    double *found = as_doubles(s, TR_V_NLL), sum = 0;
    if (!found)
        return;
    int64_t count = s->layout->sequences;
    compare_nested(s->tally, s->name, json_object_get(golden, "nll_seq"), found, count, loss);
    for (int64_t i = 0; i < count; i++)
        sum += found[i];
    const json_t *mean = json_object_get(golden, "nll");
    if (mean)
        compare(s->tally, s->name, sum / (double)count, json_number_value(mean), loss);
    free(found);
}

// What was traced over the tokens that the golden numbers are of.
static long compare_spans(const struct subject *s, const json_t *golden) {
    int64_t tokens = s->layout->sequences * s->layout->seq_len;
    long compared = s->tally->compared;
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++) {
        if (s->layout->span_tokens * spans[i].every != tokens)
            continue;
        char what[256];
        double *found = as_doubles(s, spans[i].id);
        snprintf(what, sizeof what, "%s %s", s->name, spans[i].key);
        if (found)
            compare_nested(s->tally, what, json_object_get(golden, spans[i].key), found,
                           tr_variable_elements(spans[i].id, s->layout), span);
        free(found);
    }
    return s->tally->compared - compared;
}

static double mean_of(const double *values, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += values[i];
    return sum / (double)count;
}

// truth: [layer]{"nll", "kl"} of one module.
static void compare_removals(const struct subject *s, enum tr_module module, const json_t *truth,
                             size_t which) {
    double *found = as_doubles(s, costs[which].id);
    int64_t rows = s->layout->cost_sequences;
    if (!found)
        return;
    if ((int64_t)json_array_size(truth) != s->layout->layers)
        complain(s->tally, "%s: golden costs of %zu layers", s->name, json_array_size(truth));
    for (size_t layer = 0; layer < json_array_size(truth); layer++) {
        char what[256];
        const json_t *number = json_object_get(json_array_get(truth, layer), costs[which].key);
        snprintf(what, sizeof what, "%s without %s %zu: %s", s->name, tr_module_names[module],
                 layer, costs[which].key);
        compare(s->tally, what,
                mean_of(found + ((int64_t)layer * TR_MODULES + module) * rows, rows),
                json_number_value(number), on_cuda ? cost_cuda : cost);
    }
    free(found);
}

// Golden costs are of all sequences, and so is the loss of the whole model: the traced one's bits.
static void compare_costs(const struct subject *s, const json_t *golden) {
    const json_t *removed = json_object_get(golden, "drop_one");
    size_t bytes = (size_t)s->layout->sequences * sizeof(double);
    if (s->layout->cost_sequences != s->layout->sequences)
        complain(s->tally, "%s: costs on %lld sequences", s->name,
                 (long long)s->layout->cost_sequences);
    else if (memcmp(s->row->data[TR_V_BASE_NLL], s->row->data[TR_V_NLL], bytes))
        complain(s->tally, "%s: the base's loss is not the traced one", s->name);
    else
        for (int m = TR_ATTN; m <= TR_MLP; m++)
            for (size_t i = 0; i < sizeof costs / sizeof *costs; i++)
                compare_removals(s, (enum tr_module)m, json_object_get(removed, tr_module_names[m]),
                                 i);
}

// One checkpoint of a series; the last one's golden also has sequence 0 of attn and mlp by token.
static void compare_checkpoint(const struct subject *s, const json_t *golden) {
    for (int m = 0; m < TR_MODULES; m++) {
        const json_t *module = json_object_get(golden, tr_module_names[m]);
        for (size_t i = 0; i < sizeof quantities / sizeof *quantities; i++)
            compare_module(s, &quantities[i], (enum tr_module)m,
                           json_object_get(module, quantities[i].key), 0);
    }
    compare_loss(s, golden);
    if (s->layout->span_tokens && !compare_spans(s, golden))
        complain(s->tally, "%s: no golden spans over %lld tokens", s->name,
                 (long long)s->layout->span_tokens);
    if (s->layout->cost_sequences)
        compare_costs(s, golden);
    const json_t *tokens = json_object_get(golden, "per_token_sequence0");
    for (int m = 0; tokens && s->layout->per_token && m < TR_BLOCK; m++)
        compare_module(s, &per_token, (enum tr_module)m,
                       json_object_get(tokens, tr_module_names[m]), s->layout->seq_len);
}

// A tiny random model: every token of every module.
static void compare_forward(const struct subject *s, const json_t *golden) {
    const json_t *tokens = json_object_get(golden, "importance_token");
    for (int m = 0; m < TR_MODULES; m++)
        compare_module(s, on_cuda ? &per_token_cuda : &per_token, (enum tr_module)m,
                       json_object_get(tokens, tr_module_names[m]), 0);
    compare_loss(s, golden);
}

// ---- running and reading -----------------------------------------------------------------------

static int run(const char *const *args) {
    pid_t child;
    int status;
    errno = posix_spawn(&child, args[0], NULL, NULL, (char *const *)args, environ);
    if (errno || waitpid(child, &status, 0) < 0) {
        perror(args[0]);
        return -1;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int load_row(const struct tr_trace *trace, const char *name, struct tr_row *row,
                    struct tr_err *err) {
    for (int64_t i = 0; i < tr_trace_rows(trace); i++)
        if (strcmp(tr_trace_string(trace, TR_V_NAME, i), name) == 0)
            return tr_trace_row(trace, i, row, err);
    return tr_fail(err, TR_EFORMAT, "the store has no row %s", name);
}

static void check_row(struct tally *tally, const struct tr_trace *trace, const char *name,
                      const json_t *golden, bool of_series) {
    struct tr_row row;
    struct tr_err err;
    if (load_row(trace, name, &row, &err) != TR_OK) {
        complain(tally, "%s", err.text);
        return;
    }
    struct subject subject = {tally, name, &row, &tr_trace_info(trace)->layout};
    if (*tr_row_u8(&row, TR_V_STATUS) != TR_ROW_COMPLETE)
        complain(tally, "%s failed: %s", name, tr_row_string(&row, TR_V_ERROR));
    else if (of_series)
        compare_checkpoint(&subject, golden);
    else
        compare_forward(&subject, golden);
    tr_row_free(&row);
}

// Opens store and golden file and compares every checkpoint that the golden file knows.
static void check_store(struct tally *tally, const char *store, const char *golden_path,
                        const char *only_row) {
    struct tr_trace *trace = NULL;
    struct tr_err err;
    json_t *golden = NULL;
    enum tr_status status = tr_json_load(&golden, golden_path, JSON_LIMIT, &err);
    if (status == TR_OK)
        status = tr_trace_open(&trace, store, &err);
    if (status != TR_OK) {
        complain(tally, "%s", err.text);
    } else if (only_row) {
        check_row(tally, trace, only_row, golden, false);
    } else {
        const char *name;
        json_t *checkpoint;
        bool has_costs = tr_trace_info(trace)->layout.cost_sequences > 0;
        json_object_foreach(json_object_get(golden, "checkpoints"), name,
                            checkpoint) if (!has_costs || json_object_get(checkpoint, "drop_one"))
            check_row(tally, trace, name, checkpoint, true);
    }
    tr_trace_close(trace);
    json_decref(golden);
}

static char *join(const char *folder, const char *name) {
    char *path;
    if (tr_path_join(&path, folder, name, NULL) != TR_OK)
        abort();
    return path;
}

static int is_step(const struct dirent *entry) {
    return strncmp(entry->d_name, "step_", 5) == 0;
}

static int is_visible(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

// The paths of a folder's members, sorted; how many.
static int list_folder(const char *folder, int (*filter)(const struct dirent *),
                       char *paths[MAX_PATHS]) {
    struct dirent **entries;
    int found = scandir(folder, &entries, filter, alphasort), count = 0;
    for (int i = 0; i < found; i++) {
        if (count < MAX_PATHS)
            paths[count++] = join(folder, entries[i]->d_name);
        free(entries[i]);
    }
    if (found >= 0)
        free(entries);
    return count;
}

// PROGRAM -o STORE --fresh -q [options...] --ckpts FOLDER...
static void trace_folders(struct tally *tally, const char *program, const char *store,
                          const char *const *options, char *const *folders, int count) {
    const char *args[MAX_ARGS] = {
        program,   "-o", store, "--fresh", "-q", "--device", on_cuda ? "cuda" : "cpu",
        "--dtype", "f32"};
    int used = 9;
    while (*options)
        args[used++] = *options++;
    args[used++] = "--ckpts";
    for (int i = 0; i < count; i++)
        args[used++] = folders[i];
    int code = run(args);
    if (code != 0)
        complain(tally, "trace-ckpts ended with %d, output %s", code, store);
}

// Which of the folders has golden costs.
static int with_golden_costs(const char *golden_path, char *const *folders, int count) {
    json_t *golden, *checkpoint;
    const char *name;
    int found = 0;
    if (tr_json_load(&golden, golden_path, JSON_LIMIT, NULL) != TR_OK)
        abort();
    json_object_foreach(
        json_object_get(golden, "checkpoints"), name,
        checkpoint) for (int i = 0; i < count && json_object_get(checkpoint, "drop_one");
                         i++) if (strcmp(strrchr(folders[i], '/') + 1, name) == 0) found = i;
    json_decref(golden);
    return found;
}

// The text; or the tokens, with spans over all of them and then over every fourth, the default.
static void check_series(struct tally *tally, const char *program, const char *store,
                         const char *series, const char *text) {
    char *folders[MAX_PATHS];
    int count = list_folder(series, is_step, folders);
    char *tokens = join(series, "tokens.npy"), *golden = join(series, "golden.json");
    const char *from_text[] = {"--text", text, "--samples", "16", "--seq-len", "256", NULL};
    const char *all_spans[] = {"--tokens", tokens, "--spans", "--span-tokens", "4096", NULL};
    const char *with_costs[] = {"--tokens", tokens, "--cost", "attn,mlp", NULL};
    const char *from_tokens[] = {"--tokens", tokens, "--per-token", "--spans", NULL};
    if (!text) {
        trace_folders(tally, program, store, all_spans, folders, count);
        check_store(tally, store, golden, NULL);
        int last = with_golden_costs(golden, folders, count);
        trace_folders(tally, program, store, with_costs, folders + last, 1);
        check_store(tally, store, golden, NULL);
    }
    trace_folders(tally, program, store, text ? from_text : from_tokens, folders, count);
    check_store(tally, store, golden, NULL);
    for (int i = 0; i < count; i++)
        free(folders[i]);
    free(tokens);
    free(golden);
}

static void check_model(struct tally *tally, const char *program, const char *store, char *folder) {
    char *name;
    if (tr_path_name(&name, folder, NULL) != TR_OK)
        abort();
    char *tokens = join(folder, "tokens.npy"), *golden = join(folder, "expected.json");
    const char *options[] = {"--tokens", tokens, "--per-token", NULL};
    trace_folders(tally, program, store, options, &folder, 1);
    check_store(tally, store, golden, name);
    free(name);
    free(tokens);
    free(golden);
}

int main(int argc, char **argv) {
    struct tally tally = {0, 0, 0};
    char *folders[MAX_PATHS];
    on_cuda = argc > 1 && strcmp(argv[1], "--cuda") == 0;
    argc -= on_cuda;
    argv += on_cuda;
    if (on_cuda && access("/dev/nvidiactl", F_OK) != 0) {
        printf("skipped: this machine has no GPU\n");
        return 77;
    }
    if (argc < 5) {
        fprintf(stderr,
                "usage: test_golden [--cuda] PROGRAM STORE tokens|text|forward FOLDER [TEXT]\n");
        return 2;
    }
    if (strcmp(argv[3], "forward") == 0) {
        int count = list_folder(argv[4], is_visible, folders);
        for (int i = 0; i < count; i++) {
            check_model(&tally, argv[1], argv[2], folders[i]);
            free(folders[i]);
        }
    } else {
        check_series(&tally, argv[1], argv[2], argv[4], argv[5]);
    }
    printf("%ld values compared, %ld problems, worst error %.3f of its tolerance\n", tally.compared,
           tally.failed, tally.worst);
    return tally.failed || tally.compared == 0 ? 1 : 0;
}

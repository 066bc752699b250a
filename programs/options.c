// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strings.h"
#include "exit.h"

const char *argp_program_version = "trace-ckpts " TRACE_VERSION;

enum long_option {
    OPT_TEXT = 256,
    OPT_TOKENS,
    OPT_BOS,
    OPT_TOKENIZER,
    OPT_SAMPLES,
    OPT_SEQ_LEN,
    OPT_DEVICE,
    OPT_DTYPE,
    OPT_DEVICE_MEMORY,
    OPT_SPANS,
    OPT_SPAN_TOKENS,
    OPT_DRIFT_TOKENS,
    OPT_PER_TOKEN,
    OPT_NO_NLL,
    OPT_TOKENS_PER_STEP,
    OPT_NAME_PATTERN,
    OPT_SEPARATE,
    OPT_PUBLISH,
    OPT_DROP,
    OPT_DRY_RUN,
    OPT_FRESH,
    OPT_VERIFY,
    OPT_PROGRESS,
};

static const struct argp_option argp_options[] = {
    {0, 0, 0, 0, "What to trace:", 1},
    {"ckpts", 'c', "DIR...", 0,
     "Checkpoint folders, as the shell expands dir/*; plain files among them are skipped", 0},
    {"input", 'i', "CSV", 0, "A manifest instead: columns path, step, tokens, stage", 0},
    {"tokens-per-step", OPT_TOKENS_PER_STEP, "N", 0,
     "Tokens per training step, for checkpoints whose names lack tokens", 0},
    {"name-pattern", OPT_NAME_PATTERN, "REGEX", 0,
     "How folders' names say step, tokens and stage: groups of these names, as in "
     "'run(?<stage>\\d+)_(?<step>\\d+)' (PCRE2); with a slash in it, how paths do",
     0},
    {"separate", OPT_SEPARATE, 0, 0,
     "Checkpoints of one step are of several lines of training (seeds, ingredients of a merge): "
     "each line becomes a stage",
     0},
    {0, 0, 0, 0, "Over which text (default: a built-in one):", 2},
    {"text", OPT_TEXT, "FILE", 0,
     "Plain text or .jsonl with \"text\", tokenised with the series' own tokenizer.json, "
     "tokenizer.model or .tiktoken",
     0},
    {"bos", OPT_BOS, 0, 0,
     "Begin each document with the token that the tokenizer puts before a text", 0},
    {"tokens", OPT_TOKENS, "FILE", 0,
     "Token ids: .npy, .jsonl with \"input_ids\", raw .u16, .bin or .u32", 0},
    {"tokenizer", OPT_TOKENIZER, "PATH", 0,
     "The tokenizer for texts, or a folder with one (default: the first checkpoint's, or of "
     "the folder above it, or of another checkpoint)",
     0},
    {"samples", OPT_SAMPLES, "N", 0, "Rows of tokens (default: as many as there are, at most 256)",
     0},
    {"seq-len", OPT_SEQ_LEN, "N", 0, "Tokens per row (default: the model's maximum, at most 2048)",
     0},
    {0, 0, 0, 0, "How:", 3},
    {"device", OPT_DEVICE, "auto|cpu|cuda", 0,
     "Where to compute (default: auto: cuda where there is a device, else cpu)", 0},
    {"dtype", OPT_DTYPE, "auto|f32|bf16|f16", 0,
     "Operands of products (default: auto: f32 on the CPU; on a device f16 for f16 weights, else "
     "bf16)",
     0},
    {"device-memory", OPT_DEVICE_MEMORY, "SIZE", 0,
     "Memory that the ranks on a device take of it together, CUDA's own included, as 16G (default: "
     "90 % of what is free)",
     0},
    {"spans", OPT_SPANS, 0, 0,
     "Also compare the residual stream between any two blocks: cosine and CKA", 0},
    {"span-tokens", OPT_SPAN_TOKENS, "N", 0,
     "With --spans: of N tokens, spread over the rows (default: 1024)", 0},
    {"drift-tokens", OPT_DRIFT_TOKENS, "N", 0,
     "With --spans: keep the stream itself of N of them (default: 32)", 0},
    {"per-token", OPT_PER_TOKEN, 0, 0, "Also keep the importance of every token", 0},
    {"no-nll", OPT_NO_NLL, 0, 0, "Leave out the head and the loss", 0},
    {"drop", OPT_DROP, "SET", 0,
     "Leave out sublayers: attn:25,26 mlp:27 block:3, or @FILE with such a text, a plan, or a "
     "config.json with drop_attn_list and drop_mlp_list",
     0},
    {"dry-run", OPT_DRY_RUN, 0, 0, "Print the plan and stop", 0},
    {0, 0, 0, 0, "Where to:", 4},
    {"output", 'o', "FILE", 0, "The store (default: trace.h5)", 0},
    {"publish", OPT_PUBLISH, "SEC", 0, "Publish the store at most every SEC seconds (default: 60)",
     0},
    {"fresh", OPT_FRESH, 0, 0, "Forget what the store holds and start anew", 0},
    {"verify", OPT_VERIFY, 0, 0, "Re-read checkpoints already traced and compare their digests", 0},
    {0, 0, 0, 0, "Messages:", 5},
    {"progress", OPT_PROGRESS, "SEC", 0,
     "A line every SEC seconds, 0 for none (default: 30; on a terminal 1)", 0},
    {"quiet", 'q', 0, 0, "Warnings and errors only", 0},
    {"verbose", 'v', 0, 0, "More about each checkpoint", 0},
    {0, 0, 0, 0, 0, 0},
};

static int64_t number(struct argp_state *state, const char *option, const char *text, int64_t low) {
    int64_t value = 0;
    if (!tr_parse_i64(text, low, INT64_C(1) << 53, &value))
        argp_error(state, "--%s takes a whole number from %lld on, not \"%s\"", option,
                   (long long)low, text);
    return value;
}

static void set_device(struct tr_run_settings *options, struct argp_state *state,
                       const char *text) {
    options->any_device = strcmp(text, "auto") == 0;
    options->device = strcmp(text, "cuda") == 0 ? KN_CUDA : KN_CPU;
    if (!options->any_device && options->device == KN_CPU && strcmp(text, "cpu") != 0)
        argp_error(state, "--device takes auto, cpu or cuda, not \"%s\"", text);
}

static void set_type(struct tr_run_settings *options, struct argp_state *state, const char *text) {
    int type = KN_F32;
    while (type <= KN_BF16 && strcmp(text, kn_type_name((enum kn_type)type)) != 0)
        type++;
    options->any_type = strcmp(text, "auto") == 0;
    if (!options->any_type && type > KN_BF16)
        argp_error(state, "--dtype takes auto, f32, bf16 or f16, not \"%s\"", text);
    options->type = options->any_type ? KN_F32 : (enum kn_type)type;
}

static void set_device_memory(struct tr_run_settings *options, struct argp_state *state,
                              const char *text) {
    if (!tr_parse_bytes(text, &options->device_memory) || options->device_memory == 0)
        argp_error(state, "--device-memory takes a size such as 16G, not \"%s\"", text);
}

static void add_path(struct tr_run_settings *options, struct argp_state *state, char *path) {
    size_t count = (size_t)options->path_count + 1;
    char **paths = realloc(options->paths, count * sizeof *paths);
    if (!paths)
        argp_failure(state, EXIT_USAGE, 0, "no memory for %zu paths", count);
    options->paths = paths;
    options->paths[options->path_count++] = path;
}

static void check_together(const struct tr_run_settings *options, struct argp_state *state) {
    if (!options->path_count == !options->manifest)
        argp_error(state, options->manifest
                              ? "--ckpts and --input exclude each other"
                              : "which checkpoints? Give --ckpts DIR... or --input CSV");
    if (options->text && options->tokens)
        argp_error(state, "--text and --tokens exclude each other");
    if (options->bos && options->tokens)
        argp_error(state, "--bos begins documents of text; --tokens are taken as they are");
    if (options->tokenizer && options->tokens)
        argp_error(state, "--tokenizer and --tokens exclude each other");
    if (!options->spans && (options->span_tokens || options->drift_tokens))
        argp_error(state, "--%s needs --spans",
                   options->span_tokens ? "span-tokens" : "drift-tokens");
}

static error_t parse_option(int key, char *arg, struct argp_state *state) {
    struct tr_run_settings *options = state->input;
    switch (key) {
    case 'c':
    case ARGP_KEY_ARG:
        add_path(options, state, arg);
        return 0;
    case 'i':
        options->manifest = arg;
        return 0;
    case 'o':
        options->out = arg;
        return 0;
    case 'q':
        options->quiet = true;
        return 0;
    case 'v':
        options->verbose = true;
        return 0;
    case OPT_TEXT:
        options->text = arg;
        return 0;
    case OPT_TOKENS:
        options->tokens = arg;
        return 0;
    case OPT_BOS:
        options->bos = true;
        return 0;
    case OPT_TOKENIZER:
        options->tokenizer = arg;
        return 0;
    case OPT_SAMPLES:
        options->samples = number(state, "samples", arg, 1);
        return 0;
    case OPT_SEQ_LEN:
        options->seq_len = number(state, "seq-len", arg, 1);
        return 0;
    case OPT_DEVICE:
        set_device(options, state, arg);
        return 0;
    case OPT_DTYPE:
        set_type(options, state, arg);
        return 0;
    case OPT_DEVICE_MEMORY:
        set_device_memory(options, state, arg);
        return 0;
    case OPT_SPANS:
        options->spans = true;
        return 0;
    case OPT_SPAN_TOKENS:
        options->span_tokens = number(state, "span-tokens", arg, 4);
        return 0;
    case OPT_DRIFT_TOKENS:
        options->drift_tokens = number(state, "drift-tokens", arg, 1);
        return 0;
    case OPT_PER_TOKEN:
        options->per_token = true;
        return 0;
    case OPT_NO_NLL:
        options->no_nll = true;
        return 0;
    case OPT_TOKENS_PER_STEP:
        options->tokens_per_step = number(state, "tokens-per-step", arg, 1);
        return 0;
    case OPT_NAME_PATTERN:
        options->name_pattern = arg;
        return 0;
    case OPT_SEPARATE:
        options->separate = true;
        return 0;
    case OPT_PUBLISH:
        options->publish_seconds = number(state, "publish", arg, 0);
        return 0;
    case OPT_DROP:
        options->drop = arg;
        return 0;
    case OPT_DRY_RUN:
        options->dry_run = true;
        return 0;
    case OPT_FRESH:
        options->fresh = true;
        return 0;
    case OPT_VERIFY:
        options->verify = true;
        return 0;
    case OPT_PROGRESS:
        options->progress_seconds = number(state, "progress", arg, 0);
        return 0;
    case ARGP_KEY_END:
        check_together(options, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = argp_options,
    .parser = parse_option,
    .args_doc = "--ckpts DIR...",
    .doc = "Runs every checkpoint of a training run over a calibration text, measures what each "
           "attention and MLP sublayer and each block adds to the residual stream, and stores it "
           "as a compressed time series (HDF5, netCDF-4 shaped).\v"
           "Under MPI the checkpoints are shared among the ranks: mpirun -n 4 trace-ckpts --ckpts "
           "dir/*. Running the same command again continues where it stopped.\n\n"
           "Exit status: 0 all well, 1 some checkpoints failed (named), 2 usage, 3 environment, "
           "75 stopped by a signal with work left."};

void tr_options_parse(struct tr_run_settings *settings, int argc, char **argv, bool speaks) {
    *settings = (struct tr_run_settings){.out = "trace.h5",
                                         .version = argp_program_version,
                                         .messages = stderr,
                                         .results = stdout,
                                         .publish_seconds = 60,
                                         .progress_seconds = -1,
                                         .device = KN_CPU,
                                         .any_device = true,
                                         .any_type = true};
    argp_err_exit_status = EXIT_USAGE;
    FILE *out = stdout, *err = stderr, *nowhere = speaks ? NULL : fopen("/dev/null", "w");
    if (nowhere)
        stdout = stderr = nowhere; // glibc's streams are variables; argp knows no other silence
    argp_parse(&argp, argc, argv, 0, NULL, settings);
    stdout = out;
    stderr = err;
    if (nowhere)
        fclose(nowhere);
}

char *tr_options_command(int argc, char **argv) {
    struct tr_string command = {0};
    for (int i = 0; i < argc; i++)
        if (tr_string_format(&command, NULL, i ? " %s" : "%s", argv[i]) != TR_OK)
            return NULL;
    return command.data;
}

// SPDX-License-Identifier: Apache-2.0
// trace-eval's command line.
#include "eval_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "run_rows.h"

static bool add_file(char ***files_p, int64_t *count_p, const char *word, char why[OPTION_WHY]) {
    size_t count = (size_t)*count_p + 1;
    char **files = realloc(*files_p, count * sizeof *files);
    if (!files) {
        snprintf(why, OPTION_WHY, "no memory for %zu files", count);
        return false;
    }
    *files_p = files;
    files[(*count_p)++] = (char *)word;
    return true;
}

static bool read_tasks(void *settings, const char *word, char why[OPTION_WHY]) {
    struct tr_evaluation_settings *s = settings;
    return add_file(&s->task_files, &s->task_file_count, word, why);
}

static bool read_prompts(void *settings, const char *word, char why[OPTION_WHY]) {
    struct tr_evaluation_settings *s = settings;
    return add_file(&s->prompt_files, &s->prompt_file_count, word, why);
}

// A set is called as it is written, which a name with a colon could not be; a file's as the file.
static bool name_set(struct tr_string *lines, const char *word) {
    const char *slash = *word == '@' ? strrchr(word, '/') : NULL;
    const char *name = slash ? slash + 1 : *word == '@' ? word + 1 : word;
    size_t begin = lines->size;
    if (tr_string_append(lines, name, strlen(name), NULL) != TR_OK)
        return false;
    for (size_t i = begin; i < lines->size; i++)
        if (lines->data[i] == ':')
            lines->data[i] = ' ';
    return tr_string_format(lines, NULL, ": %s\n", word) == TR_OK;
}

static bool read_drop(void *settings, const char *word, char why[OPTION_WHY]) {
    struct eval_options *options = settings;
    if (!*word || strchr(word, '\n')) {
        snprintf(why, OPTION_WHY, "takes a set such as attn:7,6, or @FILE");
        return false;
    }
    snprintf(why, OPTION_WHY, "no memory for the set");
    return name_set(&options->drop_sets, word);
}

static bool read_drop_sets(void *settings, const char *word, char why[OPTION_WHY]) {
    enum { LARGEST_FILE = 1 << 24 };
    struct eval_options *options = settings;
    struct tr_err err;
    char *bytes;
    size_t size;
    if (tr_file_load(word, LARGEST_FILE, &bytes, &size, &err) != TR_OK) {
        snprintf(why, OPTION_WHY, "cannot be read: %.200s", err.text);
        return false;
    }
    bool fits = tr_string_format(&options->drop_sets, NULL, "%s\n", bytes) == TR_OK;
    free(bytes);
    snprintf(why, OPTION_WHY, "no memory for its sets");
    return fits;
}

// Lengths of prompts, ascending, as 512,2048,8192.
static bool read_speed(void *settings, const char *word, char why[OPTION_WHY]) {
    struct tr_evaluation_settings *s = settings;
    struct tr_speed_settings *speed = &s->speed;
    char *end = (char *)word;
    snprintf(why, OPTION_WHY, "takes up to %d lengths of prompts, as 512,2048", TR_SPEED_PROMPTS);
    for (speed->prompt_count = 0; speed->prompt_count < TR_SPEED_PROMPTS; word = end + 1) {
        long long length = *word >= '0' && *word <= '9' ? strtoll(word, &end, 10) : 0;
        if (length < 1 || length > INT32_MAX)
            return false;
        speed->prompts[speed->prompt_count++] = length;
        if (*end != ',')
            return *end == '\0';
    }
    return false;
}

static bool read_begin(void *settings, const char *word, char why[OPTION_WHY]) {
    static const char *const words[] = {
        [TR_BEGIN_AS_TOKENIZER] = "auto", [TR_BEGIN_ALWAYS] = "yes", [TR_BEGIN_NEVER] = "no"};
    struct tr_evaluation_settings *s = settings;
    int rule = program_choice(word, words, sizeof words / sizeof *words);
    snprintf(why, OPTION_WHY, "takes auto, yes or no");
    if (rule >= 0)
        s->begin = (enum tr_begin_rule)rule;
    return rule >= 0;
}

#define SETS(member) OPTION_SETS(struct eval_options, evaluation.member)
#define RUN(member) SETS(run.member)

static const struct option_row rows[] = {
    {.kind = OPTION_HEADING, .help = "What to leave out:"},
    {"drop", 0, "SET",
     "Also evaluate without these sublayers: attn:25,26 mlp:27 block:3, or @FILE with such a text, "
     "a plan, or a config.json that lists them; may be given several times",
     OPTION_WORD, .read = read_drop},
    {"drop-sets", 0, "FILE",
     "The same of several sets with names: lines such as \"lowest: attn:7,6\"", OPTION_WORD,
     .read = read_drop_sets},

    {.kind = OPTION_HEADING,
     .help = "On a text (default: a built-in one, unless there are tasks):"},
    TEXT_ROW,
    TOKENS_ROWS,
    {"stride", 0, "N",
     "Also the perplexity of the text in windows of a row's length that begin every N tokens, each "
     "predicting what those before did not",
     OPTION_WHOLE, SETS(stride), 1, LARGEST},
    {"cost", 0, "attn,mlp,block",
     "Also leave out each sublayer of these kinds alone, so that a set stands beside the sum of "
     "its members",
     OPTION_TEXT, SETS(run.cost)},
    {"cost-samples", 0, "N",
     "Drop sets on N rows, rounded up to whole micro-batches (default: all)", OPTION_WHOLE,
     SETS(run.cost_samples), 1, LARGEST},

    {.kind = OPTION_HEADING, .help = "On tasks:"},
    {"tasks", 0, "FILE",
     "Finished requests: lines as docs/evaluation.md has them, or samples that "
     "lm-evaluation-harness logged; may be given several times",
     OPTION_WORD, .read = read_tasks},
    {"prefix-token", 0, "TEXT",
     "What stands where a request has no context (default: the tokenizer's bos_token, else its "
     "eos_token)",
     OPTION_TEXT, SETS(prefix_token)},
    {"add-bos", 0, "auto|yes|no",
     "Begin prompts with what the tokenizer puts before a text (default: auto: where it does)",
     OPTION_WORD, .read = read_begin},
    {"max-length", 0, "N", "Tokens that the model is fed at most (default: its positions)",
     OPTION_WHOLE, SETS(max_length), 1, LARGEST},
    {"generate", 0, "FILE",
     "Continue prompts greedily: lines with \"prompt\" or \"input_ids\"; may be given several "
     "times",
     OPTION_WORD, .read = read_prompts},
    {"new-tokens", 0, "N", "Tokens that a prompt is continued by, at most (default: 256)",
     OPTION_WHOLE, SETS(new_tokens), 1, 1 << 20},
    {"batch", 0, "N", "Texts that are continued at a time (default: 16)", OPTION_WHOLE, SETS(batch),
     1, 4096},
    {"results", 0, "FOLDER", "Where results of tasks go (default: OUTPUT.tasks)", OPTION_TEXT,
     SETS(folder)},

    {.kind = OPTION_HEADING, .help = "On speed:"},
    {"speed", 0, "N,N,...",
     "Also measure tokens a second with prompts of N tokens: prefill and decode, whole and without "
     "each drop set in turns",
     OPTION_WORD, .read = read_speed},
    {"speed-tokens", 0, "N", "Tokens that are generated behind a prompt (default: 128)",
     OPTION_WHOLE, SETS(speed.generated), 1, 1 << 20},
    {"speed-batch", 0, "N", "Texts at a time (default: 1)", OPTION_WHOLE, SETS(speed.batch), 1,
     4096},
    {"speed-sublayers", 0, NULL,
     "Also measure the milliseconds of each kind of sublayer, for trace-analyze --budget ms=",
     OPTION_FLAG, SETS(speed.sublayers)},
    {"rounds", 0, "N", "Rounds that are measured, after one that is not (default: 5)", OPTION_WHOLE,
     SETS(speed.rounds), 1, 1000},

    {.kind = OPTION_HEADING, .help = "Which checkpoints, and how:"},
    SERIES_ROWS,
    TOKENIZER_ROW("the checkpoints'"),
    {"level", 0, "P", "Of intervals (default: 0.95)", OPTION_REAL, SETS(level), 0.5, 0.9999},
    DEVICE_ROWS,
    {"output", 'o', "FILE", "The store of what is measured on the text (default: eval.h5)",
     OPTION_TEXT, SETS(run.out)},
    {"fresh", 0, NULL, "Forget what is there and start anew", OPTION_FLAG, SETS(run.fresh)},
    PROGRESS_ROW,
    {"quiet", 'q', NULL, "Warnings and errors only, and the tables", OPTION_FLAG, SETS(run.quiet)},
    {"verbose", 'v', NULL, "More about each checkpoint", OPTION_FLAG, SETS(run.verbose)},
};

bool tr_eval_has_tasks(const struct eval_options *options) {
    return options->evaluation.task_file_count || options->evaluation.prompt_file_count ||
           options->evaluation.speed.prompt_count;
}

bool tr_eval_has_text(const struct eval_options *options) {
    const struct tr_evaluation_settings *e = &options->evaluation;
    return !tr_eval_has_tasks(options) || e->run.texts || e->run.tokens || e->stride;
}

static const char *contradiction(const struct eval_options *options) {
    const struct tr_run_settings *s = &options->evaluation.run;
    bool has_tasks = tr_eval_has_tasks(options);
    if (!s->path_count && !s->manifest)
        return "which checkpoints? Give DIR... or --input CSV";
    if (s->path_count && s->manifest)
        return "folders and --input exclude each other";
    if (s->texts && s->tokens)
        return "--text and --tokens exclude each other";
    if (s->tokenizer && s->tokens && !has_tasks)
        return "--tokenizer and --tokens exclude each other";
    if (s->cost_samples && !options->drop_sets.size && !s->cost)
        return "--cost-samples needs --drop, --drop-sets or --cost";
    if (!has_tasks && (options->evaluation.prefix_token || options->evaluation.max_length ||
                       options->evaluation.begin != TR_BEGIN_AS_TOKENIZER))
        return "--prefix-token, --add-bos and --max-length are of --tasks and --generate";
    return NULL;
}

static bool check(const void *settings, char why[OPTION_WHY]) {
    const struct eval_options *options = settings;
    const char *rule = contradiction(options);
    snprintf(why, OPTION_WHY, "%s", rule ? rule : "");
    return !rule && program_output("output", options->evaluation.run.out, why);
}

const struct program trace_eval_program = {
    .name = "trace-eval",
    .arguments = "DIR...",
    .summary = "Says what leaving out sublayers costs: loss, perplexity, divergence and agreement "
               "on a text, and the metrics of tasks as lm-evaluation-harness computes them, of the "
               "whole model and without each of several drop sets, at one checkpoint or many, all "
               "paired.",
    .details = "What is measured on the text is a store that trace-analyze, trace-export and "
               "trace-info read. Running the same command again continues where it stopped.",
    .exit_status = "0 all well, 1 some checkpoints failed (named), 2 usage, 3 environment, 75 "
                   "stopped by a signal with work left.",
    .options = rows,
    .option_count = sizeof rows / sizeof rows[0],
    .argument = tr_add_path,
    .check = check,
};

struct eval_options tr_eval_defaults(void) {
    struct eval_options options = {
        .evaluation = {.run = tr_ckpts_defaults(),
                       .new_tokens = 256,
                       .batch = 16,
                       .level = 0.95,
                       .speed = {.generated = 128, .batch = 1, .rounds = 5}}};
    options.evaluation.run.out = "eval.h5";
    return options;
}

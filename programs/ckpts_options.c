// SPDX-License-Identifier: Apache-2.0
// trace-ckpts' command line.
#include "ckpts_options.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strings.h"
#include "run_rows.h"
#include "version.h"

bool tr_add_path(void *settings, char *path, char why[OPTION_WHY]) {
    struct tr_run_settings *s = settings;
    size_t count = (size_t)s->path_count + 1;
    char **paths = realloc(s->paths, count * sizeof *paths);
    if (!paths) {
        snprintf(why, OPTION_WHY, "no memory for %zu paths", count);
        return false;
    }
    s->paths = paths;
    s->paths[s->path_count++] = path;
    return true;
}

static bool read_ckpts(void *settings, const char *word, char why[OPTION_WHY]) {
    return tr_add_path(settings, (char *)word, why);
}

bool tr_read_text(void *settings, const char *word, char why[OPTION_WHY]) {
    struct tr_run_settings *s = settings;
    snprintf(why, OPTION_WHY, "takes %d files at most", TR_TEXTS_MOST);
    if (s->texts == TR_TEXTS_MOST)
        return false;
    s->text[s->texts++] = word;
    return true;
}

bool tr_read_device(void *settings, const char *word, char why[OPTION_WHY]) {
    struct tr_run_settings *s = settings;
    s->any_device = strcmp(word, "auto") == 0;
    s->device = strcmp(word, "cuda") == 0 ? KN_CUDA : KN_CPU;
    snprintf(why, OPTION_WHY, "takes auto, cpu or cuda");
    return s->any_device || s->device == KN_CUDA || strcmp(word, "cpu") == 0;
}

bool tr_read_type(void *settings, const char *word, char why[OPTION_WHY]) {
    struct tr_run_settings *s = settings;
    int type = KN_F32;
    while (type <= KN_BF16 && strcmp(word, kn_type_name((enum kn_type)type)) != 0)
        type++;
    s->any_type = strcmp(word, "auto") == 0;
    s->type = type > KN_BF16 ? KN_F32 : (enum kn_type)type;
    snprintf(why, OPTION_WHY, "takes auto, f32, bf16 or f16");
    return s->any_type || type <= KN_BF16;
}

// "1000": until that step; "idle=600": until nothing has come for so many seconds.
static bool read_until(void *settings, const char *word, char why[OPTION_WHY]) {
    struct tr_run_settings *s = settings;
    bool idle = strncmp(word, "idle=", 5) == 0;
    snprintf(why, OPTION_WHY, "takes a step above 0, or idle=SECONDS");
    return tr_parse_i64(idle ? word + 5 : word, 1, (int64_t)LARGEST,
                        idle ? &s->until_idle : &s->until_step);
}

#define SETS(member) OPTION_SETS(struct tr_run_settings, member)
#define RUN(member) SETS(member)

// As squeue prints what a job has left: [days-]hours:minutes:seconds, minutes:seconds, seconds.
static double read_clock(const char *word) {
    double days = 0, seconds = 0, part = 0;
    int parts = 0;
    char *end = (char *)word;
    bool dated = strchr(word, '-');
    if (dated) {
        days = isdigit((unsigned char)*word) ? strtod(word, &end) : NAN;
        word = end + 1;
        if (*end != '-')
            return NAN;
    }
    do {
        if (!isdigit((unsigned char)*word) || parts == 3)
            return NAN;
        part = strtod(word, &end);
        if (parts++ && part >= 60)
            return NAN;
        seconds = 60 * seconds + part;
        word = end + 1;
    } while (*end == ':');
    return *end || (dated && parts != 3) ? NAN : 24 * 60 * 60 * days + seconds;
}

static bool read_time_limit(void *settings, const char *word, char why[OPTION_WHY]) {
    struct tr_run_settings *s = settings;
    snprintf(why, OPTION_WHY, "takes seconds, MM:SS, HH:MM:SS, D-HH:MM:SS or none");
    bool none = strcmp(word, "none") == 0 || strcmp(word, "UNLIMITED") == 0;
    s->time_limit = none ? INFINITY : read_clock(word);
    return none || (s->time_limit > 0 && isfinite(s->time_limit));
}

// "3/8": the third of eight parts.
static bool read_shard(void *settings, const char *word, char why[OPTION_WHY]) {
    struct tr_run_settings *s = settings;
    char index[32];
    size_t size = strcspn(word, "/");
    snprintf(why, OPTION_WHY, "takes I/N with I from 1 to N, as 3/8");
    snprintf(index, sizeof index, "%.*s", (int)(size < sizeof index ? size : 0), word);
    return word[size] && tr_parse_i64(word + size + 1, 1, 1000 * 1000, &s->shards) &&
           tr_parse_i64(index, 1, s->shards, &s->shard);
}

static const struct option_row rows[] = {
    {.kind = OPTION_HEADING, .help = "What to trace:"},
    {"ckpts", 'c', "DIR...",
     "Checkpoint folders, as the shell expands dir/*; plain files among them are skipped",
     OPTION_WORD, .read = read_ckpts},
    {"input", 'i', "CSV", "A manifest instead: columns path, step, tokens, stage", OPTION_TEXT,
     SETS(manifest)},
    STEP_TOKENS_ROW,
    {"name-pattern", 0, "REGEX",
     "How folders' names say step, tokens and stage: groups of these names, as in "
     "'run(?<stage>\\d+)_(?<step>\\d+)' (PCRE2); with a slash in it, how paths do",
     OPTION_TEXT, SETS(name_pattern)},
    {"separate", 0, NULL,
     "Checkpoints of one step are of several lines of training (seeds, ingredients of a merge): "
     "each line becomes a stage",
     OPTION_FLAG, SETS(separate)},
    {"config", 0, "FILE",
     "A config.json as Hugging Face's folders have it, in place of the checkpoints' own: what a "
     "trainer writes seldom holds one",
     OPTION_TEXT, SETS(config)},
    {"shard", 0, "I/N",
     "The I-th of N equal parts of the series alone, I from 1: N such jobs trace all of it, into "
     "one FILE that they share, or each into its own, for trace-merge",
     OPTION_WORD, .read = read_shard},
    {"take-over", 0, NULL,
     "With --shard, for jobs that start together: behind its own shard a job waits for those of "
     "the "
     "others, and traces what one that died has left",
     OPTION_FLAG, SETS(take_over)},
    {"follow", 0, NULL,
     "DIR is the folder of a run that is training: take what is there, wait for further "
     "checkpoints, and trace each once it is whole",
     OPTION_FLAG, SETS(follow)},
    {"until", 0, "STEP|idle=SEC",
     "With --follow: until a checkpoint of that step or a later one is traced, or until nothing "
     "has come for so many seconds (default: until a signal)",
     OPTION_WORD, .read = read_until},

    {.kind = OPTION_HEADING,
     .help = "Over which text (default: a built-in one of about 14 thousand tokens, "
             "six rows of 2048, which is little; say 512 thousand tokens "
             "are 256 rows of 2048 of a text of your own):"},
    {"text", 0, "FILE",
     "Plain text or .jsonl with \"text\", as it is or packed as .gz or .zst, tokenised with the "
     "series' own tokenizer.json, tokenizer.model, .tiktoken or vocab.json; - is stdin. Several "
     "--text give each its share of the rows, which carry its name",
     OPTION_WORD, .read = tr_read_text},
    {"tokenizer", 0, "PATH",
     "The tokenizer for texts, or a folder with one (default: the first checkpoint's, or of the "
     "folder above it, or of another checkpoint)",
     OPTION_TEXT, SETS(tokenizer)},
    BOS_ROW,
    TOKENS_ROW,
    {"samples", 0, "N",
     "Rows of tokens (default: as many as there are, at most 256); from 32 on intervals are good",
     OPTION_WHOLE, SETS(samples), 1, LARGEST},
    {"seq-len", 0, "N",
     "Tokens per row (default: the model's maximum, at most 2048); of a short text shorter rows "
     "are "
     "better than few",
     OPTION_WHOLE, SETS(seq_len), 1, LARGEST},

    {.kind = OPTION_HEADING, .help = "How:"},
    DEVICE_ROWS,
    {"device-memory", 0, "SIZE",
     "Memory that the ranks on a device take of it together, CUDA's own included, as 16G (default: "
     "90 % of what is free)",
     OPTION_SIZE, SETS(device_memory)},
    {"spans", 0, NULL, "Also compare the residual stream between any two blocks: cosine and CKA",
     OPTION_FLAG, SETS(spans)},
    {"span-tokens", 0, "N", "With --spans: of N tokens, spread over the rows (default: 1024)",
     OPTION_WHOLE, SETS(span_tokens), 4, LARGEST},
    {"drift-tokens", 0, "N", "With --spans: keep the stream itself of N of them (default: 32)",
     OPTION_WHOLE, SETS(drift_tokens), 1, LARGEST},
    {"per-token", 0, NULL, "Also keep the importance of every token", OPTION_FLAG, SETS(per_token)},
    {"no-nll", 0, NULL, "Leave out the head and the loss", OPTION_FLAG, SETS(no_nll)},
    {"drop", 0, "SET",
     "Leave out sublayers: attn:25,26 mlp:27 block:3, or @FILE with such a text, a plan, or a "
     "config.json with drop_attn_list and drop_mlp_list",
     OPTION_TEXT, SETS(drop)},
    {"cost", 0, "attn,mlp,block",
     "Also measure what leaving out each sublayer or block of these kinds alone costs: loss, "
     "divergence and agreement of the next token. A store that was traced without gains it by the "
     "same command",
     OPTION_TEXT, SETS(cost)},
    {"drop-sets", 0, "FILE",
     "Also measure what leaving out whole sets costs: lines such as \"lowest: attn:7,6 mlp:3\" or "
     "\"plan: @plan.json\"",
     OPTION_TEXT, SETS(drop_sets)},
    {"set-distances", 0, NULL,
     "With --drop-sets: also how far apart the distributions are (Jensen-Shannon) and the logits "
     "(angle), for a second product of the head",
     OPTION_FLAG, SETS(set_distances)},
    {"cost-samples", 0, "N",
     "With --cost or --drop-sets: on N rows, rounded up to whole micro-batches (default: so many "
     "that costs take "
     "about four times the trace, at least 32)",
     OPTION_WHOLE, SETS(cost_samples), 1, LARGEST},
    {"dry-run", 0, NULL, "Print the plan and stop", OPTION_FLAG, SETS(dry_run)},
    {"ranks", 0, "N", "With --dry-run: also how the job would go on N ranks", OPTION_WHOLE,
     SETS(ranks), 1, 1 << 20},
    {"nodes", 0, "N", "With --ranks: on N nodes (default: 1)", OPTION_WHOLE, SETS(nodes), 1,
     1 << 20},
    {"rank-rate", 0, "TFLOPS", "With --ranks: of a rank's products, in TFLOP/s (default: as here)",
     OPTION_REAL, SETS(rank_rate), 1e-6, 1e9},
    {"read-rate", 0, "SIZE",
     "With --ranks: bytes a second that a node reads, as 2G (default: reading takes no time)",
     OPTION_SIZE, SETS(read_rate)},

    {.kind = OPTION_HEADING, .help = "Where to:"},
    {"output", 'o', "FILE", "The store (default: trace.h5)", OPTION_TEXT, SETS(out)},
    PUBLISH_ROW,
    {"fresh", 0, NULL, "Forget what the store holds and start anew", OPTION_FLAG, SETS(fresh)},
    {"verify", 0, NULL, "Re-read checkpoints already traced and compare their digests", OPTION_FLAG,
     SETS(verify)},

    {.kind = OPTION_HEADING, .help = "When to end:"},
    {"time-limit", 0, "TIME",
     "Begin no checkpoint that would not be done when the job ends, TIME from now: seconds, MM:SS, "
     "HH:MM:SS or none (default: what Slurm says in SLURM_JOB_END_TIME)",
     OPTION_WORD, .read = read_time_limit},
    {"grace", 0, "SEC",
     "After a signal or the time limit wait SEC seconds at most for what is in flight, then drop "
     "it (default: as long as it takes)",
     OPTION_REAL, SETS(grace), 1, LARGEST},
    {"stall", 0, "SEC", "Say when a rank has been silent for SEC seconds (default: 600)",
     OPTION_REAL, SETS(stall), 1, LARGEST},
    {"give-up", 0, "N",
     "Record a checkpoint as failed over which ranks have died N times, of a crash or a kill; the "
     "command after that tries it again; 0: never (default: 2)",
     OPTION_WHOLE, SETS(give_up), 0, LARGEST},
    {"stall-limit", 0, "SEC",
     "End the job with 3 when a rank has been silent for SEC seconds (default: never)", OPTION_REAL,
     SETS(stall_limit), 1, LARGEST},

    {.kind = OPTION_HEADING, .help = "Messages:"},
    PROGRESS_ROW,
    {"quiet", 'q', NULL, "Warnings and errors only", OPTION_FLAG, SETS(quiet)},
    {"verbose", 'v', NULL, "More about each checkpoint", OPTION_FLAG, SETS(verbose)},
};

// The first rule that the settings break.
static const char *contradiction(const struct tr_run_settings *s) {
    if (!s->path_count && !s->manifest)
        return "which checkpoints? Give --ckpts DIR... or --input CSV";
    if (s->path_count && s->manifest)
        return "--ckpts and --input exclude each other";
    if (s->follow && (s->manifest || s->path_count != 1))
        return "--follow takes one folder, in which a run's checkpoints appear: --ckpts DIR";
    if (s->follow && s->verify)
        return "--follow traces what is new; --verify looks at what is traced";
    if (s->shards && s->follow)
        return "--shard is a part of the checkpoints that are there; with --follow more come";
    if (s->shards && s->fresh)
        return "--fresh would forget what other shards have traced; remove the output and its "
               ".parts by hand before they all begin";
    if (s->take_over && !s->shards)
        return "--take-over needs --shard";
    if (!s->dry_run && s->ranks)
        return "--ranks is thought on by --dry-run; mpirun or srun starts ranks";
    if (!s->ranks && (s->nodes || s->rank_rate > 0 || s->read_rate))
        return "--nodes, --rank-rate and --read-rate need --ranks";
    if (s->nodes > s->ranks)
        return "--nodes are more than --ranks";
    if (!s->follow && (s->until_step || s->until_idle))
        return "--until needs --follow";
    if (s->texts && s->tokens)
        return "--text and --tokens exclude each other";
    if (s->tokenizer && s->tokens)
        return "--tokenizer and --tokens exclude each other";
    if (s->bos && s->tokens)
        return "--bos begins documents of text; --tokens are taken as they are";
    if (!s->spans && s->span_tokens)
        return "--span-tokens needs --spans";
    if (!s->spans && s->drift_tokens)
        return "--drift-tokens needs --spans";
    if (!s->cost && !s->drop_sets && s->cost_samples)
        return "--cost-samples needs --cost or --drop-sets";
    if (!s->drop_sets && s->set_distances)
        return "--set-distances needs --drop-sets";
    if ((s->cost || s->drop_sets) && s->no_nll)
        return "costs compare losses, and --no-nll leaves them out";
    return NULL;
}

static bool check(const void *settings, char why[OPTION_WHY]) {
    const char *rule = contradiction(settings);
    snprintf(why, OPTION_WHY, "%s", rule ? rule : "");
    return !rule && program_output("output", ((const struct tr_run_settings *)settings)->out, why);
}

const struct program trace_ckpts_program = {
    .name = "trace-ckpts",
    .arguments = "--ckpts DIR...",
    .summary = "Runs every checkpoint of a training run over a calibration text, measures what "
               "each attention and MLP sublayer and each block adds to the residual stream, and "
               "stores it as a compressed time series (HDF5, netCDF-4 shaped).",
    .details = "Under MPI the checkpoints are shared among the ranks: mpirun -n 4 trace-ckpts "
               "--ckpts dir/*. Running the same command again continues where it stopped.",
    .exit_status = "0 all well, 1 some checkpoints failed (named), 2 usage, 3 environment, 75 "
                   "stopped by a signal or the time limit with work left. (mpirun that gets Ctrl-C "
                   "or SIGTERM itself ends with 1; with 75 on SIGUSR1.)",
    .options = rows,
    .option_count = sizeof rows / sizeof rows[0],
    .argument = tr_add_path,
    .check = check,
};

struct tr_run_settings tr_ckpts_defaults(void) {
    return (struct tr_run_settings){.out = "trace.h5",
                                    .version = "trace-ckpts " TRACE_VERSION,
                                    .build = program_build_text(),
                                    .messages = stderr,
                                    .results = stdout,
                                    .publish_seconds = 60,
                                    .progress_seconds = -1,
                                    .stall = 600,
                                    .give_up = 2,
                                    .device = KN_CPU,
                                    .any_device = true,
                                    .any_type = true};
}

char *tr_command_line(int argc, char **argv) {
    struct tr_string command = {0};
    for (int i = 0; i < argc; i++)
        if (tr_string_format(&command, NULL, i ? " %s" : "%s", argv[i]) != TR_OK)
            return NULL;
    return command.data;
}

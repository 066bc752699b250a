// SPDX-License-Identifier: Apache-2.0
// trace-drop search's command line.
#include "search_options.h"

#include <stdio.h>
#include <string.h>

#include "run_rows.h"

static bool read_by(void *settings, const char *word, char why[OPTION_WHY]) {
    struct drop_search_settings *s = settings;
    int by = tr_search_by_find(word);
    snprintf(why, OPTION_WHY, "takes nll, kl, js, angle, euclid or finercut");
    if (by >= 0)
        s->wishes.by = (enum tr_search_by)by;
    return by >= 0;
}

static bool read_protect(void *settings, const char *word, char why[OPTION_WHY]) {
    struct tr_search_wishes *w = &((struct drop_search_settings *)settings)->wishes;
    bool both = strcmp(word, "first,last") == 0;
    w->protect_first = both || strcmp(word, "first") == 0;
    w->protect_last = both || strcmp(word, "last") == 0;
    snprintf(why, OPTION_WHY, "takes first, last or first,last");
    return w->protect_first || w->protect_last;
}

#define SETS(member) OPTION_SETS(struct drop_search_settings, member)
#define RUN(member) SETS(run.member)

static const struct option_row rows[] = {
    {.kind = OPTION_HEADING, .help = "What to look for:"},
    {"by", 0, "nll|kl|js|angle|euclid|finercut",
     "What has to stay low (default: js): the loss, a divergence from the whole model's next "
     "token, "
     "angle or distance of the logits, or what FinerCut's code computes",
     OPTION_WORD, .read = read_by},
    {"over", 0, "attn|mlp|attn,mlp|block",
     "What a round may leave out (default: attn,mlp: either sublayer)", OPTION_TEXT,
     SETS(wishes.over)},
    {"count", 0, "N", "Rounds, each leaves out one (default: all, a full ranking)", OPTION_WHOLE,
     SETS(wishes.count), 1, LARGEST},
    {"protect", 0, "first|last|first,last", "Layers that stay (default: none)", OPTION_WORD,
     .read = read_protect},
    {"order", 0, "SET",
     "Leave these out, one after the other, and only measure: attn:9,8 mlp:3, or @FILE",
     OPTION_TEXT, SETS(wishes.order)},

    {.kind = OPTION_HEADING, .help = "On which text (default: a built-in one):"},
    TEXT_ROW,
    TOKENIZER_ROW("the checkpoints'"),
    BOS_ROW,
    TOKENS_ROWS,

    {.kind = OPTION_HEADING, .help = "Which checkpoints, and how:"},
    SERIES_ROWS,
    {"config", 0, "FILE", "A config.json in place of the checkpoints' own", OPTION_TEXT,
     SETS(run.config)},
    DEVICE_ROWS,
    {"device-memory", 0, "SIZE",
     "Memory that the ranks on a device take of it together, as 16G (default: 90 % of what is "
     "free)",
     OPTION_SIZE, SETS(run.device_memory)},
    {"dry-run", 0, NULL, "Print what it takes and stop", OPTION_FLAG, SETS(run.dry_run)},

    {.kind = OPTION_HEADING, .help = "Where to:"},
    {"output", 'o', "FILE", "The store (default: search.h5)", OPTION_TEXT, SETS(run.out)},
    {"plan", 'p', "OUT",
     "Write what the rounds left out of the last checkpoint to this file, for --drop @OUT",
     OPTION_TEXT, SETS(plan)},
    {"json", 0, "OUT", "Write what was found to this file", OPTION_TEXT, SETS(json)},
    PUBLISH_ROW,
    {"fresh", 0, NULL, "Forget what the store holds and start anew", OPTION_FLAG, SETS(run.fresh)},
    PROGRESS_ROW,
    {"quiet", 'q', NULL, "Warnings and errors only, and what was found", OPTION_FLAG,
     SETS(run.quiet)},
    {"verbose", 'v', NULL, "A line for every round", OPTION_FLAG, SETS(run.verbose)},
};

static const char *contradiction(const struct tr_run_settings *s) {
    if (!s->path_count && !s->manifest)
        return "which checkpoints? Give DIR... or --input CSV";
    if (s->path_count && s->manifest)
        return "folders and --input exclude each other";
    if (s->texts && s->tokens)
        return "--text and --tokens exclude each other";
    if (s->tokenizer && s->tokens)
        return "--tokenizer and --tokens exclude each other";
    if (s->bos && s->tokens)
        return "--bos begins documents of text; --tokens are taken as they are";
    return NULL;
}

static bool check(const void *settings, char why[OPTION_WHY]) {
    const struct drop_search_settings *s = settings;
    const char *rule = contradiction(&s->run);
    snprintf(why, OPTION_WHY, "%s", rule ? rule : "");
    return !rule && program_output("output", s->run.out, why) &&
           program_output("plan", s->plan, why) && program_output("json", s->json, why);
}

const struct program trace_drop_search_program = {
    .name = "trace-drop search",
    .arguments = "DIR...",
    .summary = "Finds greedily what a model can do without: round after round it leaves out each "
               "sublayer or block that is left beside those of the rounds before, and what hurts "
               "least stays out. Of one checkpoint or of each of a series.",
    .details =
        "What is found is a store that trace-analyze, trace-export and trace-info read. Under "
        "MPI the ranks share each round. Running the same command again continues behind the "
        "last round. SLEB is --by nll --over block --protect first,last; BlockPruner is --by "
        "nll --over attn,mlp; FinerCut is --by finercut --over attn,mlp.",
    .exit_status = "0 all well, 1 some checkpoints failed (named), 2 usage, 3 environment, 75 "
                   "stopped by a signal with work left.",
    .options = rows,
    .option_count = sizeof rows / sizeof rows[0],
    .argument = tr_add_path,
    .check = check,
};

struct drop_search_settings tr_search_defaults(void) {
    struct drop_search_settings settings = {.run = tr_ckpts_defaults(),
                                            .wishes = {.by = TR_BY_JS, .over = "attn,mlp"}};
    settings.run.out = "search.h5";
    return settings;
}

// SPDX-License-Identifier: Apache-2.0
#include "analyze_options.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/strings.h"

static const double HIGHEST = 1e3; // of --below, where a criterion has no bound of its own

static bool read_module(void *settings, const char *word, char why[OPTION_WHY]) {
    struct an_settings *s = &((struct analyze_options *)settings)->settings;
    bool found = false;
    for (int group = 0; group < AN_GROUPS; group++) {
        s->wanted[group] = strcmp(word, an_group_names[group]) == 0;
        found |= s->wanted[group];
    }
    snprintf(why, OPTION_WHY, "takes attn, mlp, block or joint");
    return found;
}

static bool read_by(void *settings, const char *word, char why[OPTION_WHY]) {
    struct an_settings *s = &((struct analyze_options *)settings)->settings;
    s->by = an_criterion_find(word);
    snprintf(
        why, OPTION_WHY,
        "takes importance, update_ratio, alignment, cost-nll (or cost), cost-kl or cost-agree");
    return s->by < AN_CRITERIA;
}

static bool read_over(void *settings, const char *word, char why[OPTION_WHY]) {
    struct an_settings *s = &((struct analyze_options *)settings)->settings;
    int over = program_choice(word, an_aggregate_names, AN_AGGREGATES);
    snprintf(why, OPTION_WHY, "takes mean, worst or last");
    if (over >= 0)
        s->over = (enum an_aggregate)over;
    return over >= 0;
}

// "first", "last" or "first,last".
static bool read_protect(void *settings, const char *word, char why[OPTION_WHY]) {
    struct an_settings *s = &((struct analyze_options *)settings)->settings;
    snprintf(why, OPTION_WHY, "takes first, last or first,last");
    s->protect_first = strcmp(word, "first") == 0 || strcmp(word, "first,last") == 0;
    s->protect_last = strcmp(word, "last") == 0 || strcmp(word, "first,last") == 0;
    return s->protect_first || s->protect_last;
}

// A share of the whole model, "80%"; bytes as "6G"; a number of anything else.
static bool read_amount(struct an_allowance *budget, const char *word) {
    char share[32];
    size_t size = strlen(word);
    uint64_t bytes;
    if (size > 1 && size < sizeof share && word[size - 1] == '%') {
        snprintf(share, sizeof share, "%.*s", (int)size - 1, word);
        budget->is_share = tr_parse_f64(share, 0, 100, &budget->amount);
        budget->amount /= 100;
        return budget->is_share;
    }
    if (budget->resource == AN_BYTES || budget->resource == AN_CACHE) {
        bool ok = tr_parse_bytes(word, &bytes);
        budget->amount = ok ? (double)bytes : 0;
        return ok;
    }
    return tr_parse_f64(word, 0, 1e18, &budget->amount);
}

static bool read_budget(void *settings, const char *word, char why[OPTION_WHY]) {
    struct an_allowance *budget = &((struct analyze_options *)settings)->settings.budget;
    snprintf(
        why, OPTION_WHY,
        "takes what may be left: params=, bytes=, kv=, flops= or ms= and a number or a share, such "
        "as params=80%%");
    for (int resource = 0; resource < AN_RESOURCES; resource++) {
        size_t size = strlen(an_resource_names[resource]);
        if (strncmp(word, an_resource_names[resource], size) || word[size] != '=')
            continue;
        budget->resource = (enum an_resource)resource;
        budget->given = read_amount(budget, word + size + 1);
    }
    return budget->given;
}

static bool read_format(void *settings, const char *word, char why[OPTION_WHY]) {
    struct analyze_options *options = settings;
    int format = program_choice(word, an_format_names, AN_FORMATS);
    snprintf(why, OPTION_WHY, "takes text, markdown, latex or csv");
    if (format >= 0)
        options->format = (enum an_format)format;
    return format >= 0;
}

// The bit of the section that word[0, length) names; 0: of none.
static unsigned section_of(const char *word, size_t length) {
    for (int section = 0; section < AN_SECTIONS; section++)
        if (strlen(an_section_names[section]) == length &&
            strncmp(word, an_section_names[section], length) == 0)
            return 1U << section;
    return 0;
}

static bool read_sections(void *settings, const char *word, char why[OPTION_WHY]) {
    struct analyze_options *options = settings;
    int used = snprintf(why, OPTION_WHY, "takes a list of");
    for (int section = 0; section < AN_SECTIONS; section++)
        used += snprintf(why + used, OPTION_WHY - (size_t)used, "%s %s", section ? "," : "",
                         an_section_names[section]);
    options->sections = 0;
    options->asked = true;
    for (size_t length; *word; word += length + (word[length] == ',')) {
        length = strcspn(word, ",");
        unsigned section = section_of(word, length);
        if (!section)
            return false;
        options->sections |= section;
    }
    return options->sections != 0;
}

#define SETS(member) OPTION_SETS(struct analyze_options, member)

static const struct option_row rows[] = {
    {.kind = OPTION_HEADING, .help = "What is asked:"},
    {"module", 'm', "attn|mlp|block|joint",
     "What to rank: one kind of sublayer, whole blocks, or attention and MLP together (default: "
     "all of these, one after the other)",
     OPTION_WORD, .read = read_module},
    {"by", 0, "WHAT",
     "What to rank by, the lower the less important: importance; update_ratio, |delta| / |x|; "
     "alignment, 1 - cos(x, delta), which is lowest where a sublayer writes along the residual "
     "stream and only strengthens what is there; or what leaving the sublayer out costs, of a "
     "store traced with --cost: cost-nll in nats of loss (cost is cost-nll), cost-kl in nats of "
     "Kullback-Leibler divergence, cost-agree in tokens whose most likely successor changes "
     "(default: importance)",
     OPTION_WORD, .read = read_by},
    {"count", 'n', "N",
     "How many layers are \"the least important\" (default: about a quarter of them)", OPTION_WHOLE,
     SETS(settings.count), 1, LARGEST},
    {"below", 'b', "TAU",
     "Test which layers' importance, or what --by names in its unit, is below this at every "
     "checkpoint (default: no test)",
     OPTION_REAL, SETS(settings.below), -HIGHEST, HIGHEST},
    {"from", 'f', "STEP",
     "Rest claims on the checkpoints from this training step on; histories show all (default: all)",
     OPTION_WHOLE, SETS(settings.from), 0, LARGEST},

    {.kind = OPTION_HEADING, .help = "What a plan may drop:"},
    {"budget", 0, "params|bytes|kv|flops|ms=AMOUNT",
     "The cheapest set of the --module whose model takes no more than this: parameters, bytes of "
     "weights as stored, bytes of a 16-bit cache of keys and values, operations of a token, or "
     "measured milliseconds of a step of decoding (--speeds); a number, or a share of the whole "
     "model's such as params=80% (default: no budget)",
     OPTION_WORD, .read = read_budget},
    {"context", 0, "N", "Tokens of the text that kv and flops are counted for (default: the rows')",
     OPTION_WHOLE, SETS(settings.budget.context), 1, LARGEST},
    {"speeds", 0, "FILE",
     "For a budget of ms: the speed.json that trace-eval --speed --speed-sublayers wrote, with "
     "prompts of --context tokens (default: its first ones)",
     OPTION_TEXT, SETS(settings.budget.speeds)},
    {"over", 0, "mean|worst|last",
     "Which value of a layer a plan goes by: its mean over training, its highest, or that of the "
     "last checkpoint (default: mean)",
     OPTION_WORD, .read = read_over},
    {"protect", 0, "first,last", "Layers that a plan leaves alone (default: none)", OPTION_WORD,
     .read = read_protect},
    {"consecutive", 0, NULL,
     "The run of --count blocks over which the stream turns least, of a store traced with --spans",
     OPTION_FLAG, SETS(settings.consecutive)},
    {"set", 0, "SET",
     "The plan of this set that was chosen elsewhere, as --drop takes it: attn:25,26, @FILE, or "
     "attn/32@reserved_layers.json with what LLM-Drop keeps of 32 layers",
     OPTION_TEXT, SETS(set)},

    {.kind = OPTION_HEADING, .help = "How sure:"},
    {"resamples", 'r', "N", "Resamples of the bootstrap and of permutation tests (default: 10000)",
     OPTION_WHOLE, SETS(settings.resamples), 100, LARGEST},
    {"seed", 's', "N", "Seed of the resamples (default: 0)", OPTION_WHOLE, SETS(settings.seed), 0,
     LARGEST},
    {"level", 'l', "P",
     "Confidence of intervals; 1 - P is the false-discovery rate (default: 0.95)", OPTION_REAL,
     SETS(settings.level), 0.5, 0.9999},

    {.kind = OPTION_HEADING, .help = "What is written:"},
    {"brief", 0, NULL,
     "Print the answer alone: which layers, over what share of training, how sure, and what is "
     "missing to say more",
     OPTION_FLAG, SETS(brief)},
    {"full", 0, NULL, "Print all there is", OPTION_FLAG, SETS(full)},
    {"sections", 0, "LIST",
     "Print these parts, whole: answer, data, layers, map, sets, stability, history, chance, "
     "costs, "
     "texts, spans, runs (default: answer,data,layers,texts,runs, of long tables the part at the "
     "cut)",
     OPTION_WORD, .read = read_sections},
    {"format", 0, "text|markdown|latex|csv",
     "How to print it; latex is to be included in a document, csv is the table of layers in full "
     "precision (default: text)",
     OPTION_WORD, .read = read_format},
    {"json", 'j', "OUT",
     "Write everything that was computed to this file; to stdout, in place of the report, where it "
     "is -",
     OPTION_TEXT, SETS(json)},
    {"plan", 'p', "OUT",
     "Write what to drop to this file: the N lowest of the --module, or with --below and no "
     "--count those below TAU, the cheapest that keep to the --budget, a run of blocks or a set "
     "that was given",
     OPTION_TEXT, SETS(plan)},
};

static bool add_file(void *settings, char *word, char why[OPTION_WHY]) {
    struct analyze_options *options = settings;
    int at = options->path[0] ? 1 : 0;
    snprintf(why, OPTION_WHY, "one FILE, or two to compare, please");
    if (options->path[1])
        return false;
    options->path[at] = word;
    return true;
}

static bool same_file(const char *a, const char *b) {
    struct stat x, y;
    return a && b &&
           (strcmp(a, b) == 0 ||
            (stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino));
}

// An output that is no file of its own.
static bool check_output(const struct analyze_options *options, const char *name, const char *path,
                         char why[OPTION_WHY]) {
    if (path && !strcmp(path, "-") && !strcmp(name, "json"))
        return true;
    if (path && !strcmp(path, "-"))
        snprintf(why, OPTION_WHY, "--%s takes a file; the report goes to stdout", name);
    else
        program_output(name, path, why);
    for (int input = 0; input < 2 && !*why; input++)
        if (same_file(path, options->path[input]))
            snprintf(why, OPTION_WHY, "--%s would overwrite %s", name, options->path[input]);
    return !*why;
}

// What no value can be below, or all are.
static bool check_below(const struct an_settings *settings, char why[OPTION_WHY]) {
    const struct an_criterion *by = &an_criteria[settings->by];
    double low = by->is_signed ? -HIGHEST : 0.0, high = fmin(by->most, HIGHEST);
    if (settings->below < low || settings->below > high)
        snprintf(why, OPTION_WHY, "--below takes a number from %g to %g, not \"%g\"", low, high,
                 settings->below);
    return !*why;
}

// What plans are asked to be, the first contradiction.
static const char *plan_contradiction(const struct analyze_options *options) {
    const struct an_settings *s = &options->settings;
    bool chosen = s->count || !isnan(s->below) || s->budget.given || s->consecutive;
    if (options->set && !options->plan)
        return "--set is of a --plan";
    if (options->set && chosen)
        return "--set is chosen already: no --count, --below, --budget or --consecutive";
    if (!s->consecutive)
        return NULL;
    if (!options->plan || !s->wanted[AN_BLOCK])
        return "--consecutive is of a --plan of --module block";
    if (s->by != AN_BY_IMPORTANCE)
        return "--consecutive goes by importance: by nothing else are runs of blocks measured";
    if (s->budget.given || !isnan(s->below))
        return "--consecutive takes a --count, and no --budget or --below";
    return NULL;
}

// What the report is asked to hold.
static bool check_report(const struct analyze_options *options, char why[OPTION_WHY]) {
    int ways = options->brief + options->full + options->asked;
    if (ways > 1)
        snprintf(why, OPTION_WHY, "one of --brief, --full and --sections, please");
    else if (ways && options->format == AN_CSV)
        snprintf(why, OPTION_WHY, "--format csv prints the table of layers, and no sections");
    else if (options->format != AN_TEXT && options->json && !strcmp(options->json, "-"))
        snprintf(why, OPTION_WHY, "--json - and --format would both be printed");
    return !*why;
}

static bool check(const void *settings, char why[OPTION_WHY]) {
    const struct analyze_options *options = settings;
    int wanted = 0;
    if (!check_report(options, why))
        return false;
    if (!check_below(&options->settings, why))
        return false;
    for (int group = 0; group < AN_GROUPS; group++)
        wanted += options->settings.wanted[group];
    if (!options->path[0])
        snprintf(why, OPTION_WHY, "which FILE?");
    else if (options->plan && wanted != 1)
        snprintf(why, OPTION_WHY, "--plan needs a --module: attn, mlp, block or joint");
    else if (options->settings.budget.given && wanted != 1)
        snprintf(why, OPTION_WHY, "--budget needs a --module: attn, mlp, block or joint");
    else if (options->settings.budget.given && options->settings.count)
        snprintf(why, OPTION_WHY, "--count and --budget are two answers to one question");
    else if (options->settings.budget.context && !options->settings.budget.given)
        snprintf(why, OPTION_WHY, "--context is of a --budget");
    else if (plan_contradiction(options))
        snprintf(why, OPTION_WHY, "%s", plan_contradiction(options));
    if (*why || !check_output(options, "json", options->json, why) ||
        !check_output(options, "plan", options->plan, why))
        return false;
    if (same_file(options->json, options->plan))
        snprintf(why, OPTION_WHY, "--json and --plan are the same file");
    else if (same_file(options->path[0], options->path[1]))
        snprintf(why, OPTION_WHY, "%s and %s are the same file", options->path[0],
                 options->path[1]);
    return !*why;
}

const struct program trace_analyze_program = {
    .name = "trace-analyze",
    .arguments = "FILE [FILE2]",
    .summary = "Which layers of a traced training run are redundant at every stage, and how sure "
               "that is: importance with intervals, the stability of the ranking, the set of the "
               "least important layers, when it was decided, and what chance would give. Of two "
               "files, the report of the first and how the second differs.",
    .exit_status = "0 all well, 2 usage, 3 environment.",
    .options = rows,
    .option_count = sizeof rows / sizeof rows[0],
    .argument = add_file,
    .check = check,
};

struct analyze_options tr_analyze_defaults(void) {
    return (struct analyze_options){.sections = AN_USUAL,
                                    .settings = {.wanted = {true, true, true, true},
                                                 .below = NAN,
                                                 .from = INT64_MIN,
                                                 .resamples = 10000,
                                                 .level = 0.95}};
}

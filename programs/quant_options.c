// SPDX-License-Identifier: Apache-2.0
// trace-quant's command line.
#include "quant_options.h"

#include <stdio.h>
#include <string.h>

#include "drop/write.h"
#include "run_rows.h"

static bool read_method(void *settings, const char *word, char why[OPTION_WHY]) {
    struct tr_quant_settings *s = settings;
    int method = program_choice(word, tr_quant_method_names, TR_QUANT_METHODS);
    snprintf(why, OPTION_WHY, "takes rtn, gptq or awq");
    s->method = method < 0 ? s->method : (enum tr_quant_method)method;
    return method >= 0;
}

static bool read_layout(void *settings, const char *word, char why[OPTION_WHY]) {
    struct tr_quant_settings *s = settings;
    struct tr_string names = {0};
    s->layout = tr_layout_find(word);
    if (s->layout)
        return true;
    if (tr_layout_names(&names, NULL) == TR_OK)
        snprintf(why, OPTION_WHY, "takes %s", names.data);
    tr_string_free(&names);
    return false;
}

static bool read_bits(void *settings, const char *word, char why[OPTION_WHY]) {
    struct tr_quant_settings *s = settings;
    s->grid.bits = !strcmp(word, "8") ? 8 : 4;
    snprintf(why, OPTION_WHY, "takes 4 or 8");
    return !strcmp(word, "4") || !strcmp(word, "8");
}

// "128", or "row": all inputs of an output.
static bool read_group(void *settings, const char *word, char why[OPTION_WHY]) {
    struct tr_quant_settings *s = settings;
    bool whole = !strcmp(word, "row");
    snprintf(why, OPTION_WHY, "takes a number of inputs from 8 on, or row");
    if (whole)
        s->grid.group_size = 0;
    return whole || tr_parse_i64(word, 8, INT64_C(1) << 31, &s->grid.group_size);
}

static bool read_order(void *settings, const char *word, char why[OPTION_WHY]) {
    static const char *const words[] = {
        [KN_ORDER_FILE] = "off", [KN_ORDER_STATIC] = "static", [KN_ORDER_GROUPS] = "groups"};
    struct tr_quant_settings *s = settings;
    int order = program_choice(word, words, 3);
    snprintf(why, OPTION_WHY, "takes static, groups or off");
    s->gptq.order = order < 0 ? s->gptq.order : (enum kn_input_order)order;
    return order >= 0;
}

static bool add_skip(void *settings, const char *word, char why[OPTION_WHY]) {
    struct tr_quant_settings *s = settings;
    snprintf(why, OPTION_WHY, "takes a word, %d times at most", TR_SKIPS_MOST);
    if (s->skips == TR_SKIPS_MOST || !*word)
        return false;
    s->skip[s->skips++] = word;
    return true;
}

#define SETS(member) OPTION_SETS(struct tr_quant_settings, member)
#define RUN(member) SETS(run.member)

static const struct option_row rows[] = {
    {.kind = OPTION_HEADING, .help = "How weights are put into few bits:"},
    {"method", 0, "rtn|gptq|awq",
     "Default: gptq. rtn rounds each weight to the nearest; gptq makes up for each input's error "
     "by "
     "the inputs still to come; awq scales inputs that matter before it rounds",
     OPTION_WORD, .read = read_method},
    {"bits", 0, "4|8", "Of a weight (default: 4)", OPTION_WORD, .read = read_bits},
    {"group", 0, "N|row", "Inputs of an output that share a scale (default: 128)", OPTION_WORD,
     .read = read_group},
    {"asymmetric", 0, NULL,
     "Groups have a zero of their own (default: both ends of the range are as far from 0)",
     OPTION_FLAG, SETS(asymmetric)},
    {"clip", 0, NULL,
     "Look for the range of a group that rounds best, instead of taking all of it (default with "
     "awq)",
     OPTION_FLAG, SETS(grid.clip)},
    {"no-clip", 0, NULL, "awq: take all of a group's range", OPTION_FLAG, SETS(no_clip)},
    {"damping", 0, "X",
     "gptq: added to the second moment, of the mean of its diagonal (default: 0.01)", OPTION_REAL,
     SETS(gptq.damping), 1e-6, 1},
    {"act-order", 0, "static|groups|off",
     "gptq: inputs that matter most come first (default: static: groups stay as they are; groups: "
     "are formed along the order, for layouts that say which input is of which)",
     OPTION_WORD, .read = read_order},
    {"skip", 0, "WORD", "Weights whose names hold this stay as they are; several times",
     OPTION_WORD, .read = add_skip},

    {.kind = OPTION_HEADING, .help = "What is left out before:"},
    {"drop", 0, "SET", "As trace-drop write has it: attn:25,26 mlp:27 block:3, or @FILE",
     OPTION_TEXT, SETS(run.drop)},
    {"drop-as", 0, "smaller|zeroed|llm-drop|block-configs",
     "How the set is written (default: smaller)", OPTION_TEXT, SETS(drop_as)},

    {.kind = OPTION_HEADING, .help = "On which text (default: a built-in one):"},
    TEXT_ROW,
    TOKENIZER_ROW("the checkpoint's"),
    BOS_ROW,
    TOKENS_ROWS,

    {.kind = OPTION_HEADING, .help = "Where to, and what is said of it:"},
    {"layout", 0, "NAME",
     "compressed-tensors, gptq, gptq-v2 or awq (default: compressed-tensors): how the weights lie "
     "in the files, and so who reads them",
     OPTION_WORD, .read = read_layout},
    {"output", 'o', "NEWDIR", "The folder to make; what is there is never written over",
     OPTION_TEXT, SETS(target)},
    {"report", 0, "N",
     "Say what it costs: each weight's output error, and on N more rows of the text, which are not "
     "calibrated on, loss, divergence from the whole model and agreement with it",
     OPTION_WHOLE, SETS(report), 1, LARGEST},
    {"link", 0, NULL,
     "Hard links instead of copies for files that do not change: who then changes one changes both",
     OPTION_FLAG, SETS(link)},
    DEVICE_ROWS,
    {"fresh", 0, NULL, "Forget the blocks that are done and start anew", OPTION_FLAG,
     SETS(run.fresh)},
    {"quiet", 'q', NULL, "Warnings and errors only, and what was made", OPTION_FLAG,
     SETS(run.quiet)},
    {"verbose", 'v', NULL, "A line for every block", OPTION_FLAG, SETS(run.verbose)},
};

static const char *missing(const struct tr_quant_settings *s) {
    if (s->run.path_count != 1)
        return s->run.path_count ? "one DIR at a time" : "which DIR?";
    if (!s->target || !*s->target)
        return "-o NEWDIR is needed: where shall it go?";
    return NULL;
}

static const char *contradiction(const struct tr_quant_settings *s) {
    if (s->run.texts && s->run.tokens)
        return "--text and --tokens exclude each other";
    if (s->run.tokenizer && s->run.tokens)
        return "--tokenizer and --tokens exclude each other";
    if (s->report && s->run.texts > 1)
        return "--report takes the last rows of one --text";
    if (s->grid.clip && s->no_clip)
        return "--clip and --no-clip exclude each other";
    if (s->drop_as && !s->run.drop)
        return "--drop-as says how a set is written; which --drop SET?";
    if (s->drop_as && !tr_drop_form_find(s->drop_as, NULL))
        return "--drop-as takes smaller, zeroed, llm-drop or block-configs";
    return NULL;
}

static bool check(const void *settings, char why[OPTION_WHY]) {
    const struct tr_quant_settings *s = settings;
    const char *wrong = missing(s) ? missing(s) : contradiction(s);
    snprintf(why, OPTION_WHY, "%s", wrong ? wrong : "");
    return !wrong;
}

const struct program trace_quant_program = {
    .name = "trace-quant",
    .arguments = "DIR",
    .summary = "Writes a checkpoint whose weights are in few bits, whole or without some of its "
               "sublayers, as others load it. DIR is the folder of a checkpoint; it is only read.",
    .details =
        "Block by block a text goes through the model as it is so far, and what meets each weight "
        "decides how it is rounded. Under MPI the ranks share the text's rows. A block that is "
        "done is kept in NEWDIR.parts; running the same command again continues behind it. NEWDIR "
        "gets its name when it is whole and has been read again.",
    .exit_status = "0 all well, 1 DIR cannot be read or a weight not be stored so, 2 usage, "
                   "3 environment, 75 stopped by a signal with work left.",
    .options = rows,
    .option_count = sizeof rows / sizeof rows[0],
    .argument = tr_add_path,
    .check = check,
};

struct tr_quant_settings tr_quant_defaults(void) {
    struct tr_quant_settings settings = {.run = tr_ckpts_defaults(),
                                         .method = TR_QUANT_GPTQ,
                                         .layout = tr_layout_find("compressed-tensors"),
                                         .grid = {.bits = 4, .symmetric = true, .group_size = 128},
                                         .gptq = {.damping = 0.01, .order = KN_ORDER_STATIC}};
    settings.run.out = NULL;
    return settings;
}

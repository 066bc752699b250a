// SPDX-License-Identifier: Apache-2.0
// trace-drop's command lines.
#include "drop_options.h"

#include <stdio.h>
#include <string.h>

static bool read_form(void *settings, const char *word, char why[OPTION_WHY]) {
    struct drop_write_settings *s = settings;
    struct tr_string names = {0};
    s->as = word;
    if (tr_drop_form_find(word, NULL))
        return true;
    if (tr_drop_form_names(&names, NULL) == TR_OK)
        snprintf(why, OPTION_WHY, "takes %s", names.data);
    tr_string_free(&names);
    return false;
}

static bool add_folder(void *settings, char *word, char why[OPTION_WHY]) {
    struct drop_write_settings *s = settings;
    snprintf(why, OPTION_WHY, "one DIR at a time");
    if (s->write.source)
        return false;
    s->write.source = word;
    return true;
}

static const char *missing(const struct drop_write_settings *s) {
    if (!s->write.source)
        return "which DIR?";
    if (!s->write.drop)
        return "--drop SET is needed: what shall be left out?";
    if (!s->as)
        return "--as FORM is needed: how shall it be written?";
    if (!s->write.target || !*s->write.target)
        return "-o NEWDIR is needed: where shall it go?";
    return NULL;
}

static const char *contradiction(const struct drop_write_settings *s) {
    if (s->write.skip && strcmp(s->as, "zeroed"))
        return "--per-layer-config stands on top of zeroed weights alone: --as zeroed";
    if (s->dialect && !tr_drop_form_find(s->as, s->dialect))
        return "--dialect takes anymodel or nemotron-nas, with --as block-configs";
    return NULL;
}

static bool check(const void *settings, char why[OPTION_WHY]) {
    const struct drop_write_settings *s = settings;
    const char *wrong = missing(s) ? missing(s) : contradiction(s);
    snprintf(why, OPTION_WHY, "%s", wrong ? wrong : "");
    return !wrong;
}

#define SETS(member) OPTION_SETS(struct drop_write_settings, member)

static const struct option_row rows[] = {
    {"drop", 0, "SET",
     "What to leave out: attn:25,26 mlp:27 block:3, or @FILE with such a text, a plan, or a "
     "config.json with drop_attn_list and drop_mlp_list",
     OPTION_TEXT, SETS(write.drop)},
    {"as", 0, "smaller|zeroed|llm-drop|block-configs|mergekit",
     "How: smaller removes whole blocks and loads everywhere; zeroed takes any sublayer, loads "
     "everywhere and saves nothing; llm-drop and block-configs say it to readers that skip "
     "sublayers; mergekit is a recipe",
     OPTION_WORD, .read = read_form},
    {"dialect", 0, "anymodel|nemotron-nas", "Of block-configs (default: anymodel)", OPTION_TEXT,
     SETS(dialect)},
    {"output", 'o', "NEWDIR", "The folder to make; what is there is never written over",
     OPTION_TEXT, SETS(write.target)},
    {"per-layer-config", 0, NULL,
     "With --as zeroed: say it in config.json, too (per_layer_config with skip), for readers that "
     "know this key. transformers up to 5.24 takes it and does not apply it",
     OPTION_FLAG, SETS(write.skip)},
    {"link", 0, NULL,
     "Hard links instead of copies for files that do not change: who then changes one changes both",
     OPTION_FLAG, SETS(write.link)},
    {"no-check", 0, NULL, "Do not run what was written beside the original", OPTION_FLAG,
     SETS(write.unchecked)},
};

const struct program trace_drop_write_program = {
    .name = "trace-drop write",
    .arguments = "DIR",
    .summary =
        "Writes a checkpoint without some of its sublayers, as others load it. DIR is the folder "
        "of a checkpoint; it is only read. NEWDIR gets its name when it is whole, and after what "
        "was written has been read again by its readers' rules and run beside the original.",
    .exit_status = "0 all well, 1 what was written is not the model without the set, or DIR cannot "
                   "be read, 2 usage, 3 environment, 75 stopped by a signal.",
    .options = rows,
    .option_count = sizeof rows / sizeof rows[0],
    .argument = add_folder,
    .check = check,
};

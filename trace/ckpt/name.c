// SPDX-License-Identifier: Apache-2.0
// What a checkpoint's directory name tells, as a table of patterns: a new way of naming
// checkpoints is a new row.
#include <limits.h>
#include <math.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/strings.h"
#include "ckpt/series.h"

enum field { STAGE, STEP, TOKENS };

// The first row of a field that matches decides it. POSIX extended syntax, case does not matter.
// A number must end where a word ends: "step11921+11000" and "step3rd" tell nothing.
#define BEGIN "(^|[-_])"
#define END "([-_.]|$)"
#define WHOLE "([0-9]+)"
#define DECIMAL "([0-9]+(\\.[0-9]+)?)"

static const struct rule {
    enum field field;
    const char *pattern;
    int text;   // the group holding the stage or the number
    int suffix; // the group holding the number's suffix, 0 when it cannot have one
} rules[] = {
    {STAGE, BEGIN "((stage|phase)[-_]?[0-9]+([-_]ingredient[0-9]+)?)" END, 2, 0},
    {STAGE, "^(longctx|extension|pretrain|anneal)[-_](step|iter)", 1, 0},
    {STAGE, "^(base|mid_[0-9]+)[-_]([0-9]+|final)$", 1, 0},
    {STEP, BEGIN "step[-_=]?" WHOLE "(k?)" END, 2, 3},
    {STEP, BEGIN "(iter|checkpoint|ckpt)[-_]" WHOLE "(k?)" END, 3, 4},
    {STEP, "^(base|mid_[0-9]+)[-_]" WHOLE "$", 2, 0},
    {TOKENS, BEGIN "tokens?-?" DECIMAL "(k|m|b|bt|t)?([-_]|$)", 2, 4},
    {TOKENS, BEGIN DECIMAL "(m|b|bt|t)[-_]tokens" END, 2, 4},
    // A bare size counts tokens only behind a step: "llama-7b" does not.
    {TOKENS, BEGIN "step[-_]?[0-9]+k?-" DECIMAL "(m|b|bt|t)$", 2, 4},
    {TOKENS, "^train_" WHOLE "(b)$", 1, 2},
};
enum { RULES = sizeof rules / sizeof *rules, MAX_GROUPS = 8 };

static const struct {
    const char *text;
    int64_t factor;
} suffixes[] = {
    {"", 1},
    {"k", 1000},
    {"m", 1000000},
    {"b", 1000000000},
    {"bt", 1000000000}, // "billion tokens"
    {"t", 1000000000000},
};

static int64_t suffix_factor(const char *text) {
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        if (!strcasecmp(text, suffixes[i].text))
            return suffixes[i].factor;
    return 1;
}

static void copy_group(const char *name, regmatch_t group, char out[NAME_MAX + 1]) {
    int length = group.rm_so < 0 ? 0 : (int)(group.rm_eo - group.rm_so);
    snprintf(out, NAME_MAX + 1, "%.*s", length, length ? name + group.rm_so : "");
}

static void set_step(struct tr_name *out, const char *number, int64_t factor) {
    int64_t step;
    if (tr_parse_i64(number, 0, INT64_MAX, &step) && !__builtin_mul_overflow(step, factor, &step))
        out->step = step;
}

static void set_tokens(struct tr_name *out, const char *number, int64_t factor) {
    double tokens;
    if (tr_parse_f64(number, 0, 1e18, &tokens))
        out->tokens = tokens * (double)factor;
}

static void apply(const struct rule *rule, const char *name, const regmatch_t *groups,
                  struct tr_name *out) {
    char text[NAME_MAX + 1], suffix[NAME_MAX + 1] = "";
    copy_group(name, groups[rule->text], text);
    if (rule->suffix)
        copy_group(name, groups[rule->suffix], suffix);
    if (rule->field == STEP)
        set_step(out, text, suffix_factor(suffix));
    else if (rule->field == TOKENS)
        set_tokens(out, text, suffix_factor(suffix));
    else if (strlen(text) < sizeof out->stage)
        strcpy(out->stage, text);
}

void tr_name_parse(const char *name, struct tr_name *out) {
    *out = (struct tr_name){.step = -1, .tokens = NAN};
    bool known[TOKENS + 1] = {false};
    if (strlen(name) > NAME_MAX)
        return;
    for (int i = 0; i < RULES; i++) {
        regex_t regex;
        regmatch_t groups[MAX_GROUPS];
        if (known[rules[i].field] || regcomp(&regex, rules[i].pattern, REG_EXTENDED | REG_ICASE))
            continue;
        if (!regexec(&regex, name, MAX_GROUPS, groups, 0)) {
            known[rules[i].field] = true;
            apply(&rules[i], name, groups, out);
        }
        regfree(&regex);
    }
}

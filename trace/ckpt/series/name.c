// SPDX-License-Identifier: Apache-2.0
// What a checkpoint's directory name tells, by the table of name_rows.c.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "ckpt/name.h"

#include <limits.h>
#include <math.h>
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/strings.h"
#include "base/training_order.h"
#include "name_rows.h"

enum group { STAGE, WORD, OTHER, TOKENS, STEP, UNCLEAR, GROUPS };
static const char *const group_names[GROUPS] = {"stage",  "word", "other",
                                                "tokens", "step", "unclear"};
enum { PATTERN_GROUPS = 1 << STAGE | 1 << STEP | 1 << TOKENS }; // what a caller's pattern may say
enum { MATCH_LIMIT = 100000, MOST_GROUPS = 64 };

struct rule {
    pcre2_code *code;
    int group[GROUPS]; // 0: the row has none
    unsigned gives;    // bit g: it has group g
};

struct tr_name_rules {
    struct rule row[TR_NAME_ROWS];
    struct rule pattern;
    bool has_pattern, of_path;
    pcre2_match_data *match;
    pcre2_match_context *context;
};

// ---- values ----------------------------------------------------------------------------------

static const struct {
    const char *text;
    int64_t factor;
} suffixes[] = {
    {"", 1},           {"k", 1000},        {"m", 1000000},
    {"mt", 1000000}, // "million tokens"
    {"b", 1000000000}, {"bt", 1000000000}, {"t", 1000000000000},
};

// "1e9": the number is written with an exponent, which the parser of numbers reads.
static char *after_exponent(char *text) {
    char *digits = text + 1 + (text[0] && text[1] == '+');
    return (*text == 'e' || *text == 'E') && *digits >= '0' && *digits <= '9'
               ? digits + strspn(digits, "0123456789")
               : text;
}

// Cuts the suffix off; 0 when it is none.
static int64_t take_factor(char *text) {
    char *suffix = after_exponent(text + strspn(text, "0123456789."));
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        if (!strcasecmp(suffix, suffixes[i].text)) {
            *suffix = 0;
            return suffixes[i].factor;
        }
    return 0;
}

static void set_step(struct tr_name *out, char *text) {
    int64_t step, factor = take_factor(text);
    double value;
    if (tr_parse_i64(text, 0, INT64_MAX, &step)) {
        if (factor && !__builtin_mul_overflow(step, factor, &step))
            out->step = step;
    } else if (tr_parse_f64(text, 0, 1e9, &value)) {
        value =
            round(value * (double)factor * 1e3) / 1e3; // of at most three decimals of a thousand
        if (factor && value == floor(value))
            out->step = (int64_t)value;
    }
}

static void set_tokens(struct tr_name *out, char *text) {
    int64_t factor = take_factor(text);
    double tokens;
    if (factor && tr_parse_f64(text, 0, 1e18, &tokens))
        out->tokens = factor > 1 ? round(tokens * (double)factor) : tokens;
}

// A line break would end a stage where stages are listed, one a line.
static void set_text(char out[TR_STAGE_MAX], const char *text) {
    if (strlen(text) < TR_STAGE_MAX && !strpbrk(text, "\r\n"))
        strcpy(out, text);
}

static void set(struct tr_name *out, enum group group, char *text) {
    if (group == STEP)
        set_step(out, text);
    else if (group == TOKENS)
        set_tokens(out, text);
    else if (group == UNCLEAR)
        out->unclear = true;
    else
        set_text(group == OTHER ? out->other : out->stage, text);
}

// ---- what is left of a name ------------------------------------------------------------------

struct span {
    size_t begin, end;
};

static bool separates(char c) {
    return c == '-' || c == '_' || c == '=' || c == '.';
}

// Words that only say what the number beside them is.
static bool is_unit(const char *word, size_t size) {
    static const char *const units[] = {"step",       "steps", "iter",   "iters",   "iteration",
                                        "checkpoint", "ckpt",  "global", "tokens",  "token",
                                        "tok",        "toks",  "seen",   "updates", "update"};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strlen(units[i]) == size && !strncasecmp(word, units[i], size))
            return true;
    return false;
}

// The name's words but those that hold step or tokens and their units, joined by '-'.
static void find_line(const char *name, const struct span spans[2], char out[TR_STAGE_MAX]) {
    size_t used = 0;
    if (strpbrk(name, "\r\n"))
        return;
    for (size_t at = 0, end; name[at]; at = end) {
        for (end = at; name[end] && !separates(name[end]);)
            end++;
        size_t size = end - at;
        bool counted = is_unit(name + at, size);
        for (int i = 0; i < 2; i++)
            counted |= spans[i].begin < end && spans[i].end > at;
        if (size && !counted && used + size + 1 < TR_STAGE_MAX)
            used += (size_t)sprintf(out + used, "%s%.*s", used ? "-" : "", (int)size, name + at);
        end += name[end] != 0;
    }
}

// ---- matching --------------------------------------------------------------------------------

// The text of a group that took part in the match, into `out`.
static bool group_text(const struct tr_name_rules *rules, const char *text, int group,
                       char out[NAME_MAX + 1]) {
    const size_t *ends = pcre2_get_ovector_pointer(rules->match);
    if (!group || ends[2 * group] == PCRE2_UNSET || ends[2 * group + 1] < ends[2 * group])
        return false;
    size_t size = ends[2 * group + 1] - ends[2 * group];
    snprintf(out, NAME_MAX + 1, "%.*s", (int)(size < NAME_MAX ? size : NAME_MAX),
             text + ends[2 * group]);
    return true;
}

static int match(const struct tr_name_rules *rules, const struct rule *rule, const char *text) {
    return pcre2_match(rule->code, (PCRE2_SPTR)text, strlen(text), 0, 0, rules->match,
                       rules->context);
}

// Takes the groups that matched and are not known yet.
static void take(const struct tr_name_rules *rules, const struct rule *rule, const char *text,
                 struct tr_name *out, unsigned *known, struct span spans[2]) {
    const size_t *ends = pcre2_get_ovector_pointer(rules->match);
    char value[NAME_MAX + 1];
    if (group_text(rules, text, rule->group[WORD], value) && !tr_stage_known(value))
        return;
    for (int g = 0; g < GROUPS; g++) {
        unsigned bit = 1u << (g == WORD ? STAGE : g);
        if (*known & bit || !group_text(rules, text, rule->group[g], value))
            continue;
        *known |= bit;
        set(out, (enum group)g, value);
        if (g == STEP || g == TOKENS)
            spans[g == STEP] =
                (struct span){ends[2 * rule->group[g]], ends[2 * rule->group[g] + 1]};
    }
}

bool tr_name_rules_give_stage(const struct tr_name_rules *rules) {
    return rules->has_pattern && rules->pattern.gives & 1u << STAGE;
}

enum tr_status tr_name_parse(const struct tr_name_rules *rules, const char *path, const char *name,
                             struct tr_name *out, struct tr_err *err) {
    struct span spans[2] = {{0}};
    unsigned known = 0;
    *out = (struct tr_name){.step = -1, .tokens = NAN};
    if (rules->has_pattern) {
        const char *text = rules->of_path ? path : name;
        int found = match(rules, &rules->pattern, text);
        if (found < 0 && found != PCRE2_ERROR_NOMATCH)
            return tr_fail(err, TR_EUSAGE, "--name-pattern takes too long on %.200s", text);
        if (found >= 0)
            take(rules, &rules->pattern, text, out, &known, spans);
        known |= rules->pattern.gives;
        if (rules->of_path)
            memset(spans, 0, sizeof spans);
    }
    if (strlen(name) > NAME_MAX)
        return TR_OK;
    for (int i = 0; i < TR_NAME_ROWS; i++)
        if (rules->row[i].gives & ~known && match(rules, &rules->row[i], name) > 0)
            take(rules, &rules->row[i], name, out, &known, spans);
    out->unclear = out->unclear && out->step < 0 && isnan(out->tokens);
    find_line(name, spans, out->line);
    return TR_OK;
}

// ---- compiling -------------------------------------------------------------------------------

static void find_groups(struct rule *rule) {
    for (int g = 0; g < GROUPS; g++) {
        int number = pcre2_substring_number_from_name(rule->code, (PCRE2_SPTR)group_names[g]);
        rule->group[g] = number > 0 && number < MOST_GROUPS ? number : 0;
        if (rule->group[g])
            rule->gives |= 1u << (g == WORD ? STAGE : g);
    }
}

// On failure `where` and `reason` say why.
static bool compile(struct rule *rule, const char *text, uint32_t options, size_t *where,
                    char reason[256]) {
    int code;
    rule->code =
        pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, options, &code, where, NULL);
    if (!rule->code) {
        pcre2_get_error_message(code, (PCRE2_UCHAR *)reason, 256);
        return false;
    }
    pcre2_jit_compile(rule->code, PCRE2_JIT_COMPLETE); // without it matching is slower
    find_groups(rule);
    return true;
}

static enum tr_status compile_pattern(struct tr_name_rules *rules, const char *pattern,
                                      struct tr_err *err) {
    char reason[256] = "";
    size_t where = 0;
    uint32_t names = 0;
    if (!compile(&rules->pattern, pattern, 0, &where, reason))
        return tr_fail(err, TR_EUSAGE, "--name-pattern %.200s: %s at character %zu", pattern,
                       reason, where);
    pcre2_pattern_info(rules->pattern.code, PCRE2_INFO_NAMECOUNT, &names);
    unsigned gives = rules->pattern.gives;
    if (!gives || gives & ~(unsigned)PATTERN_GROUPS ||
        names != (uint32_t)__builtin_popcount(gives) || rules->pattern.group[WORD])
        return tr_fail(err, TR_EUSAGE,
                       "--name-pattern %.200s: its groups must be named step, tokens or stage, as "
                       "in 'run(?<stage>\\d+)_(?<step>\\d+)'",
                       pattern);
    rules->has_pattern = true;
    rules->of_path = strchr(pattern, '/');
    return TR_OK;
}

static enum tr_status compile_all(struct tr_name_rules *rules, const char *pattern,
                                  struct tr_err *err) {
    char reason[256] = "";
    size_t where = 0;
    rules->match = pcre2_match_data_create(MOST_GROUPS, NULL);
    rules->context = pcre2_match_context_create(NULL);
    if (!rules->match || !rules->context)
        return tr_fail(err, TR_ENOMEM, "no memory for the rules of names");
    pcre2_set_match_limit(rules->context, MATCH_LIMIT);
    for (int i = 0; i < TR_NAME_ROWS; i++)
        if (!compile(&rules->row[i], tr_name_rows[i], PCRE2_CASELESS, &where, reason))
            return tr_fail(err, TR_ENOMEM, "cannot compile rule %d of names: %s at %zu", i, reason,
                           where);
    return pattern ? compile_pattern(rules, pattern, err) : TR_OK;
}

enum tr_status tr_name_rules_new(struct tr_name_rules **rules_p, const char *pattern,
                                 struct tr_err *err) {
    struct tr_name_rules *rules;
    TR_TRY(TR_NEW(&rules, 1, "the rules of names", err));
    enum tr_status status = compile_all(rules, pattern, err);
    if (status != TR_OK)
        tr_name_rules_free(rules);
    else
        *rules_p = rules;
    return status;
}

void tr_name_rules_free(struct tr_name_rules *rules) {
    if (!rules)
        return;
    for (int i = 0; i < TR_NAME_ROWS; i++)
        pcre2_code_free(rules->row[i].code);
    pcre2_code_free(rules->pattern.code);
    pcre2_match_data_free(rules->match);
    pcre2_match_context_free(rules->context);
    free(rules);
}

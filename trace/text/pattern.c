// SPDX-License-Identifier: Apache-2.0
// Oniguruma to PCRE2. The two differ in: \s and \w (PCRE2's \s has U+180E, its \w has no marks), \h
// (a hexadecimal digit there), \v, \u, scripts (PCRE2 takes script extensions unless told),
// classes within classes, {n,m}+ (not possessive there), {n}? (optional there), full case folding.
#include "pattern.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

struct scanner {
    const char *start, *at, *end;
    struct tr_string *out;
    int class_depth;
    bool caseless; // inside (?i:...)
    const char *what;
    struct tr_err *err;
};

static enum tr_status refuse(const struct scanner *s, const char *construct) {
    return tr_fail(s->err, TR_EUNSUPPORTED,
                   "%s: the split pattern holds %s at byte %td, which is not supported (pass token "
                   "ids instead)",
                   s->what, construct, s->at - s->start);
}

static enum tr_status put(struct scanner *s, const char *text) {
    return tr_string_append(s->out, text, strlen(text), s->err);
}

static bool next_is(const struct scanner *s, const char *text) {
    size_t size = strlen(text);
    return (size_t)(s->end - s->at) >= size && !memcmp(s->at, text, size);
}

// Copies `size` bytes as they are.
static enum tr_status copy(struct scanner *s, size_t size) {
    const char *from = s->at;
    s->at += size;
    return tr_string_append(s->out, from, size, s->err);
}

#define SPACES "\\t-\\r\\x{85}\\p{Z}"
#define NOT_SPACES                                                                                 \
    "\\x{0}-\\x{8}\\x{e}-\\x{1f}!-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}"      \
    "\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-"       \
    "\\x{10ffff}"
#define WORDS "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}"
// Below U+0100 Oniguruma looks \w up in a table of ISO 8859-1, where superscripts and fractions are
// of words, too; within a class it does not.
#define WORDS_ALONE WORDS "\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}"

static const struct escape {
    char letter;
    const char *outside, *inside; // a class; NULL: refused
} escapes[] = {
    {'s', "[" SPACES "]", SPACES},
    {'S', "[^" SPACES "]", NOT_SPACES},
    {'d', "\\p{Nd}", "\\p{Nd}"},
    {'D', "\\P{Nd}", "\\P{Nd}"},
    {'w', "[" WORDS_ALONE "]", WORDS},
    {'W', "[^" WORDS_ALONE "]", NULL},
    {'h', "[0-9A-Fa-f]", "0-9A-Fa-f"},
    {'H', "[^0-9A-Fa-f]", NULL},
    {'t', "\\t", "\\t"},
    {'n', "\\n", "\\n"},
    {'v', "\\x{b}", "\\x{b}"},
    {'f', "\\f", "\\f"},
    {'r', "\\r", "\\r"},
};

static bool is_category(const char *name, size_t size) {
    static const char *const names[] = {"L",  "Lu", "Ll", "Lt", "Lm", "Lo", "M",  "Mn", "Mc",
                                        "Me", "N",  "Nd", "Nl", "No", "P",  "Pc", "Pd", "Ps",
                                        "Pe", "Pi", "Pf", "Po", "S",  "Sm", "Sc", "Sk", "So",
                                        "Z",  "Zs", "Zl", "Zp", "C",  "Cc", "Cf", "Co", "Cn"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == size && !memcmp(names[i], name, size))
            return true;
    return false;
}

// \p{Name}, \P{Name}, \p{^Name}: a general category, or else a script, which PCRE2 will know.
static enum tr_status property(struct scanner *s) {
    const char *name = s->at + 3, *close = memchr(s->at, '}', (size_t)(s->end - s->at));
    if (s->end - s->at < 4 || s->at[2] != '{' || !close)
        return refuse(s, "a property without braces");
    bool negated = s->at[1] == 'P';
    if (*name == '^') {
        negated = !negated;
        name++;
    }
    size_t size = (size_t)(close - name);
    for (size_t i = 0; i < size; i++)
        if (!isalpha((unsigned char)name[i]))
            return refuse(s, "an unknown property");
    bool category = is_category(name, size);
    if (!category && size < 3)
        return refuse(s, "an unknown property");
    TR_TRY(tr_string_format(s->out, s->err, "\\%c{%s%.*s}", negated ? 'P' : 'p',
                            category ? "" : "sc:", (int)size, name));
    s->at = close + 1;
    return TR_OK;
}

// \uHHHH, \xHH below 80, \x{H...}.
static enum tr_status code_point(struct scanner *s) {
    bool braces = s->at[1] == 'x' && s->end - s->at > 2 && s->at[2] == '{';
    const char *digits = s->at + (braces ? 3 : 2);
    size_t limit = braces ? 6 : s->at[1] == 'u' ? 4 : 2, count = 0;
    while (count < limit && digits + count < s->end && isxdigit((unsigned char)digits[count]))
        count++;
    bool closed = !braces || (digits + count < s->end && digits[count] == '}');
    bool byte = !braces && s->at[1] == 'x' && count == 2 && !strchr("01234567", digits[0]);
    if (!count || !closed || (!braces && count != limit) || byte)
        return refuse(s, "a code point we cannot read");
    TR_TRY(tr_string_format(s->out, s->err, "\\x{%.*s}", (int)count, digits));
    s->at = digits + count + braces;
    return TR_OK;
}

static enum tr_status escape(struct scanner *s) {
    if (s->end - s->at < 2)
        return refuse(s, "a lone backslash");
    if (s->caseless)
        return refuse(s, "an escape inside (?i:...)");
    unsigned char letter = (unsigned char)s->at[1];
    if (letter == 'p' || letter == 'P')
        return property(s);
    if (letter == 'x' || letter == 'u')
        return code_point(s);
    if (ispunct(letter))
        return copy(s, 2);
    for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++)
        if (escapes[i].letter == letter) {
            const char *spelling = s->class_depth ? escapes[i].inside : escapes[i].outside;
            if (!spelling)
                break;
            s->at += 2;
            return put(s, spelling);
        }
    return refuse(s, "an escape that PCRE2 reads differently");
}

// A class inside a class is a union: its brackets are dropped.
static enum tr_status open_class(struct scanner *s) {
    if (!s->class_depth) {
        bool negated = s->end - s->at > 1 && s->at[1] == '^';
        s->class_depth = 1;
        TR_TRY(copy(s, negated ? 2 : 1));
        return next_is(s, "]") ? refuse(s, "a class that opens with ]") : TR_OK;
    }
    if (next_is(s, "[^") || next_is(s, "[:") || next_is(s, "[]") || s->at[-1] == '-')
        return refuse(s, "a class inside a class");
    s->class_depth++;
    s->at++;
    return TR_OK;
}

static enum tr_status close_class(struct scanner *s) {
    if (--s->class_depth == 0)
        return copy(s, 1);
    s->at++;
    return next_is(s, "-") ? refuse(s, "a range that starts with a class") : TR_OK;
}

static enum tr_status open_group(struct scanner *s) {
    static const char *const known[] = {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:"};
    if (s->caseless)
        return refuse(s, "a group inside (?i:...)");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (next_is(s, known[i])) {
            s->caseless = !strcmp(known[i], "(?i:");
            return copy(s, strlen(known[i]));
        }
    if (next_is(s, "(?") || next_is(s, "(*"))
        return refuse(s, "an extended group");
    return copy(s, 1);
}

// {n}, {n,} or {n,m}, greedy or lazy; {n}? and {n,m}+ mean something else in the two engines.
static enum tr_status interval(struct scanner *s) {
    size_t size = 1, left = (size_t)(s->end - s->at);
    while (size < left && isdigit((unsigned char)s->at[size]))
        size++;
    bool exact = size < left && s->at[size] == '}';
    if (size == 1 || size == left || (!exact && s->at[size] != ','))
        return refuse(s, "a brace that is no interval");
    if (!exact)
        for (size++; size < left && isdigit((unsigned char)s->at[size]);)
            size++;
    if (size == left || s->at[size] != '}')
        return refuse(s, "a brace that is no interval");
    TR_TRY(copy(s, size + 1));
    if (next_is(s, "+") || next_is(s, "*") || (exact && next_is(s, "?")))
        return refuse(s, "a quantifier after an interval");
    return TR_OK;
}

// Inside (?i:...) only ASCII letters, apostrophes, alternatives and plain classes of them: there
// the engines agree, but for pairs of letters that Oniguruma also finds as one (ss as U+00DF).
static enum tr_status caseless_byte(struct scanner *s) {
    static const char *const pairs[] = {"ff", "fi", "fl", "ss", "st"};
    if (!isalpha((unsigned char)*s->at) && !memchr("'|?", *s->at, 3))
        return refuse(s, "more than letters inside (?i:...)");
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs && !s->class_depth; i++)
        if (s->end - s->at > 1 && !strncasecmp(s->at, pairs[i], 2))
            return refuse(s, "letters with a ligature inside (?i:...)");
    return copy(s, 1);
}

static enum tr_status step(struct scanner *s) {
    if (*s->at == '\\')
        return escape(s);
    if (*s->at == '[')
        return open_class(s);
    if (*s->at == ']' && s->class_depth)
        return close_class(s);
    if (*s->at == ')' && !s->class_depth) {
        s->caseless = false;
        return copy(s, 1);
    }
    if (s->caseless)
        return caseless_byte(s);
    if (s->class_depth)
        return next_is(s, "&&") ? refuse(s, "an intersection of classes") : copy(s, 1);
    if (*s->at == '(')
        return open_group(s);
    return *s->at == '{' ? interval(s) : copy(s, 1);
}

enum tr_status tr_pattern_translate(const char *pattern, size_t size, struct tr_string *out,
                                    const char *what, struct tr_err *err) {
    struct scanner s = {pattern, pattern, pattern + size, out, 0, false, what, err};
    while (s.at < s.end)
        TR_TRY(step(&s));
    return s.class_depth ? refuse(&s, "a class that never closes") : TR_OK;
}

enum tr_status tr_pattern_quote(const char *text, size_t size, struct tr_string *out,
                                struct tr_err *err) {
    for (size_t i = 0; i < size; i++) {
        if (ispunct((unsigned char)text[i]))
            TR_TRY(tr_string_append(out, "\\", 1, err));
        TR_TRY(tr_string_append(out, text + i, 1, err));
    }
    return TR_OK;
}

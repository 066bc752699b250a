// SPDX-License-Identifier: Apache-2.0
// Attempts are anchored, one at each character, and see a window of the text; PCRE2 says when the
// answer could depend on what lies behind the window. Its interpreter counts every step back, its
// compiled code does not count those over single characters, so the interpreter it is.
#include "search.h"

#include <stdlib.h>

#include "base/alloc.h"

enum { FIRST_STEPS = 64, FIRST_WINDOW = 64, WIDEN = 2 };
enum { STEP_COST = 16 }; // of a step back, in bytes looked at
enum { HEAP_LIMIT_KIB = 256 * 1024 };
static const uint64_t allowance_base = UINT64_C(1) << 18, allowance_per_byte = UINT64_C(1) << 17;

struct tr_searcher {
    pcre2_match_data *match;
    pcre2_match_context *context;
    uint64_t allowance, left;
};

enum tr_status tr_searcher_new(struct tr_searcher **searcher_p, struct tr_err *err) {
    struct tr_searcher *s;
    TR_TRY(TR_NEW(&s, 1, "the search", err));
    s->match = pcre2_match_data_create(1, NULL);
    s->context = pcre2_match_context_create(NULL);
    if (!s->match || !s->context) {
        tr_searcher_free(s);
        return tr_fail(err, TR_ENOMEM, "no memory for the search");
    }
    pcre2_set_heap_limit(s->context, HEAP_LIMIT_KIB);
    tr_searcher_allow(s, 0);
    *searcher_p = s;
    return TR_OK;
}

void tr_searcher_free(struct tr_searcher *searcher) {
    if (!searcher)
        return;
    pcre2_match_data_free(searcher->match);
    pcre2_match_context_free(searcher->context);
    free(searcher);
}

void tr_searcher_allow(struct tr_searcher *searcher, size_t size) {
    uint64_t product;
    bool fits = tr_mul(size, allowance_per_byte, &product) &&
                tr_add(product, allowance_base, &searcher->allowance);
    if (!fits)
        searcher->allowance = UINT64_MAX;
    searcher->left = searcher->allowance;
}

uint64_t tr_searcher_spent(const struct tr_searcher *searcher) {
    return searcher->allowance - searcher->left;
}

uint64_t tr_searcher_allowance(const struct tr_searcher *searcher) {
    return searcher->allowance;
}

enum tr_status tr_pattern_compile(pcre2_code **code_p, const char *pattern, size_t size,
                                  const char *what, struct tr_err *err) {
    int error;
    size_t offset;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (!context)
        return tr_fail(err, TR_ENOMEM, "no memory for a pattern");
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern, size, PCRE2_UTF | PCRE2_MULTILINE, &error,
                                     &offset, context);
    pcre2_compile_context_free(context);
    if (!code) {
        PCRE2_UCHAR text[128];
        pcre2_get_error_message(error, text, sizeof text);
        return tr_fail(err, TR_EUNSUPPORTED, "%s: PCRE2 does not take the split pattern: %s", what,
                       (const char *)text);
    }
    *code_p = code;
    return TR_OK;
}

static bool is_inside_character(const char *text, size_t at) {
    return ((unsigned char)text[at] & 0xc0) == 0x80;
}

// The end of a window of about `wanted` bytes, between two characters.
static size_t window_end(const struct tr_matches *m, size_t wanted) {
    size_t end = m->size - m->from > wanted ? m->from + wanted : m->size;
    while (end < m->size && is_inside_character(m->text, end))
        end++;
    return end;
}

static int attempt(const struct tr_matches *m, uint64_t steps, size_t end) {
    struct tr_searcher *s = m->searcher;
    uint32_t options = PCRE2_NO_UTF_CHECK | PCRE2_ANCHORED;
    if (end < m->size)
        options |= PCRE2_PARTIAL_HARD;
    pcre2_set_match_limit(s->context, steps < UINT32_MAX ? (uint32_t)steps : UINT32_MAX);
    return pcre2_match(m->code, (PCRE2_SPTR)m->text, end, m->from, options, s->match, s->context);
}

// Takes the cost of an attempt from the allowance; false when there is not enough left.
static bool pay(struct tr_searcher *s, uint64_t steps, size_t window) {
    uint64_t cost;
    if (!tr_mul(steps, (uint64_t)window + STEP_COST, &cost) || cost > s->left)
        return false;
    s->left -= cost;
    return true;
}

// PCRE2's answer at m->from.
static int try_here(const struct tr_matches *m) {
    uint64_t steps = FIRST_STEPS;
    size_t wanted = FIRST_WINDOW, end = window_end(m, wanted);
    int rc = attempt(m, steps, end);
    while (rc == PCRE2_ERROR_PARTIAL || rc == PCRE2_ERROR_MATCHLIMIT) {
        if (rc == PCRE2_ERROR_MATCHLIMIT)
            steps *= WIDEN;
        else
            wanted *= WIDEN;
        end = window_end(m, wanted);
        if (!pay(m->searcher, steps, end - m->from))
            return PCRE2_ERROR_MATCHLIMIT;
        rc = attempt(m, steps, end);
    }
    return rc;
}

static enum tr_status fail(const struct tr_matches *m, int rc, struct tr_err *err) {
    PCRE2_UCHAR reason[128];
    pcre2_get_error_message(rc, reason, sizeof reason);
    return tr_fail(err, TR_EUNSUPPORTED,
                   "splitting %zu bytes of text into words stopped at byte %zu: %s", m->size,
                   m->from, (const char *)reason);
}

static void step_forward(struct tr_matches *m) {
    m->from++;
    while (m->from < m->size && is_inside_character(m->text, m->from))
        m->from++;
}

enum tr_status tr_matches_next(struct tr_matches *m, bool *found_p, struct tr_err *err) {
    const size_t *range = pcre2_get_ovector_pointer(m->searcher->match);
    for (; m->from <= m->size; step_forward(m)) {
        int rc = try_here(m);
        if (rc < 0 && rc != PCRE2_ERROR_NOMATCH)
            return fail(m, rc, err);
        bool follows = m->after_match && m->from == m->end;
        if (rc < 0 || (range[0] == range[1] && follows))
            continue;
        m->start = range[0];
        m->from = m->end = range[1];
        m->after_match = *found_p = true;
        return TR_OK;
    }
    *found_p = false;
    return TR_OK;
}

// SPDX-License-Identifier: Apache-2.0
// Runs the steps of a pre-tokenizer: each piece a step yields goes through the steps after it.
#include "pretokenize.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/strings.h"
#include "pretokenize_steps.h"

enum { MATCH_LIMIT = 50 * 1000 * 1000, HEAP_LIMIT_KIB = 256 * 1024 };
enum { JIT_STACK_START = 32 * 1024, JIT_STACK_MAX = 8 * 1024 * 1024 };

struct tr_splitter {
    const struct tr_pretokenizer *pretokenizer;
    pcre2_match_data *match;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
    struct tr_string prefixed; // a piece with its space before it
    tr_piece_fn *emit;
    void *user;
};

// A stretch of the text being split, a match or what lies between two.
struct stretch {
    size_t start, end;
    bool is_match, present;
};

static enum tr_status run_steps(struct tr_splitter *s, int index, const char *text, size_t size,
                                struct tr_err *err);

enum tr_status tr_splitter_new(struct tr_splitter **splitter_p,
                               const struct tr_pretokenizer *pretokenizer, struct tr_err *err) {
    struct tr_splitter *s;
    TR_TRY(TR_NEW(&s, 1, "the pre-tokenizer", err));
    s->pretokenizer = pretokenizer;
    s->match = pcre2_match_data_create(1, NULL);
    s->context = pcre2_match_context_create(NULL);
    if (!s->match || !s->context) {
        tr_splitter_free(s);
        return tr_fail(err, TR_ENOMEM, "no memory for the pre-tokenizer");
    }
    pcre2_set_match_limit(s->context, MATCH_LIMIT);
    pcre2_set_heap_limit(s->context, HEAP_LIMIT_KIB);
    // Without a stack of its own the JIT has 32 KiB, and then the interpreter's help.
    s->stack = pcre2_jit_stack_create(JIT_STACK_START, JIT_STACK_MAX, NULL);
    if (s->stack)
        pcre2_jit_stack_assign(s->context, NULL, s->stack);
    *splitter_p = s;
    return TR_OK;
}

void tr_splitter_free(struct tr_splitter *splitter) {
    if (!splitter)
        return;
    pcre2_match_data_free(splitter->match);
    pcre2_match_context_free(splitter->context);
    pcre2_jit_stack_free(splitter->stack);
    tr_string_free(&splitter->prefixed);
    free(splitter);
}

// Searches from `from`; *found_p says whether there was a match.
static enum tr_status search(struct tr_splitter *s, const pcre2_code *code, const char *text,
                             size_t size, size_t from, bool *found_p, struct tr_err *err) {
    PCRE2_SPTR subject = (PCRE2_SPTR)text;
    int rc = pcre2_match(code, subject, size, from, PCRE2_NO_UTF_CHECK, s->match, s->context);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(code, subject, size, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, s->match,
                         s->context);
    if (rc < 0 && rc != PCRE2_ERROR_NOMATCH) {
        PCRE2_UCHAR reason[128];
        pcre2_get_error_message(rc, reason, sizeof reason);
        return tr_fail(err, TR_EUNSUPPORTED,
                       "splitting %zu bytes of text into words stopped at byte %zu: %s", size, from,
                       (const char *)reason);
    }
    *found_p = rc >= 0;
    return TR_OK;
}

// Whether a stretch joins the one before it.
static bool joins(enum tr_behavior behavior, bool previous_is_match, bool is_match) {
    switch (behavior) {
    case TR_CONTIGUOUS:
        return previous_is_match == is_match;
    case TR_MERGED_WITH_PREVIOUS:
        return is_match && !previous_is_match;
    case TR_MERGED_WITH_NEXT:
        return !is_match && previous_is_match;
    default:
        return false;
    }
}

// Takes the next stretch of a split: joins it to the one held back, or lets that one go.
static enum tr_status take(struct tr_splitter *s, int index, const char *text, struct stretch *held,
                           struct stretch next, struct tr_err *err) {
    const struct tr_step *step = &s->pretokenizer->steps[index];
    if (next.present && step->invert)
        next.is_match = !next.is_match;
    if (held->present && next.present && joins(step->behavior, held->is_match, next.is_match)) {
        held->end = next.end;
        held->is_match = next.is_match;
        return TR_OK;
    }
    struct stretch done = *held;
    *held = next;
    if (!done.present || done.start == done.end || (step->behavior == TR_REMOVED && done.is_match))
        return TR_OK;
    return run_steps(s, index + 1, text + done.start, done.end - done.start, err);
}

static size_t character_size(const char *text) {
    unsigned char lead = (unsigned char)*text;
    return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

// All matches from left to right; an empty one right after a match does not count.
static enum tr_status split(struct tr_splitter *s, int index, const char *text, size_t size,
                            struct tr_err *err) {
    const pcre2_code *code = s->pretokenizer->steps[index].code;
    const size_t *range = pcre2_get_ovector_pointer(s->match);
    struct stretch held = {0};
    size_t from = 0, last_end = SIZE_MAX, done = 0;
    while (from <= size) {
        bool found = false;
        TR_TRY(search(s, code, text, size, from, &found, err));
        if (!found)
            break;
        size_t start = range[0], end = range[1];
        if (start == end && end == last_end) {
            from += from < size ? character_size(text + from) : 1;
            continue;
        }
        from = last_end = end;
        if (done != start)
            TR_TRY(take(s, index, text, &held, (struct stretch){done, start, false, true}, err));
        TR_TRY(take(s, index, text, &held, (struct stretch){start, end, true, true}, err));
        done = end;
    }
    if (done != size)
        TR_TRY(take(s, index, text, &held, (struct stretch){done, size, false, true}, err));
    return take(s, index, text, &held, (struct stretch){0}, err);
}

static enum tr_status prefix_space(struct tr_splitter *s, int index, const char *text, size_t size,
                                   struct tr_err *err) {
    if (*text == ' ')
        return run_steps(s, index + 1, text, size, err);
    s->prefixed.size = 0; // one ByteLevel, so nobody still reads the last piece
    TR_TRY(tr_string_append(&s->prefixed, " ", 1, err));
    TR_TRY(tr_string_append(&s->prefixed, text, size, err));
    return run_steps(s, index + 1, s->prefixed.data, s->prefixed.size, err);
}

// The recursion is as deep as there are steps, at most TR_STEPS_MAX.
static enum tr_status run_steps(struct tr_splitter *s, int index, const char *text, size_t size,
                                struct tr_err *err) {
    if (index == s->pretokenizer->count)
        return s->emit(s->user, text, size, err);
    return s->pretokenizer->steps[index].kind == TR_STEP_SPLIT
               ? split(s, index, text, size, err)
               : prefix_space(s, index, text, size, err);
}

enum tr_status tr_splitter_run(struct tr_splitter *splitter, const char *text, size_t size,
                               tr_piece_fn *emit, void *user, struct tr_err *err) {
    if (!size)
        return TR_OK;
    splitter->emit = emit;
    splitter->user = user;
    return run_steps(splitter, 0, text, size, err);
}

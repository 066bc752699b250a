// SPDX-License-Identifier: Apache-2.0
// Runs the steps of a pre-tokenizer: each piece a step yields goes through the steps after it.
#include "pretokenize.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/strings.h"
#include "pretokenize_steps.h"
#include "search.h"

struct tr_splitter {
    const struct tr_pretokenizer *pretokenizer;
    struct tr_searcher *searcher;
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
                               const struct tr_pretokenizer *pretokenizer,
                               struct tr_searcher *searcher, struct tr_err *err) {
    struct tr_splitter *s;
    TR_TRY(TR_NEW(&s, 1, "the pre-tokenizer", err));
    s->pretokenizer = pretokenizer;
    s->searcher = searcher;
    *splitter_p = s;
    return TR_OK;
}

void tr_splitter_free(struct tr_splitter *splitter) {
    if (!splitter)
        return;
    tr_string_free(&splitter->prefixed);
    free(splitter);
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

static enum tr_status split(struct tr_splitter *s, int index, const char *text, size_t size,
                            struct tr_err *err) {
    struct tr_matches m = {.searcher = s->searcher,
                           .code = s->pretokenizer->steps[index].code,
                           .text = text,
                           .size = size};
    struct stretch held = {0};
    size_t done = 0;
    for (bool found;;) {
        TR_TRY(tr_matches_next(&m, &found, err));
        if (!found)
            break;
        if (done != m.start)
            TR_TRY(take(s, index, text, &held, (struct stretch){done, m.start, false, true}, err));
        TR_TRY(take(s, index, text, &held, (struct stretch){m.start, m.end, true, true}, err));
        done = m.end;
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

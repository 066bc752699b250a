// SPDX-License-Identifier: Apache-2.0
// Runs the steps of a pre-tokenizer: each piece a step yields goes through the steps after it.
#include "pretokenize.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "byte_level.h"
#include "pretokenize_steps.h"

// A stretch of the text being split, a match or what lies between two.
struct stretch {
    size_t start, end;
    bool is_match, present;
};

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
    for (int i = 0; splitter && i < TR_STEPS_MAX; i++)
        tr_string_free(&splitter->memory[i]);
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

static struct tr_piece part(struct tr_piece piece, size_t start, size_t end) {
    size_t lead = piece.lead > start ? piece.lead - start : 0;
    return (struct tr_piece){piece.text + start, end - start, lead};
}

// Takes the next stretch of a split: joins it to the one held back, or lets that one go.
static enum tr_status take(struct tr_splitter *s, int index, struct tr_piece piece,
                           struct stretch *held, struct stretch next, struct tr_err *err) {
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
    if (!done.present || (step->behavior == TR_REMOVED && done.is_match))
        return TR_OK;
    return tr_splitter_next(s, index, part(piece, done.start, done.end), err);
}

enum tr_status tr_run_split(struct tr_splitter *s, int index, struct tr_piece piece,
                            struct tr_err *err) {
    struct tr_matches m = {.searcher = s->searcher,
                           .code = s->pretokenizer->steps[index].code,
                           .text = piece.text,
                           .size = piece.size};
    struct stretch held = {0};
    size_t done = 0;
    for (bool found;;) {
        TR_TRY(tr_matches_next(&m, &found, err));
        if (!found)
            break;
        if (done != m.start)
            TR_TRY(take(s, index, piece, &held, (struct stretch){done, m.start, false, true}, err));
        TR_TRY(take(s, index, piece, &held, (struct stretch){m.start, m.end, true, true}, err));
        done = m.end;
    }
    if (done != piece.size)
        TR_TRY(take(s, index, piece, &held, (struct stretch){done, piece.size, false, true}, err));
    return take(s, index, piece, &held, (struct stretch){0}, err);
}

// Puts a space before a piece that does not begin with one.
enum tr_status tr_run_prefix(struct tr_splitter *s, int index, struct tr_piece piece,
                             struct tr_err *err) {
    struct tr_string *made = &s->memory[index];
    if (*piece.text == ' ')
        return tr_splitter_next(s, index, piece, err);
    made->size = 0;
    TR_TRY(tr_string_append(made, " ", 1, err));
    TR_TRY(tr_string_append(made, piece.text, piece.size, err));
    size_t lead = piece.lead ? piece.lead + 1 : 0;
    return tr_splitter_next(s, index, (struct tr_piece){made->data, made->size, lead}, err);
}

// Spells the bytes of a piece as characters.
enum tr_status tr_run_spell(struct tr_splitter *s, int index, struct tr_piece piece,
                            struct tr_err *err) {
    struct tr_string *made = &s->memory[index];
    size_t lead = 0;
    made->size = 0;
    for (size_t i = 0; i < piece.size; i++) {
        char spelled[2];
        size_t size = tr_byte_spell((unsigned char)piece.text[i], spelled);
        TR_TRY(tr_string_append(made, spelled, size, err));
        lead += i < piece.lead ? size : 0;
    }
    return tr_splitter_next(s, index, (struct tr_piece){made->data, made->size, lead}, err);
}

// A piece with marks for spaces, and one before it where the step says so.
static enum tr_status put_marks(const struct tr_step *step, struct tr_piece piece,
                                struct tr_string *made, size_t *lead_p, struct tr_err *err) {
    size_t size = strlen(step->mark);
    bool marked =
        *piece.text == ' ' || (piece.size >= size && !memcmp(piece.text, step->mark, size));
    bool wanted =
        step->prepend == TR_PREPEND_ALWAYS || (step->prepend == TR_PREPEND_FIRST && piece.lead);
    made->size = 0;
    if (wanted && !marked)
        TR_TRY(tr_string_append(made, step->mark, size, err));
    for (size_t i = 0; i < piece.size; i++) {
        bool space = piece.text[i] == ' ';
        TR_TRY(tr_string_append(made, space ? step->mark : piece.text + i, space ? size : 1, err));
        if (i < piece.lead)
            *lead_p = made->size;
    }
    return TR_OK;
}

enum tr_status tr_run_metaspace(struct tr_splitter *s, int index, struct tr_piece piece,
                                struct tr_err *err) {
    const struct tr_step *step = &s->pretokenizer->steps[index];
    struct tr_string *made = &s->memory[index];
    size_t lead = 0;
    TR_TRY(put_marks(step, piece, made, &lead, err));
    piece = (struct tr_piece){made->data, made->size, lead};
    size_t done = 0, size = strlen(step->mark);
    for (size_t at = 1; step->cut && at + size <= piece.size; at++)
        if (!memcmp(piece.text + at, step->mark, size)) {
            TR_TRY(tr_splitter_next(s, index, part(piece, done, at), err));
            done = at;
        }
    return tr_splitter_next(s, index, part(piece, done, piece.size), err);
}

// The recursion is as deep as there are steps, at most TR_STEPS_MAX.
enum tr_status tr_splitter_next(struct tr_splitter *s, int index, struct tr_piece piece,
                                struct tr_err *err) {
    if (!piece.size)
        return TR_OK;
    index++;
    if (!s->pretokenizer || index == s->pretokenizer->count)
        return s->emit(s->user, piece.text, piece.size, err);
    return s->pretokenizer->steps[index].run(s, index, piece, err);
}

enum tr_status tr_splitter_run(struct tr_splitter *splitter, const char *text, size_t size,
                               size_t lead, tr_piece_fn *emit, void *user, struct tr_err *err) {
    splitter->emit = emit;
    splitter->user = user;
    return tr_splitter_next(splitter, -1, (struct tr_piece){text, size, lead}, err);
}

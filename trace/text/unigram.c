// SPDX-License-Identifier: Apache-2.0
#include "unigram.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "characters.h"
#include "model.h"

// The best way to write the word up to here: its last piece, and its score.
struct tr_unigram_node {
    double score;
    int64_t start; // of the last piece; -1: no way yet
    int32_t id;
};

static const double unknown_penalty = 10;
static const float largest_single = 1e5F; // of a sum of scores in single precision

static enum tr_status add_piece(struct tr_model *model, const json_t *value, int32_t id,
                                const char *what, struct tr_err *err) {
    const json_t *text = json_array_get(value, 0), *score = json_array_get(value, 1);
    if (json_array_size(value) != 2 || !json_is_string(text) || !json_is_number(score))
        return tr_fail(err, TR_EFORMAT, "%s: piece %d of the vocabulary must be [text, score]",
                       what, id);
    double number = json_number_value(score);
    struct tr_unigram *u = &model->unigram;
    u->scores[id] = number;
    if (id == 0 || number - unknown_penalty < u->unknown_score)
        u->unknown_score = number - unknown_penalty;
    return tr_vocabulary_add(&model->vocabulary, json_string_value(text), json_string_length(text),
                             id, err);
}

// The texts that a walk can find, each once, with the last id it has in the list.
static enum tr_status index_pieces(struct tr_model *model, const char *what, struct tr_err *err) {
    const struct tr_vocabulary *v = &model->vocabulary;
    struct tr_prefix_set *set = &model->unigram.pieces;
    for (uint64_t i = 0; i < v->count; i++)
        if (v->entries[i].size)
            TR_TRY(tr_prefix_add(set, v->text.data + v->entries[i].offset, v->entries[i].size,
                                 v->entries[i].id, "a piece", what, err));
    tr_prefix_finish(set);
    return TR_OK;
}

enum tr_status tr_unigram_parse(struct tr_model *model, const json_t *value, const char *what,
                                struct tr_err *err) {
    const json_t *pieces = json_object_get(value, "vocab");
    size_t count = json_array_size(pieces);
    int64_t unknown = -1;
    if (!json_is_array(pieces) || !count || count >= INT32_MAX)
        return tr_fail(err, TR_EFORMAT,
                       "%s: \"vocab\" of a Unigram model must be an array of pieces", what);
    TR_TRY(tr_json_i64(value, "unk_id", &unknown, what, err));
    TR_TRY(tr_json_bool(value, "byte_fallback", &model->byte_fallback, what, err));
    if (unknown < -1 || unknown >= (int64_t)count)
        return tr_fail(err, TR_EFORMAT, "%s: \"unk_id\" %lld is no piece of the vocabulary", what,
                       (long long)unknown);
    model->unknown = (int32_t)unknown;
    model->merges_unknown = true;
    TR_TRY(TR_NEW(&model->unigram.scores, count, "the scores", err));
    for (size_t i = 0; i < count; i++)
        TR_TRY(add_piece(model, json_array_get(pieces, i), (int32_t)i, what, err));
    tr_model_find_bytes(model, &model->vocabulary);
    return index_pieces(model, what, err);
}

void tr_unigram_free(struct tr_unigram *unigram) {
    tr_prefix_free(&unigram->pieces);
    free(unigram->scores);
    *unigram = (struct tr_unigram){0};
}

// One word being searched.
struct search {
    const struct tr_model *model;
    struct tr_unigram_node *nodes; // [size + 1] by where they end
    const char *word;
    size_t size, frontier; // where the furthest piece that was offered ends
};

// Offers a piece from `start` to `end`. A later one must be strictly better.
static void offer(struct search *s, size_t start, size_t end, int32_t id, double score) {
    struct tr_unigram_node *node = &s->nodes[end];
    double sum = s->nodes[start].score + score;
    if (s->model->unigram.single)
        sum = (float)sum;
    s->frontier = end > s->frontier ? end : s->frontier;
    if (node->start < 0 || sum > node->score)
        *node = (struct tr_unigram_node){sum, (int64_t)start, id};
}

// Offers all pieces from `start` on, and the unknown token when none is exactly the character.
static enum tr_status offer_all(struct search *s, size_t start, size_t character,
                                struct tr_err *err) {
    const struct tr_unigram *u = &s->model->unigram;
    struct tr_prefix_walk walk = tr_prefix_start(&u->pieces, s->word + start, s->size - start);
    bool has_character = false;
    for (const struct tr_prefix *piece; (piece = tr_prefix_next(&walk));) {
        has_character |= piece->size == character;
        offer(s, start, start + piece->size, piece->value, u->scores[piece->value]);
    }
    if (has_character)
        return TR_OK;
    if (s->model->unknown < 0)
        return tr_fail(err, TR_EUNSUPPORTED,
                       "byte %zu of a word is no piece of the vocabulary, which has no unknown "
                       "token",
                       start);
    offer(s, start, start + character, s->model->unknown, u->unknown_score);
    return TR_OK;
}

// SentencePiece, whose scores are in single precision, begins anew from 0 where they have become so
// large that single pieces would be rounded away; ways are compared, so nothing else changes.
static void rebase(struct search *s, size_t start) {
    float offset = (float)s->nodes[start].score;
    if (!s->model->unigram.single || fabsf(offset) <= largest_single)
        return;
    for (size_t i = start; i <= s->frontier; i++)
        if (i == start || s->nodes[i].start >= 0)
            s->nodes[i].score = (float)s->nodes[i].score - offset;
}

static enum tr_status find_best(struct search *s, struct tr_err *err) {
    for (size_t i = 0; i <= s->size; i++)
        s->nodes[i] = (struct tr_unigram_node){.start = -1};
    for (size_t start = 0, character; start < s->size; start += character) {
        int32_t code;
        character = tr_utf8_first(s->word + start, s->size - start, &code);
        character = character ? character : 1;
        rebase(s, start);
        TR_TRY(offer_all(s, start, character, err));
    }
    return TR_OK;
}

// Turns the links, which lead from the end back, around: afterwards a node's start is the end of
// the piece that begins there, and its id that piece's.
static void turn_around(struct search *s) {
    int64_t at = (int64_t)s->size, next = -1;
    int32_t id = -1;
    while (at >= 0) {
        struct tr_unigram_node *node = &s->nodes[at];
        int64_t before = at ? node->start : -1;
        int32_t own = node->id;
        node->start = next;
        node->id = id;
        next = at;
        id = own;
        at = before;
    }
}

// The end of the run of unknown pieces that begins at `start`.
static size_t unknown_end(const struct search *s, size_t start) {
    while (start < s->size && s->nodes[start].id == s->model->unknown)
        start = (size_t)s->nodes[start].start;
    return start;
}

static enum tr_status emit_unknown(const struct search *s, size_t start, size_t end,
                                   struct tr_ids *ids, struct tr_err *err) {
    const char *text = s->word + start;
    int32_t id = s->model->unigram.single
                     ? -1
                     : tr_vocabulary_find(&s->model->vocabulary, text, end - start);
    return id >= 0 ? tr_ids_append(ids, id, err)
                   : tr_model_unknown(s->model, text, end - start, false, ids, err);
}

static enum tr_status emit_all(const struct search *s, struct tr_ids *ids, struct tr_err *err) {
    for (size_t at = 0; at < s->size;) {
        const struct tr_unigram_node *node = &s->nodes[at];
        if (node->id == s->model->unknown) {
            size_t end = unknown_end(s, at);
            TR_TRY(emit_unknown(s, at, end, ids, err));
            at = end;
        } else {
            TR_TRY(tr_ids_append(ids, node->id, err));
            at = (size_t)node->start;
        }
    }
    return TR_OK;
}

enum tr_status tr_unigram_word(const struct tr_model *model, struct tr_unigram_scratch *scratch,
                               const char *word, size_t size, struct tr_ids *ids,
                               struct tr_err *err) {
    TR_TRY(tr_grow((void **)&scratch->nodes, &scratch->capacity, (uint64_t)size + 1,
                   sizeof *scratch->nodes, "a word", err));
    struct search s = {model, scratch->nodes, word, size, 0};
    TR_TRY(find_best(&s, err));
    turn_around(&s);
    return emit_all(&s, ids, err);
}

// SPDX-License-Identifier: Apache-2.0
#include "sentencepiece.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/sort.h"
#include "normal_steps.h"
#include "sentencepiece_text.h"
#include "wire.h"

enum piece_type { NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE };
enum model_kind { UNIGRAM = 1, BPE, WORD, CHAR };

struct piece {
    const char *text; // borrowed from the file
    size_t size;
    float score;
    int type;
};

// The message as it is read, with protobuf's defaults.
struct message {
    struct piece *pieces; // [count]
    uint64_t count, capacity;
    int64_t kind, begin;
    bool byte_fallback;
    struct tr_sentencepiece_text *text;
    const char *what;
    struct tr_err *err;
};

static enum tr_status malformed(const struct message *m, const char *problem) {
    return tr_fail(m->err, TR_EFORMAT, "%s: malformed SentencePiece model: %s", m->what, problem);
}

typedef enum tr_status field_fn(struct message *m, void *user, const struct tr_wire_field *field);

// Hands every field of a message to `take`.
static enum tr_status each_field(struct message *m, const char *bytes, size_t size, field_fn *take,
                                 void *user) {
    struct tr_wire wire = tr_wire_start(bytes, size);
    struct tr_wire_field field;
    enum tr_wire_result result;
    while ((result = tr_wire_next(&wire, &field)) == TR_WIRE_FIELD)
        TR_TRY(take(m, user, &field));
    return result == TR_WIRE_END ? TR_OK : malformed(m, "a field does not end within it");
}

static enum tr_status piece_field(struct message *m, void *user,
                                  const struct tr_wire_field *field) {
    struct piece *piece = user;
    (void)m;
    if (field->number == 1 && field->kind == TR_WIRE_BYTES) {
        piece->text = field->bytes;
        piece->size = field->size;
    } else if (field->number == 2 && field->kind == TR_WIRE_FIXED32) {
        piece->score = tr_wire_float(field);
    } else if (field->number == 3 && field->kind == TR_WIRE_VARINT) {
        piece->type = field->value <= BYTE ? (int)field->value : 0;
    }
    return TR_OK;
}

static enum tr_status add_piece(struct message *m, const struct tr_wire_field *field) {
    struct piece piece = {.text = "", .type = NORMAL};
    TR_TRY(each_field(m, field->bytes, field->size, piece_field, &piece));
    if (!piece.size || !piece.type || !isfinite(piece.score) || m->count >= INT32_MAX ||
        !tr_utf8_valid(piece.text, piece.size))
        return malformed(m, "a piece without a text, or of an unknown type");
    TR_TRY(tr_grow((void **)&m->pieces, &m->capacity, m->count + 1, sizeof *m->pieces, "the pieces",
                   m->err));
    m->pieces[m->count++] = piece;
    return TR_OK;
}

static enum tr_status trainer_field(struct message *m, void *user,
                                    const struct tr_wire_field *field) {
    enum { MODEL_TYPE = 3, SUFFIX = 24, BYTE_FALLBACK = 35, BEGIN_ID = 41 };
    (void)user;
    if (field->kind != TR_WIRE_VARINT)
        return TR_OK;
    if (field->number == MODEL_TYPE)
        m->kind = field->value <= CHAR ? (int64_t)field->value : 0;
    else if (field->number == SUFFIX)
        m->text->suffix = field->value != 0;
    else if (field->number == BYTE_FALLBACK)
        m->byte_fallback = field->value != 0;
    else if (field->number == BEGIN_ID)
        m->begin = (int32_t)field->value;
    return TR_OK;
}

static enum tr_status normalizer_field(struct message *m, void *user,
                                       const struct tr_wire_field *field) {
    enum { CHARSMAP = 2, PREFIX, EXTRA, ESCAPE };
    struct tr_sentencepiece_text *text = m->text;
    (void)user;
    if (field->number == CHARSMAP && field->kind == TR_WIRE_BYTES) {
        tr_charsmap_free(&text->charsmap);
        return tr_charsmap_parse(&text->charsmap, field->bytes, field->size, m->what, m->err);
    }
    if (field->kind != TR_WIRE_VARINT)
        return TR_OK;
    if (field->number == PREFIX)
        text->add_dummy_prefix = field->value != 0;
    else if (field->number == EXTRA)
        text->remove_extra_whitespaces = field->value != 0;
    else if (field->number == ESCAPE)
        text->escape_whitespaces = field->value != 0;
    return TR_OK;
}

static enum tr_status model_field(struct message *m, void *user,
                                  const struct tr_wire_field *field) {
    enum { PIECES = 1, TRAINER, NORMALIZER };
    (void)user;
    if (field->kind != TR_WIRE_BYTES)
        return TR_OK;
    if (field->number == PIECES)
        return add_piece(m, field);
    if (field->number == TRAINER)
        return each_field(m, field->bytes, field->size, trainer_field, NULL);
    if (field->number == NORMALIZER)
        return each_field(m, field->bytes, field->size, normalizer_field, NULL);
    return TR_OK;
}

// Ordinary pieces go to the vocabulary, the others are reserved. No text may stand twice among
// either.
static enum tr_status index_pieces(struct message *m, struct tr_model *model) {
    for (uint64_t i = 0; i < m->count; i++) {
        const struct piece *p = &m->pieces[i];
        bool reserved = p->type == UNKNOWN || p->type == CONTROL || p->type == BYTE;
        if (tr_vocabulary_find(&model->vocabulary, p->text, p->size) >= 0 ||
            tr_vocabulary_find(&model->reserved, p->text, p->size) >= 0)
            return malformed(m, "a piece stands twice");
        TR_TRY(tr_vocabulary_add(reserved ? &model->reserved : &model->vocabulary, p->text, p->size,
                                 (int32_t)i, m->err));
        if (p->type == UNKNOWN && model->unknown >= 0)
            return malformed(m, "two unknown pieces");
        if (p->type == UNKNOWN)
            model->unknown = (int32_t)i;
        if (p->type == USER_DEFINED)
            TR_TRY(tr_prefix_add(&m->text->defined, p->text, p->size, (int32_t)i,
                                 "a piece of the user's", m->what, m->err));
    }
    tr_prefix_finish(&m->text->defined);
    model->vocabulary.size = model->reserved.size = (int64_t)m->count;
    return model->unknown < 0 ? malformed(m, "no unknown piece") : TR_OK;
}

static enum tr_status index_bytes(struct message *m, struct tr_model *model) {
    model->byte_fallback = m->byte_fallback;
    if (!tr_model_find_bytes(model, &model->reserved) && m->byte_fallback)
        return malformed(m, "byte fallback without all byte pieces");
    return TR_OK;
}

static int compare_scores(const void *a, const void *b, void *user) {
    const struct piece *pieces = user;
    float x = pieces[*(const int32_t *)a].score, y = pieces[*(const int32_t *)b].score;
    return (x < y) - (x > y);
}

// Ranks by score, the highest first; equal scores have equal ranks.
static enum tr_status rank_pieces(struct message *m, struct tr_bpe *bpe) {
    int32_t *order, rank = 0;
    TR_TRY(TR_NEW(&order, m->count, "the ranks", m->err));
    for (uint64_t i = 0; i < m->count; i++)
        order[i] = (int32_t)i;
    tr_sort(order, m->count, sizeof *order, compare_scores, m->pieces);
    for (uint64_t i = 0; i < m->count; i++) {
        rank += i && m->pieces[order[i]].score != m->pieces[order[i - 1]].score;
        bpe->ranks[order[i]] = rank;
    }
    free(order);
    return TR_OK;
}

static enum tr_status fill_bpe(struct message *m, struct tr_model *model) {
    struct tr_bpe *bpe = &model->bpe;
    TR_TRY(TR_NEW(&bpe->ranks, m->count, "the ranks", m->err));
    TR_TRY(rank_pieces(m, bpe));
    bool any_unused = false;
    TR_TRY(TR_NEW(&bpe->unused, m->count, "the unused pieces", m->err));
    for (uint64_t i = 0; i < m->count; i++) {
        const struct piece *p = &m->pieces[i];
        if (p->size > TR_PREFIX_MAX)
            return malformed(m, "a piece of more than 1024 bytes");
        bpe->longest = p->size > bpe->longest ? p->size : bpe->longest;
        bpe->unused[i] = p->type == UNUSED;
        any_unused |= p->type == UNUSED;
        if (p->type == USER_DEFINED)
            TR_TRY(tr_prefix_add(&bpe->frozen, p->text, p->size, (int32_t)i, "a piece", m->what,
                                 m->err));
    }
    tr_prefix_finish(&bpe->frozen);
    if (!any_unused) {
        free(bpe->unused);
        bpe->unused = NULL;
    }
    return TR_OK;
}

static float smallest_score(const struct message *m) {
    float low = FLT_MAX;
    for (uint64_t i = 0; i < m->count; i++)
        if (m->pieces[i].type == NORMAL && m->pieces[i].score < low)
            low = m->pieces[i].score;
    return low;
}

// A piece of the user's is better than any ordinary one, and a long one better than several: as
// SentencePiece has it from 0.2.2 on.
static float score_of(const struct piece *p) {
    return p->type == USER_DEFINED ? (float)(0.1 * ((double)p->size - 1)) : p->score;
}

static enum tr_status fill_unigram(struct message *m, struct tr_model *model) {
    struct tr_unigram *u = &model->unigram;
    u->single = true;
    u->unknown_score = smallest_score(m) - 10.0f;
    TR_TRY(TR_NEW(&u->scores, m->count, "the scores", m->err));
    for (uint64_t i = 0; i < m->count; i++) {
        const struct piece *p = &m->pieces[i];
        u->scores[i] = score_of(p);
        if (p->type == NORMAL || p->type == USER_DEFINED)
            TR_TRY(tr_prefix_add(&u->pieces, p->text, p->size, (int32_t)i, "a piece", m->what,
                                 m->err));
    }
    tr_prefix_finish(&u->pieces);
    return TR_OK;
}

static enum tr_status fill_model(struct message *m, struct tr_model *model) {
    model->type = tr_model_type_find(m->kind == BPE ? "BPE" : "Unigram");
    model->unknown = -1;
    model->merges_unknown = true;
    if (m->kind != BPE && m->kind != UNIGRAM)
        return tr_fail(m->err, TR_EUNSUPPORTED,
                       "%s: a SentencePiece model of kind %s is not supported; known: BPE, Unigram "
                       "(pass token ids instead)",
                       m->what,
                       m->kind == WORD   ? "WORD"
                       : m->kind == CHAR ? "CHAR"
                                         : "unknown");
    TR_TRY(index_pieces(m, model));
    TR_TRY(index_bytes(m, model));
    return m->kind == BPE ? fill_bpe(m, model) : fill_unigram(m, model);
}

// The piece that begins a text, when the model has one.
static enum tr_status fill_template(const struct message *m, struct tr_template *template) {
    char name[64];
    if (m->begin < 0 || (uint64_t)m->begin >= m->count)
        return tr_template_parse(template, NULL, m->what, m->err);
    const struct piece *piece = &m->pieces[m->begin];
    snprintf(name, sizeof name, "%.*s", (int)(piece->size < 63 ? piece->size : 63), piece->text);
    return tr_template_begin(template, name, (int32_t)m->begin, m->err);
}

enum tr_status tr_sentencepiece_parse(struct tr_model *model, struct tr_normalizer *normalizer,
                                      struct tr_template *template, const char *bytes, size_t size,
                                      const char *what, struct tr_err *err) {
    struct message m = {.kind = UNIGRAM, .begin = 1, .what = what, .err = err};
    struct tr_normal_step *step;
    TR_TRY(tr_normalizer_add(normalizer, &step, what, err));
    TR_TRY(TR_NEW(&step->pieces, 1, "the normalizer", err));
    step->run = tr_normal_sentencepiece;
    m.text = step->pieces;
    m.text->add_dummy_prefix = m.text->remove_extra_whitespaces = m.text->escape_whitespaces = true;
    enum tr_status status = each_field(&m, bytes, size, model_field, NULL);
    if (status == TR_OK)
        status = fill_model(&m, model);
    if (status == TR_OK)
        status = fill_template(&m, template);
    free(m.pieces);
    return status;
}

// SPDX-License-Identifier: Apache-2.0
// The table of measures, and what is done with all of them.
#include "measure/measures.h"

const struct tr_measure *const tr_measures[TR_MEASURES] = {&tr_measure_sums, &tr_measure_spans,
                                                           &tr_measure_removals};

static enum tr_status measured_new(struct tr_measured *measured, const struct tr_layout *layout,
                                   bool additions, int64_t begin, int64_t end, struct tr_err *err) {
    struct tr_measured made = {0};
    enum tr_status status = TR_OK;
    for (int i = 0; i < TR_MEASURES && status == TR_OK; i++)
        if (tr_measures[i]->wanted(layout) && (!additions || tr_measures[i]->is_addition))
            status = tr_measures[i]->new (&made.state[i], layout, begin, end, err);
    if (status == TR_OK)
        *measured = made;
    else
        tr_measured_free(&made);
    return status;
}

enum tr_status tr_measured_new(struct tr_measured *measured, const struct tr_layout *layout,
                               int64_t begin, int64_t end, struct tr_err *err) {
    return measured_new(measured, layout, false, begin, end, err);
}

enum tr_status tr_measured_new_additions(struct tr_measured *measured,
                                         const struct tr_layout *layout, struct tr_err *err) {
    return measured_new(measured, layout, true, 0, layout->sequences, err);
}

void tr_measured_free(struct tr_measured *measured) {
    for (int i = 0; i < TR_MEASURES; i++)
        tr_measures[i]->free(measured->state[i]);
    *measured = (struct tr_measured){0};
}

void tr_measured_tap(struct tr_measured *measured, const struct tr_tap *tap) {
    for (int i = 0; i < TR_MEASURES; i++)
        if (measured->state[i] && tr_measures[i]->tap)
            tr_measures[i]->tap(measured->state[i], tap);
}

void tr_measured_loss(struct tr_measured *measured, const struct tr_loss_tap *tap) {
    for (int i = 0; i < TR_MEASURES; i++)
        if (measured->state[i] && tr_measures[i]->loss)
            tr_measures[i]->loss(measured->state[i], tap);
}

void tr_measured_removal(struct tr_measured *measured, const struct tr_removal *removal) {
    for (int i = 0; i < TR_MEASURES; i++)
        if (measured->state[i] && tr_measures[i]->removal)
            tr_measures[i]->removal(measured->state[i], removal);
}

const int64_t *tr_measured_tokens(const struct tr_measured *measured, int64_t *count_p) {
    *count_p = 0;
    for (int i = 0; i < TR_MEASURES; i++)
        if (measured->state[i] && tr_measures[i]->tokens)
            return tr_measures[i]->tokens(measured->state[i], count_p);
    return NULL;
}

float *tr_measured_boundary(struct tr_measured *measured, int64_t boundary, int64_t first) {
    for (int i = 0; i < TR_MEASURES; i++)
        if (measured->state[i] && tr_measures[i]->tokens)
            return tr_measures[i]->boundary(measured->state[i], boundary, first);
    return NULL;
}

enum tr_status tr_measured_append(const struct tr_measured *measured, struct tr_string *bytes,
                                  struct tr_err *err) {
    for (int i = 0; i < TR_MEASURES; i++) {
        const void *part;
        size_t size;
        if (!measured->state[i])
            continue;
        tr_measures[i]->bytes(measured->state[i], &part, &size);
        TR_TRY(tr_string_append(bytes, part, size, err));
    }
    return TR_OK;
}

enum tr_status tr_measured_join(struct tr_measured *measured, const struct tr_layout *layout,
                                int64_t begin, int64_t end, const void *bytes, size_t size,
                                struct tr_err *err) {
    const char *at = bytes;
    for (int i = 0; i < TR_MEASURES; i++) {
        if (!measured->state[i])
            continue;
        size_t part = tr_measures[i]->size(layout, begin, end);
        part = part < size ? part : size; // too few: the measure says so
        TR_TRY(tr_measures[i]->join(measured->state[i], begin, end, at, part, err));
        at += part;
        size -= part;
    }
    if (size)
        return tr_fail(err, TR_EFORMAT, "results of sequences %lld to %lld are %zu bytes too long",
                       (long long)begin, (long long)end, size);
    return TR_OK;
}

enum tr_status tr_measured_finish(struct tr_measured *measured, int threads, struct tr_row *row,
                                  struct tr_err *err) {
    for (int i = 0; i < TR_MEASURES; i++)
        if (measured->state[i])
            TR_TRY(tr_measures[i]->finish(measured->state[i], threads, row, err));
    return TR_OK;
}

double tr_measured_room(const struct tr_layout *layout, int threads) {
    double room = 0;
    for (int i = 0; i < TR_MEASURES; i++)
        if (tr_measures[i]->wanted(layout))
            room += tr_measures[i]->room(layout, threads);
    return room;
}

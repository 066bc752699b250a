// SPDX-License-Identifier: Apache-2.0
// What a tap measures, for a range of calibration sequences: similarity, importance (He et al.
// 2024, arXiv 2406.15786, eq. 1-6), update ratio, alignment and norms as sums per sequence,
// histograms and profiles over positions. A tap brings the sums of each sequence, derived from the
// tokens' statistics where those are (struct kn_summary), because no value per token may leave a
// device. Sums of neighbouring ranges join exactly: per-sequence values are kept apart until the
// end and then combined in sequence order, so that the result does not depend on how the sequences
// were shared out. Non-finite tokens are
// counted and left out; tokens without an angle are left out, too.
#include "measure/measures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"

// The sums are one block of memory cut into fields, so that they travel as they are. A field is
// [cells][sequences][width] (kept apart per sequence) or [cells][width] (integers, whose sum does
// not depend on the order); cells are layer x module, or 1.
enum field {
    F_COS,
    F_IMPORTANCE,
    F_RATIO,
    F_ALIGNMENT,
    F_XX,
    F_XD,
    F_DD,
    F_NORM,
    F_POSITION, // importance by position bin
    F_LOSS,
    F_FIRST,  // i64, first non-finite token, INT64_MAX: none
    F_TOKENS, // f32 importance of each token
    F_COUNT,
    F_HISTOGRAM,
    F_POSITION_COUNT,
    F_NONFINITE,
    FIELDS
};

enum join { PER_SEQUENCE, ADD_U32, MIN_I64 };

struct field_row {
    size_t size;    // bytes of an element
    enum join join; // how ranges combine
    bool per_cell;  // [layers x modules], else 1 cell
    enum tr_dim width;
};

// 8-byte fields first, so that every field is aligned.
static const struct field_row field_rows[FIELDS] = {
    [F_COS] = {8, PER_SEQUENCE, true, TR_DIM_NONE},
    [F_IMPORTANCE] = {8, PER_SEQUENCE, true, TR_DIM_NONE},
    [F_RATIO] = {8, PER_SEQUENCE, true, TR_DIM_NONE},
    [F_ALIGNMENT] = {8, PER_SEQUENCE, true, TR_DIM_NONE},
    [F_XX] = {8, PER_SEQUENCE, true, TR_DIM_NONE},
    [F_XD] = {8, PER_SEQUENCE, true, TR_DIM_NONE},
    [F_DD] = {8, PER_SEQUENCE, true, TR_DIM_NONE},
    [F_NORM] = {8, PER_SEQUENCE, true, TR_DIM_NONE},
    [F_POSITION] = {8, PER_SEQUENCE, true, TR_DIM_POSITION_BIN},
    [F_LOSS] = {8, PER_SEQUENCE, false, TR_DIM_NONE},
    [F_FIRST] = {8, MIN_I64, true, TR_DIM_NONE},
    [F_TOKENS] = {4, PER_SEQUENCE, true, TR_DIM_POSITION},
    [F_COUNT] = {4, PER_SEQUENCE, true, TR_DIM_NONE},
    [F_HISTOGRAM] = {4, ADD_U32, true, TR_DIM_BIN},
    [F_POSITION_COUNT] = {4, ADD_U32, true, TR_DIM_POSITION_BIN},
    [F_NONFINITE] = {4, ADD_U32, true, TR_DIM_NONE},
};

struct sums {
    struct tr_layout layout;
    int64_t begin, end; // sequences
    char *block;
    size_t bytes;
    size_t offset[FIELDS];
};

static bool field_present(enum field field, const struct tr_layout *layout) {
    return field == F_TOKENS ? layout->per_token : field == F_LOSS ? layout->nll : true;
}

static int64_t field_cells(enum field field, const struct tr_layout *layout) {
    return field_rows[field].per_cell ? layout->layers * TR_MODULES : 1;
}

static int64_t field_width(enum field field, const struct tr_layout *layout) {
    enum tr_dim width = field_rows[field].width;
    return width == TR_DIM_NONE ? 1 : tr_dim_size(width, layout);
}

// Elements of one cell of a field over `sequences` sequences.
static int64_t cell_elements(enum field field, const struct tr_layout *layout, int64_t sequences) {
    int64_t repeats = field_rows[field].join == PER_SEQUENCE ? sequences : 1;
    return repeats * field_width(field, layout);
}

static size_t field_bytes(enum field field, const struct tr_layout *layout, int64_t sequences) {
    if (!field_present(field, layout))
        return 0;
    int64_t elements = field_cells(field, layout) * cell_elements(field, layout, sequences);
    return (size_t)elements * field_rows[field].size;
}

// An element of a field: cell, sequence (counted from begin) and place within the width.
static void *at(const struct sums *sums, enum field field, int64_t cell, int64_t sequence,
                int64_t place) {
    const struct tr_layout *layout = &sums->layout;
    int64_t elements = cell * cell_elements(field, layout, sums->end - sums->begin) +
                       sequence * field_width(field, layout) + place;
    return sums->block + sums->offset[field] + (size_t)elements * field_rows[field].size;
}

static size_t sums_size(const struct tr_layout *layout, int64_t begin, int64_t end) {
    size_t bytes = 0;
    int64_t sequences = end - begin;
    for (int field = 0; field < FIELDS; field++)
        bytes += field_bytes(field, layout, sequences);
    return bytes;
}

static enum tr_status sums_new(void **state_p, const struct tr_layout *layout, int64_t begin,
                               int64_t end, struct tr_err *err) {
    struct sums *sums;
    TR_TRY(TR_NEW(&sums, 1, "sums", err));
    *sums = (struct sums){.layout = *layout, .begin = begin, .end = end};
    for (int field = 0; field < FIELDS; field++) {
        sums->offset[field] = sums->bytes;
        sums->bytes += field_bytes(field, layout, end - begin);
    }
    enum tr_status status = TR_NEW(&sums->block, sums->bytes, "sums", err);
    if (status != TR_OK) {
        free(sums);
        return status;
    }
    for (int64_t cell = 0; cell < field_cells(F_FIRST, layout); cell++)
        *(int64_t *)at(sums, F_FIRST, cell, 0, 0) = INT64_MAX;
    *state_p = sums;
    return TR_OK;
}

static void sums_free(void *state) {
    struct sums *sums = state;
    if (!sums)
        return;
    free(sums->block);
    free(sums);
}

// Which field each sum of a sequence goes into; behind them come the position bins.
static const enum field sum_fields[KN_SUMS] = {
    [KN_SUM_COS] = F_COS,     [KN_SUM_IMPORTANCE] = F_IMPORTANCE,
    [KN_SUM_RATIO] = F_RATIO, [KN_SUM_ALIGNMENT] = F_ALIGNMENT,
    [KN_SUM_XX] = F_XX,       [KN_SUM_XD] = F_XD,
    [KN_SUM_DD] = F_DD,       [KN_SUM_NORM] = F_NORM};

static void take_sums(const struct sums *sums, int64_t cell, int64_t sequence, const double *from) {
    for (int i = 0; i < KN_SUMS; i++)
        *(double *)at(sums, sum_fields[i], cell, sequence, 0) = from[i];
    memcpy(at(sums, F_POSITION, cell, sequence, 0), from + KN_SUMS,
           (size_t)field_width(F_POSITION, &sums->layout) * sizeof *from);
}

static void add_u32(const struct sums *sums, enum field field, int64_t cell, const uint32_t *from) {
    uint32_t *to = at(sums, field, cell, 0, 0);
    for (int64_t i = 0; i < field_width(field, &sums->layout); i++)
        to[i] += from[i];
}

static void take_counts(const struct sums *sums, int64_t cell, int64_t sequence,
                        const uint32_t *from) {
    int64_t first = (sums->begin + sequence) * sums->layout.seq_len + from[KN_COUNT_FIRST];
    int64_t *earliest = at(sums, F_FIRST, cell, 0, 0);
    *(uint32_t *)at(sums, F_COUNT, cell, sequence, 0) = from[KN_COUNT_FINITE];
    add_u32(sums, F_NONFINITE, cell, from + KN_COUNT_NONFINITE);
    add_u32(sums, F_HISTOGRAM, cell, from + KN_COUNTS);
    add_u32(sums, F_POSITION_COUNT, cell, from + KN_COUNTS + TR_BINS);
    if (from[KN_COUNT_NONFINITE])
        *earliest = first < *earliest ? first : *earliest;
}

// Nothing of a sublayer that the model lacks: no tokens, whose means are NaN.
static void leave_out(struct sums *sums, int64_t cell, int64_t sequence, int64_t seq_len) {
    float *tokens = at(sums, F_TOKENS, cell, sequence, 0);
    for (int64_t t = 0; sums->layout.per_token && t < seq_len; t++)
        tokens[t] = NAN;
}

// Whether a tap speaks of sequences that these sums are of.
static bool is_within(const struct sums *sums, int64_t first, int64_t count) {
    return first >= sums->begin && count >= 0 && count <= sums->end - first;
}

static void sums_tap(void *state, const struct tr_tap *tap) {
    struct sums *sums = state;
    TR_ASSERT(tap->layer >= 0 && tap->layer < sums->layout.layers);
    TR_ASSERT(tap->seq_len == sums->layout.seq_len);
    TR_ASSERT(is_within(sums, tap->first_sequence, tap->sequences));
    int64_t sums_width = KN_SUMS + field_width(F_POSITION, &sums->layout);
    int64_t counts_width = KN_COUNTS + TR_BINS + field_width(F_POSITION, &sums->layout);
    for (int64_t i = 0; i < TR_MODULES * tap->sequences; i++) {
        int64_t cell = (int64_t)tap->layer * TR_MODULES + i / tap->sequences;
        int64_t sequence = tap->first_sequence - sums->begin + i % tap->sequences;
        if (!tap->has[i / tap->sequences]) {
            leave_out(sums, cell, sequence, tap->seq_len);
            continue;
        }
        take_sums(sums, cell, sequence, tap->sums + i * sums_width);
        take_counts(sums, cell, sequence, tap->counts + i * counts_width);
        if (sums->layout.per_token)
            memcpy(at(sums, F_TOKENS, cell, sequence, 0), tap->importance + i * tap->seq_len,
                   (size_t)tap->seq_len * sizeof *tap->importance);
    }
}

static void sums_loss(void *state, const struct tr_loss_tap *tap) {
    struct sums *sums = state;
    TR_ASSERT(is_within(sums, tap->first_sequence, tap->sequences));
    for (int64_t s = 0; s < tap->sequences; s++) {
        double total = 0;
        for (int64_t i = 0; i + 1 < tap->seq_len; i++)
            total += tap->loss[s * tap->seq_len + i];
        *(double *)at(sums, F_LOSS, 0, tap->first_sequence - sums->begin + s, 0) =
            total / (double)(tap->seq_len - 1);
    }
}

static void sums_bytes(const void *state, const void **bytes_p, size_t *size_p) {
    const struct sums *sums = state;
    *bytes_p = sums->block;
    *size_p = sums->bytes;
}

static void join_cell(const struct sums *sums, enum field field, int64_t cell, int64_t begin,
                      int64_t sequences, const char *from) {
    int64_t elements = cell_elements(field, &sums->layout, sequences);
    switch (field_rows[field].join) {
    case PER_SEQUENCE:
        memcpy(at(sums, field, cell, begin - sums->begin, 0), from,
               (size_t)elements * field_rows[field].size);
        return;
    case ADD_U32:
        for (int64_t i = 0; i < elements; i++) {
            uint32_t value;
            memcpy(&value, from + 4 * i, 4);
            *(uint32_t *)at(sums, field, cell, 0, i) += value;
        }
        return;
    case MIN_I64: {
        int64_t value, *to = at(sums, field, cell, 0, 0);
        memcpy(&value, from, 8);
        *to = value < *to ? value : *to;
        return;
    }
    }
}

static enum tr_status sums_join(void *state, int64_t begin, int64_t end, const void *bytes,
                                size_t size, struct tr_err *err) {
    struct sums *sums = state;
    int64_t sequences = end - begin;
    size_t expected = sums_size(&sums->layout, begin, end);
    if (size != expected || begin < sums->begin || end > sums->end)
        return tr_fail(err, TR_EFORMAT,
                       "sums of sequences %lld to %lld have %zu bytes, expected %zu",
                       (long long)begin, (long long)end, size, expected);
    const char *from = bytes;
    for (int field = 0; field < FIELDS; field++) {
        if (!field_present(field, &sums->layout))
            continue;
        size_t stride =
            (size_t)cell_elements(field, &sums->layout, sequences) * field_rows[field].size;
        for (int64_t cell = 0; cell < field_cells(field, &sums->layout); cell++, from += stride)
            join_cell(sums, field, cell, begin, sequences, from);
    }
    return TR_OK;
}

static double f64_at(const struct sums *sums, enum field field, int64_t cell, int64_t sequence,
                     int64_t place) {
    return *(const double *)at(sums, field, cell, sequence, place);
}

static uint32_t u32_at(const struct sums *sums, enum field field, int64_t cell, int64_t sequence,
                       int64_t place) {
    return *(const uint32_t *)at(sums, field, cell, sequence, place);
}

// A sum over the counted tokens of all sequences, in sequence order, over their number.
static double mean_over_tokens(const struct sums *sums, enum field field, int64_t cell) {
    double total = 0, count = 0;
    for (int64_t s = 0; s < sums->end - sums->begin; s++) {
        total += f64_at(sums, field, cell, s, 0);
        count += u32_at(sums, F_COUNT, cell, s, 0);
    }
    return count > 0 ? total / count : NAN;
}

// A variable that is a field's sum over counted tokens, over their number.
struct mean {
    enum tr_variable_id variable;
    enum field field;
};

static const struct mean cell_means[] = {
    {TR_V_SIMILARITY, F_COS},      {TR_V_IMPORTANCE, F_IMPORTANCE}, {TR_V_UPDATE_RATIO, F_RATIO},
    {TR_V_ALIGNMENT, F_ALIGNMENT}, {TR_V_STREAM_NORM, F_NORM},
};

static const struct mean sequence_means[] = {
    {TR_V_IMPORTANCE_SEQ, F_IMPORTANCE},
    {TR_V_UPDATE_RATIO_SEQ, F_RATIO},
    {TR_V_ALIGNMENT_SEQ, F_ALIGNMENT},
    {TR_V_XX_SEQ, F_XX},
    {TR_V_XD_SEQ, F_XD},
    {TR_V_DD_SEQ, F_DD},
};

enum {
    CELL_MEANS = sizeof cell_means / sizeof cell_means[0],
    SEQUENCE_MEANS = sizeof sequence_means / sizeof sequence_means[0]
};

static void finish_sequences(const struct sums *sums, int64_t cell, struct tr_row *row) {
    int64_t sequences = sums->layout.sequences;
    for (int64_t s = 0; s < sequences; s++) {
        uint32_t count = u32_at(sums, F_COUNT, cell, s, 0);
        tr_row_u32(row, TR_V_TOKEN_COUNT)[cell * sequences + s] = count;
        for (int m = 0; m < SEQUENCE_MEANS; m++)
            tr_row_f64(row, sequence_means[m].variable)[cell * sequences + s] =
                count ? f64_at(sums, sequence_means[m].field, cell, s, 0) / count : NAN;
    }
}

static void finish_positions(const struct sums *sums, int64_t cell, struct tr_row *row) {
    int64_t bins = field_width(F_POSITION, &sums->layout);
    for (int64_t bin = 0; bin < bins; bin++) {
        uint32_t count = u32_at(sums, F_POSITION_COUNT, cell, 0, bin);
        double total = 0;
        for (int64_t s = 0; s < sums->layout.sequences; s++)
            total += f64_at(sums, F_POSITION, cell, s, bin);
        tr_row_f32(row, TR_V_IMPORTANCE_POS)[cell * bins + bin] =
            count ? (float)(total / count) : NAN;
    }
}

static void finish_cell(const struct sums *sums, int64_t cell, struct tr_row *row) {
    for (int m = 0; m < CELL_MEANS; m++)
        tr_row_f64(row, cell_means[m].variable)[cell] =
            mean_over_tokens(sums, cell_means[m].field, cell);
    finish_sequences(sums, cell, row);
    finish_positions(sums, cell, row);
    memcpy(tr_row_u32(row, TR_V_IMPORTANCE_HIST) + cell * TR_BINS,
           at(sums, F_HISTOGRAM, cell, 0, 0), TR_BINS * sizeof(uint32_t));
    tr_row_u32(row, TR_V_NONFINITE)[cell] = u32_at(sums, F_NONFINITE, cell, 0, 0);
    int64_t first = *(const int64_t *)at(sums, F_FIRST, cell, 0, 0);
    tr_row_i64(row, TR_V_NONFINITE_FIRST)[cell] = first == INT64_MAX ? -1 : first;
}

// What has no finite token is NaN.
static enum tr_status sums_finish(void *state, int threads, struct tr_row *row,
                                  struct tr_err *err) {
    const struct sums *sums = state;
    (void)threads;
    (void)err;
    const struct tr_layout *layout = &sums->layout;
    TR_ASSERT(sums->begin == 0 && sums->end == layout->sequences); // a row is of all
    for (int64_t cell = 0; cell < layout->layers * TR_MODULES; cell++)
        finish_cell(sums, cell, row);
    if (layout->nll)
        memcpy(tr_row_f64(row, TR_V_NLL), at(sums, F_LOSS, 0, 0, 0),
               (size_t)layout->sequences * sizeof(double));
    if (layout->per_token)
        memcpy(tr_row_f32(row, TR_V_IMPORTANCE_TOKEN), at(sums, F_TOKENS, 0, 0, 0),
               field_bytes(F_TOKENS, layout, layout->sequences));
    return TR_OK;
}

static bool sums_wanted(const struct tr_layout *layout) {
    (void)layout;
    return true;
}

// An item's, the row they become, and its compressed copy.
static double sums_room(const struct tr_layout *layout, int threads) {
    (void)threads;
    return 3 * (double)sums_size(layout, 0, layout->sequences);
}

const struct tr_measure tr_measure_sums = {.name = "sums",
                                           .wanted = sums_wanted,
                                           .new = sums_new,
                                           .free = sums_free,
                                           .tap = sums_tap,
                                           .loss = sums_loss,
                                           .bytes = sums_bytes,
                                           .size = sums_size,
                                           .join = sums_join,
                                           .finish = sums_finish,
                                           .room = sums_room};

// SPDX-License-Identifier: Apache-2.0
// The residual stream of the span tokens (tr_span_token) at every boundary between blocks, for a
// range of calibration sequences: collected while the model runs, joined in order of tokens when a
// checkpoint was split, and compared at the end. Of a layout without spans there is nothing to
// collect, and all of this does nothing.
#include "measure/measures.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "representation.h"

struct spans {
    struct tr_layout layout;
    int64_t boundaries, first, count; // span tokens [first, first + count)
    int64_t *tokens;                  // [count]
    float *rows;                      // [boundaries, count, channels]
};

// How many span tokens lie before a sequence.
static int64_t tokens_before(const struct tr_layout *layout, int64_t sequence) {
    int64_t low = 0, high = layout->span_tokens;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (tr_span_token(layout, middle) < sequence * layout->seq_len)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static size_t stream_bytes(const struct tr_layout *layout, int64_t tokens) {
    return (size_t)(tokens * layout->channels) * sizeof(float);
}

static void spans_free(void *state) {
    struct spans *spans = state;
    if (!spans)
        return;
    free(spans->tokens);
    free(spans->rows);
    free(spans);
}

static enum tr_status spans_new(void **state_p, const struct tr_layout *layout, int64_t begin,
                                int64_t end, struct tr_err *err) {
    static const char what[] = "the streams of span tokens";
    struct spans *spans;
    TR_TRY(TR_NEW(&spans, 1, "spans", err));
    int64_t first = tokens_before(layout, begin), count = tokens_before(layout, end) - first;
    *spans = (struct spans){
        .layout = *layout, .boundaries = layout->layers + 1, .first = first, .count = count};
    enum tr_status status = TR_NEW(&spans->tokens, count, what, err);
    if (status == TR_OK)
        status = TR_NEW(&spans->rows, spans->boundaries * count * layout->channels, what, err);
    if (status != TR_OK) {
        spans_free(spans);
        return status;
    }
    for (int64_t i = 0; i < count; i++)
        spans->tokens[i] = tr_span_token(layout, first + i);
    *state_p = spans;
    return TR_OK;
}

static const int64_t *spans_tokens(const void *state, int64_t *count_p) {
    const struct spans *spans = state;
    *count_p = spans->count;
    return spans->tokens;
}

static float *spans_boundary(void *state, int64_t boundary, int64_t first) {
    const struct spans *spans = state;
    TR_ASSERT(boundary >= 0 && boundary < spans->boundaries);
    TR_ASSERT(first >= 0 && first <= spans->count);
    return spans->rows + (boundary * spans->count + first) * spans->layout.channels;
}

static void spans_bytes(const void *state, const void **bytes_p, size_t *size_p) {
    const struct spans *spans = state;
    *bytes_p = spans->rows;
    *size_p = (size_t)spans->boundaries * stream_bytes(&spans->layout, spans->count);
}

static size_t spans_size(const struct tr_layout *layout, int64_t begin, int64_t end) {
    int64_t count = tokens_before(layout, end) - tokens_before(layout, begin);
    return (size_t)(layout->layers + 1) * stream_bytes(layout, count);
}

static enum tr_status spans_join(void *state, int64_t begin, int64_t end, const void *bytes,
                                 size_t size, struct tr_err *err) {
    struct spans *spans = state;
    const struct tr_layout *layout = &spans->layout;
    int64_t first = tokens_before(layout, begin) - spans->first;
    int64_t count = tokens_before(layout, end) - spans->first - first;
    size_t stride = stream_bytes(layout, count), expected = (size_t)spans->boundaries * stride;
    if (size != expected || first < 0 || first + count > spans->count)
        return tr_fail(err, TR_EFORMAT,
                       "streams of sequences %lld to %lld have %zu bytes, expected %zu",
                       (long long)begin, (long long)end, size, expected);
    for (int64_t boundary = 0; stride && boundary < spans->boundaries; boundary++)
        memcpy(spans_boundary(spans, boundary, first), (const char *)bytes + boundary * stride,
               stride);
    return TR_OK;
}

static void keep_sample(struct spans *spans, float *sample) {
    const struct tr_layout *layout = &spans->layout;
    for (int64_t boundary = 0; boundary < spans->boundaries; boundary++)
        for (int64_t i = 0; i < layout->probes; i++, sample += layout->channels)
            memcpy(sample, spans_boundary(spans, boundary, tr_probe(layout, i)),
                   stream_bytes(layout, 1));
}

// On the host whatever ran the model: there the pieces of a checkpoint meet, and products are f32.
static enum tr_status spans_finish(void *state, int threads, struct tr_row *row,
                                   struct tr_err *err) {
    struct spans *spans = state;
    TR_ASSERT(spans->first == 0 && spans->count == spans->layout.span_tokens); // a row is of all
    struct tr_alignment alignment = {.similarity = tr_row_f32(row, TR_V_SPAN_SIMILARITY),
                                     .cka = tr_row_f32(row, TR_V_CKA),
                                     .cka_debiased = tr_row_f32(row, TR_V_CKA_DEBIASED)};
    keep_sample(spans, tr_row_f32(row, TR_V_STREAM_SAMPLE));
    return tr_align(&alignment, threads, spans->rows, spans->boundaries, spans->count,
                    spans->layout.channels, err);
}

static bool spans_wanted(const struct tr_layout *layout) {
    return layout->span_tokens > 0;
}

// Streams of span tokens: an item's, and on rank 0 those that its pieces are joined into; the
// sample kept in a row and its compressed copy; and what comparing takes.
static double spans_room(const struct tr_layout *layout, int threads) {
    double sample = (double)tr_variable_elements(TR_V_STREAM_SAMPLE, layout) * sizeof(float);
    return 2 * (double)spans_size(layout, 0, layout->sequences) + 2 * sample +
           tr_align_bytes(layout->layers + 1, layout->span_tokens, layout->channels, threads);
}

const struct tr_measure tr_measure_spans = {.name = "spans",
                                            .wanted = spans_wanted,
                                            .new = spans_new,
                                            .free = spans_free,
                                            .tokens = spans_tokens,
                                            .boundary = spans_boundary,
                                            .bytes = spans_bytes,
                                            .size = spans_size,
                                            .join = spans_join,
                                            .finish = spans_finish,
                                            .room = spans_room};

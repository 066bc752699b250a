// SPDX-License-Identifier: Apache-2.0
#include "measure/spans.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "representation.h"

struct tr_spans {
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

double tr_spans_size(const struct tr_layout *layout) {
    return (double)(layout->layers + 1) * (double)stream_bytes(layout, layout->span_tokens);
}

double tr_spans_scratch(const struct tr_layout *layout, int threads) {
    return layout->span_tokens
               ? tr_align_bytes(layout->layers + 1, layout->span_tokens, layout->channels, threads)
               : 0;
}

enum tr_status tr_spans_new(struct tr_spans **spans_p, const struct tr_layout *layout,
                            int64_t begin, int64_t end, struct tr_err *err) {
    static const char what[] = "the streams of span tokens";
    struct tr_spans *spans;
    TR_TRY(TR_NEW(&spans, 1, "spans", err));
    int64_t first = tokens_before(layout, begin), count = tokens_before(layout, end) - first;
    *spans = (struct tr_spans){
        .layout = *layout, .boundaries = layout->layers + 1, .first = first, .count = count};
    enum tr_status status = TR_NEW(&spans->tokens, count, what, err);
    if (status == TR_OK)
        status = TR_NEW(&spans->rows, spans->boundaries * count * layout->channels, what, err);
    if (status != TR_OK) {
        tr_spans_free(spans);
        return status;
    }
    for (int64_t i = 0; i < count; i++)
        spans->tokens[i] = tr_span_token(layout, first + i);
    *spans_p = spans;
    return TR_OK;
}

void tr_spans_free(struct tr_spans *spans) {
    if (!spans)
        return;
    free(spans->tokens);
    free(spans->rows);
    free(spans);
}

const int64_t *tr_spans_tokens(const struct tr_spans *spans, int64_t *count_p) {
    *count_p = spans->count;
    return spans->tokens;
}

float *tr_spans_rows(struct tr_spans *spans, int64_t boundary, int64_t first) {
    return spans->rows + (boundary * spans->count + first) * spans->layout.channels;
}

void tr_spans_bytes(const struct tr_spans *spans, const void **bytes_p, size_t *size_p) {
    *bytes_p = spans->rows;
    *size_p = (size_t)spans->boundaries * stream_bytes(&spans->layout, spans->count);
}

enum tr_status tr_spans_join(struct tr_spans *spans, int64_t begin, int64_t end, const void *bytes,
                             size_t size, struct tr_err *err) {
    const struct tr_layout *layout = &spans->layout;
    int64_t first = tokens_before(layout, begin) - spans->first;
    int64_t count = tokens_before(layout, end) - spans->first - first;
    size_t stride = stream_bytes(layout, count), expected = (size_t)spans->boundaries * stride;
    if (size != expected || first < 0 || first + count > spans->count)
        return tr_fail(err, TR_EFORMAT,
                       "streams of sequences %lld to %lld have %zu bytes, expected %zu",
                       (long long)begin, (long long)end, size, expected);
    for (int64_t boundary = 0; stride && boundary < spans->boundaries; boundary++)
        memcpy(tr_spans_rows(spans, boundary, first), (const char *)bytes + boundary * stride,
               stride);
    return TR_OK;
}

static void keep_sample(struct tr_spans *spans, float *sample) {
    const struct tr_layout *layout = &spans->layout;
    for (int64_t boundary = 0; boundary < spans->boundaries; boundary++)
        for (int64_t i = 0; i < layout->probes; i++, sample += layout->channels)
            memcpy(sample, tr_spans_rows(spans, boundary, tr_probe(layout, i)),
                   stream_bytes(layout, 1));
}

// On the host whatever ran the model: there the pieces of a checkpoint meet, and products are f32.
enum tr_status tr_spans_finish(struct tr_spans *spans, int threads, struct tr_row *row,
                               struct tr_err *err) {
    struct tr_alignment alignment = {.similarity = tr_row_f32(row, TR_V_SPAN_SIMILARITY),
                                     .cka = tr_row_f32(row, TR_V_CKA),
                                     .cka_debiased = tr_row_f32(row, TR_V_CKA_DEBIASED)};
    if (!spans->layout.span_tokens)
        return TR_OK;
    keep_sample(spans, tr_row_f32(row, TR_V_STREAM_SAMPLE));
    return tr_align(&alignment, threads, spans->rows, spans->boundaries, spans->count,
                    spans->layout.channels, err);
}

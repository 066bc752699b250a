// SPDX-License-Identifier: Apache-2.0
// Runs of consecutive blocks, and how far the stream of the same tokens moves between checkpoints.
#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "computation.h"
#include "statistics/span_window.h"

// ---- the best run of each length -------------------------------------------------------------

struct matrices {
    int64_t boundaries, claimed;
    double *similarity; // [claimed, boundaries, boundaries]
    double **over;      // [AN_AGGREGATES] of them, each [boundaries, boundaries]
};

// NaN stays.
static double lower(double a, double b) {
    return a < b || isnan(a) ? a : b;
}

static enum tr_status read_similarity(struct matrices *m, const struct an_series *series,
                                      const struct tr_trace *trace, struct tr_err *err) {
    int64_t cells = m->boundaries * m->boundaries;
    float *values;
    TR_TRY(TR_NEW(&values, cells, "span similarities", err));
    enum tr_status status = TR_OK;
    for (int64_t c = 0; c < m->claimed && status == TR_OK; c++) {
        const struct an_checkpoint *checkpoint = &series->checkpoint[series->claim[c]];
        status = tr_trace_read(trace, TR_V_SPAN_SIMILARITY, checkpoint->row, 1, values, err);
        for (int64_t i = 0; i < cells && status == TR_OK; i++) {
            double *worst = &m->over[AN_WORST][i];
            m->similarity[c * cells + i] = values[i];
            m->over[AN_MEAN][i] += checkpoint->weight * values[i];
            *worst = c ? lower(*worst, values[i]) : values[i];
            m->over[AN_LAST][i] = values[i];
        }
    }
    free(values);
    return status;
}

static void judge(struct an_span *span, const struct matrices *m, const struct an_series *series) {
    int64_t cells = m->boundaries * m->boundaries;
    for (int64_t c = 0; c < m->claimed; c++) {
        const double *similarity = m->similarity + c * cells;
        struct an_window best = {0};
        bool any =
            an_best_window(&best, similarity, m->boundaries, span->length, 0, m->boundaries - 1);
        double importance =
            1.0 - similarity[span->start * m->boundaries + span->start + span->length];
        span->worst = fmax(span->worst, importance);
        span->last = importance;
        span->last_start = any ? best.first : -1;
        if (any && best.first == span->start)
            span->share += series->checkpoint[series->claim[c]].weight;
    }
}

static enum tr_status find_spans(struct an_spans *spans, const struct an_series *series,
                                 const struct tr_trace *trace, struct tr_err *err) {
    struct matrices m = {
        .boundaries = series->layers + 1, .claimed = series->claimed, .over = spans->similarity};
    uint64_t cells = (uint64_t)(m.boundaries * m.boundaries), all;
    enum tr_status status;
    if (!tr_mul(cells, (uint64_t)m.claimed, &all))
        return tr_fail(err, TR_ENOMEM, "out of memory for the span similarities");
    TR_TRY(TR_NEW(&spans->span, series->layers, "spans", err));
    TR_GO(status, TR_NEW(&m.similarity, all, "span similarities", err), out);
    for (int over = 0; over < AN_AGGREGATES; over++)
        TR_GO(status, TR_NEW(&spans->similarity[over], cells, "span similarities", err), out);
    TR_GO(status, read_similarity(&m, series, trace, err), out);
    for (int64_t length = 1; length < series->layers; length++) {
        struct an_window best;
        if (!an_best_window(&best, m.over[AN_MEAN], m.boundaries, length, 0, series->layers))
            continue;
        struct an_span *span = &spans->span[spans->lengths++];
        *span = (struct an_span){.length = length,
                                 .start = best.first,
                                 .importance = 1.0 - best.similarity,
                                 .worst = NAN};
        judge(span, &m, series);
    }
out:
    free(m.similarity);
    return status;
}

// ---- drift -----------------------------------------------------------------------------------

// The probes' stream at every boundary of one checkpoint.
struct stream {
    int64_t boundaries, probes, channels;
    float *x;     // [boundaries, probes, channels]
    double *gram; // [boundaries, probes, probes] x x^T with a zero diagonal
    double *norm; // [boundaries, probes]
};

static enum tr_status stream_new(struct stream *stream, int64_t boundaries,
                                 const struct tr_layout *layout, struct tr_err *err) {
    *stream = (struct stream){boundaries, layout->probes, layout->channels, NULL, NULL, NULL};
    int64_t tokens = boundaries * layout->probes;
    TR_TRY(TR_NEW(&stream->x, tokens * layout->channels, "the stream of the probes", err));
    TR_TRY(TR_NEW(&stream->gram, tokens * layout->probes, "the probes' products", err));
    return TR_NEW(&stream->norm, tokens, "the probes' norms", err);
}

static void stream_free(struct stream *stream) {
    free(stream->x);
    free(stream->gram);
    free(stream->norm);
}

static double dot(const float *x, const float *y, int64_t count) {
    double sum = 0.0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)x[i] * y[i];
    return sum;
}

static enum tr_status stream_read(struct stream *stream, const struct tr_trace *trace, int64_t row,
                                  struct tr_err *err) {
    int64_t n = stream->probes;
    TR_TRY(tr_trace_read(trace, TR_V_STREAM_SAMPLE, row, 1, stream->x, err));
    for (int64_t b = 0; b < stream->boundaries; b++)
        for (int64_t i = 0; i < n; i++) {
            const float *x = stream->x + (b * n + i) * stream->channels;
            double *gram = stream->gram + b * n * n;
            stream->norm[b * n + i] = sqrt(dot(x, x, stream->channels));
            for (int64_t j = 0; j < i; j++)
                gram[i * n + j] = gram[j * n + i] =
                    dot(x, stream->x + (b * n + j) * stream->channels, stream->channels);
        }
    return TR_OK;
}

// n (n - 3) HSIC_1 of two products with zero diagonals (Song et al. 2012, JMLR 13, eq. 5):
//   tr(K L) + (1'K1)(1'L1) / ((n - 1)(n - 2)) - 2 / (n - 2) 1'K L1
static double hsic(const double *k, const double *l, int64_t n) {
    double trace = 0.0, sum_k = 0.0, sum_l = 0.0, cross = 0.0, size = (double)n;
    for (int64_t i = 0; i < n; i++) {
        double row_k = 0.0, row_l = 0.0;
        for (int64_t j = 0; j < n; j++) {
            trace += k[i * n + j] * l[i * n + j];
            row_k += k[i * n + j];
            row_l += l[i * n + j];
        }
        sum_k += row_k;
        sum_l += row_l;
        cross += row_k * row_l;
    }
    return trace + sum_k * sum_l / ((size - 1.0) * (size - 2.0)) - 2.0 / (size - 2.0) * cross;
}

// Debiased linear CKA; NaN below 4 tokens.
static double cka(const double *k, const double *l, int64_t n) {
    return n < 4 ? NAN : hsic(k, l, n) / sqrt(hsic(k, k, n) * hsic(l, l, n));
}

// `cosine` is room for the probes.
static enum tr_status compare(struct an_drift *drift, const struct stream *a,
                              const struct stream *b, int64_t boundary, double level,
                              double *cosine, struct tr_err *err) {
    int64_t n = a->probes, at = boundary * n;
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) {
        const float *x = a->x + (at + i) * a->channels, *y = b->x + (at + i) * b->channels;
        cosine[i] = dot(x, y, a->channels) / (a->norm[at + i] * b->norm[at + i]);
        sum += cosine[i];
    }
    struct an_sample sample = {.estimate = sum / (double)n, .sequences = n, .pseudo = cosine};
    drift->cka = cka(a->gram + at * n, b->gram + at * n, n);
    return an_estimate_sample(&drift->cosine, &sample, (struct an_range){-1.0, 1.0}, level, err);
}

static enum tr_status find_drift(struct an_spans *spans, const struct an_series *series,
                                 const struct tr_trace *trace, double level, struct tr_err *err) {
    const struct tr_layout *layout = &tr_trace_info(trace)->layout;
    const struct an_drift none = {{NAN, NAN, NAN}, NAN};
    int64_t boundaries = spans->boundaries, last_one = series->checkpoints - 1;
    struct stream here = {0}, before = {0}, last = {0};
    double *cosine = NULL;
    enum tr_status status;
    TR_GO(status, TR_NEW(&cosine, layout->probes, "drift", err), out);
    TR_GO(status, stream_new(&here, boundaries, layout, err), out);
    TR_GO(status, stream_new(&before, boundaries, layout, err), out);
    TR_GO(status, stream_new(&last, boundaries, layout, err), out);
    TR_GO(status, stream_read(&last, trace, series->checkpoint[last_one].row, err), out);
    for (int64_t c = 0; c <= last_one; c++) {
        TR_GO(status, stream_read(&here, trace, series->checkpoint[c].row, err), out);
        for (int64_t b = 0; b < boundaries; b++) {
            struct an_drift *previous = &spans->previous[c * boundaries + b];
            *previous = none;
            if (c > 0)
                TR_GO(status, compare(previous, &here, &before, b, level, cosine, err), out);
            TR_GO(status,
                  compare(&spans->last[c * boundaries + b], &here, &last, b, level, cosine, err),
                  out);
        }
        struct stream swap = before;
        before = here;
        here = swap;
    }
out:
    stream_free(&here);
    stream_free(&before);
    stream_free(&last);
    free(cosine);
    return status;
}

// ---- both ------------------------------------------------------------------------------------

static enum tr_status fill(struct an_spans *spans, const struct an_series *series,
                           const struct tr_trace *trace, double level, struct tr_err *err) {
    spans->boundaries = series->layers + 1;
    TR_TRY(find_spans(spans, series, trace, err));
    if (!tr_trace_has(trace, TR_V_STREAM_SAMPLE))
        return TR_OK;
    int64_t count = series->checkpoints * spans->boundaries;
    TR_TRY(TR_NEW(&spans->previous, count, "drift", err));
    TR_TRY(TR_NEW(&spans->last, count, "drift", err));
    return find_drift(spans, series, trace, level, err);
}

enum tr_status an_spans_make(struct an_spans **spans_p, const struct an_series *series,
                             const struct tr_trace *trace, double level, struct tr_err *err) {
    struct an_spans *spans;
    if (!tr_trace_has(trace, TR_V_SPAN_SIMILARITY))
        return TR_OK;
    TR_TRY(TR_NEW(&spans, 1, "spans", err));
    enum tr_status status = fill(spans, series, trace, level, err);
    if (status == TR_OK)
        *spans_p = spans;
    else
        an_spans_free(spans);
    return status;
}

void an_spans_free(struct an_spans *spans) {
    if (!spans)
        return;
    free(spans->span);
    for (int over = 0; over < AN_AGGREGATES; over++)
        free(spans->similarity[over]);
    free(spans->previous);
    free(spans->last);
    free(spans);
}

// SPDX-License-Identifier: Apache-2.0
#ifndef TR_SPANS_H
#define TR_SPANS_H

#include <stdint.h>

#include "base/status.h"
#include "model/tap.h"
#include "store/row.h"

// The residual stream of the span tokens (tr_span_token) at every boundary between blocks, for a
// range of calibration sequences: collected while the model runs, joined in order of tokens when a
// checkpoint was split, and compared at the end. Of a layout without spans there is nothing to
// collect, and all of this does nothing.

struct tr_spans;

// Room for the span tokens among calibration sequences [begin, end).
enum tr_status tr_spans_new(struct tr_spans **spans_p, const struct tr_layout *layout,
                            int64_t begin, int64_t end, struct tr_err *err);
void tr_spans_free(struct tr_spans *spans); // accepts NULL

// Bytes of the streams of all span tokens, and what comparing them takes beside.
double tr_spans_size(const struct tr_layout *layout);
double tr_spans_scratch(const struct tr_layout *layout, int threads);

// The tokens, as taps want them: indices into the rows laid end to end; borrowed.
const int64_t *tr_spans_tokens(const struct tr_spans *spans, int64_t *count_p);
// Where the streams of those tokens from `first` on go: f32 [..., channels].
float *tr_spans_rows(struct tr_spans *spans, int64_t boundary, int64_t first);

// The streams as bytes, for sending: *bytes_p is borrowed.
void tr_spans_bytes(const struct tr_spans *spans, const void **bytes_p, size_t *size_p);

// Puts the streams of sequences [begin, end), sent as bytes, into spans that cover that range.
// TR_EFORMAT when the size is not that of such streams.
enum tr_status tr_spans_join(struct tr_spans *spans, int64_t begin, int64_t end, const void *bytes,
                             size_t size, struct tr_err *err);

// Fills a row's span variables from the spans of all sequences, with that many threads of the host
// (at least 1), which the bits do not depend on. The streams are used up.
enum tr_status tr_spans_finish(struct tr_spans *spans, int threads, struct tr_row *row,
                               struct tr_err *err);

#endif

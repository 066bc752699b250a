// SPDX-License-Identifier: Apache-2.0
#ifndef TR_SUMS_H
#define TR_SUMS_H

#include <stdint.h>

#include "base/status.h"
#include "model/tap.h"
#include "store/row.h"

// What a tap measures, for a range of calibration sequences: similarity, importance (He et al.
// 2024, arXiv 2406.15786, eq. 1-6), update ratio, alignment and norms as sums per sequence,
// histograms and profiles over positions. A tap brings the sums of each sequence, derived from the
// tokens' statistics where those are (struct kn_summary), because no value per token may leave a
// device. Sums of neighbouring ranges join exactly: per-sequence values are kept apart until the
// end and then combined in sequence order, so that the result does not depend on how the sequences
// were shared out. Non-finite tokens are counted and left out; tokens without an angle are left out, too.

struct tr_sums;

// Empty sums for calibration sequences [begin, end) of the layout's.
enum tr_status tr_sums_new(struct tr_sums **sums_p, const struct tr_layout *layout, int64_t begin,
                           int64_t end, struct tr_err *err);
void tr_sums_free(struct tr_sums *sums); // accepts NULL

// Bytes that sums over `sequences` sequences take.
size_t tr_sums_size(const struct tr_layout *layout, int64_t sequences);

// Takes one tap's sums; each layer and sequence within range comes once. With layout.per_token the
// tap has the importance of each token.
void tr_sums_tap(struct tr_sums *sums, const struct tr_tap *tap);
void tr_sums_loss(struct tr_sums *sums, const struct tr_loss_tap *tap);

// The sums as bytes, for sending: *bytes_p is borrowed.
void tr_sums_bytes(const struct tr_sums *sums, const void **bytes_p, size_t *size_p);

// Puts the sums of sequences [begin, end), sent as bytes, into sums that cover that range.
// TR_EFORMAT when the size is not that of such sums.
enum tr_status tr_sums_join(struct tr_sums *sums, int64_t begin, int64_t end, const void *bytes,
                            size_t size, struct tr_err *err);

// Fills a row's measured variables from the sums of all sequences. What has no finite token is NaN.
void tr_sums_finish(const struct tr_sums *sums, struct tr_row *row);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef TR_QUANT_REPORT_H
#define TR_QUANT_REPORT_H

#include "quantizer.h"

// What few bits cost. Private to this folder.

// Appends a line a layer: the relative error of each weight's output, tr(E H E^T) / tr(W H W^T) of
// what met it, of the parts.
enum tr_status tr_report_errors(const struct tr_quantizer *q, struct tr_string *told,
                                struct tr_err *err);

// Appends a table of the model as it is in DIR, whole, and without the set where there is one, with
// its weights rounded to nearest, and of the written folder, over the last rows of the text, which
// nothing was calibrated on: mean loss, and from the whole model, paired by row, the added loss,
// the KL divergence of the next token's distribution (nats) and the share of positions with the
// same likeliest token, with two-sided 95 % intervals; and the loss of the folder less that of
// rounding, paired likewise.
enum tr_status tr_report_losses(const struct tr_quantizer *q, struct tr_string *told,
                                struct tr_err *err);

#endif

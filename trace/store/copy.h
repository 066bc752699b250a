// SPDX-License-Identifier: Apache-2.0
#ifndef TR_COPY_H
#define TR_COPY_H

#include "store/excerpt.h"

// Writes an excerpt of a trace as a file of its own. What describes a checkpoint (step, name ...)
// is always in it. A file that keeps all layers and modules is a store itself; any other says so in
// its attribute schema.
enum tr_status tr_excerpt_write(const struct tr_trace *trace, const struct tr_excerpt *excerpt,
                                enum tr_form form, const char *path, struct tr_err *err);

#endif

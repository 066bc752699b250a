// SPDX-License-Identifier: Apache-2.0
#ifndef TR_SORT_H
#define TR_SORT_H

#include <stddef.h>

// qsort with a context for `compare`. Nowhere else is qsort_r called: its arguments stand in
// another order on macOS and the BSDs.
void tr_sort(void *values, size_t count, size_t size,
             int (*compare)(const void *a, const void *b, void *context), void *context);

#endif

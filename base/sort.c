// SPDX-License-Identifier: Apache-2.0
#include "base/sort.h"

#include <stdlib.h>

void tr_sort(void *values, size_t count, size_t size,
             int (*compare)(const void *a, const void *b, void *context), void *context) {
    qsort_r(values, count, size, compare, context);
}

// SPDX-License-Identifier: Apache-2.0
// Two texts with a line break between them: a shape and pairs of slices. What is accepted lies
// within the part and the whole.
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "trainers/nanotron_slices.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const int64_t local[TR_MAX_DIMS] = {64, 32, 4, 2, 1, 1, 1, 1};
    struct tr_slices slices;
    char *text = malloc(size + 1), *pairs;
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = 0;
    pairs = strchr(text, '\n');
    if (pairs)
        *pairs++ = 0;
    if (tr_slices_parse(&slices, text, pairs ? pairs : "", local))
        for (int p = 0; p < slices.count; p++)
            for (int d = 0; d < slices.dims; d++)
                if (slices.pairs[p].from[d] + slices.pairs[p].count[d] > local[d] ||
                    slices.pairs[p].to[d] + slices.pairs[p].count[d] > slices.shape[d])
                    abort();
    free(text);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
// The .metadata of a distributed checkpoint. Names and paths of what is accepted lie within it, and
// numbers are not negative.
#include <stdlib.h>

#include "fuzz.h"
#include "torch/dcp_metadata.h"

static bool all(struct tr_slice name) {
    (void)name;
    return true;
}

static void check(struct tr_slice text, const uint8_t *data, size_t size) {
    const char *begin = (const char *)data;
    if (text.bytes < begin || text.size > (size_t)(begin + size - text.bytes))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct tr_dcp dcp;
    struct tr_err err;
    if (tr_dcp_parse(&dcp, data, size, all, "file", &err) != TR_OK)
        return 0;
    for (int64_t i = 0; i < dcp.tensor_count; i++) {
        const struct tr_dcp_tensor *tensor = &dcp.tensors[i];
        check(tensor->name, data, size);
        for (int64_t c = 0; c < tensor->count; c++) {
            check(tensor->chunks[c].place.path, data, size);
            for (int d = 0; d < tensor->dims; d++)
                if (tensor->chunks[c].begin[d] < 0 || tensor->chunks[c].shape[d] < 1)
                    abort();
        }
    }
    tr_dcp_find(&dcp, "train_state.step");
    tr_dcp_free(&dcp);
    return 0;
}

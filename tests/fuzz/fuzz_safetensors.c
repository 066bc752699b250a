// SPDX-License-Identifier: Apache-2.0
// A whole safetensors file: size of the header, header, data. What is accepted must tile the data.
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct tr_tensor *tensors;
    struct tr_err err;
    int64_t count;
    uint64_t header;
    char *names;
    if (size < sizeof header)
        return 0;
    memcpy(&header, data, sizeof header);
    header = le64toh(header);
    if (header > size - 8 || tr_safetensors_parse((const char *)data + 8, header, size, "file",
                                                  &tensors, &count, &names, &err) != TR_OK)
        return 0;
    uint64_t at = 8 + header;
    for (int64_t i = 0; i < count; i++) {
        if (tensors[i].piece.offset != at || !memchr(tensors[i].name, 0, size))
            abort();
        at += tensors[i].bytes;
    }
    if (at != size)
        abort();
    free(tensors);
    free(names);
    return 0;
}

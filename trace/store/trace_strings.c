// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strings.h"
#include "hdf5_util.h"
#include "trace_reader.h"

// Replaces what HDF5 allocated by strings of our own; what was never written reads as "".
static enum tr_status own_strings(const struct tr_trace *trace, const char *name, char **strings,
                                  int64_t count, struct tr_err *err) {
    enum tr_status status = TR_OK;
    for (int64_t i = 0; i < count; i++) {
        char *read = strings[i] ? strings[i] : "", *copy = NULL;
        if (status == TR_OK && !tr_utf8_valid(read, strlen(read)))
            status = tr_trace_damaged(trace, name, "is not UTF-8", err);
        if (status == TR_OK)
            status = tr_strdup(&copy, read, err);
        H5free_memory(strings[i]);
        strings[i] = copy;
    }
    return status;
}

void tr_trace_free_strings(char **strings, int64_t count) {
    for (int64_t i = 0; strings && i < count; i++)
        free(strings[i]);
    free(strings);
}

enum tr_status tr_trace_read_strings(const struct tr_trace *trace, const char *name, hid_t dataset,
                                     int64_t count, char ***strings_p, struct tr_err *err) {
    char **strings;
    TR_TRY(TR_NEW(&strings, count, name, err));
    enum tr_status status = TR_OK;
    if (H5Dread(dataset, tr_hdf5_string_type(), H5S_ALL, H5S_ALL, H5P_DEFAULT, strings) < 0)
        status = tr_trace_read_failed(trace, name, err);
    enum tr_status owned = own_strings(trace, name, strings, count, status == TR_OK ? err : NULL);
    if (status == TR_OK && owned == TR_OK) {
        *strings_p = strings;
        return TR_OK;
    }
    tr_trace_free_strings(strings, count);
    return status != TR_OK ? status : owned;
}

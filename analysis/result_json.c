// SPDX-License-Identifier: Apache-2.0
#include "analysis/result_json.h"

#include <stdlib.h>

#include "result_tables.h"
#include "store/utf8.h"

enum tr_status an_result_json(json_t **value_p, const struct an_result *result,
                              const struct an_comparison *comparison, struct tr_err *err) {
    char *path = NULL, *other = NULL;
    enum tr_status status;
    TR_GO(status, tr_utf8_copy(&path, result->series.path, err), out);
    TR_GO(status, tr_utf8_copy(&other, comparison ? comparison->path : "", err), out);
    const struct an_json_context context = {.result = result,
                                            .comparison = comparison,
                                            .search = result->search,
                                            .path = path,
                                            .other = other};
    json_t *value = an_json_object(&an_json_result, result, &context);
    if (value)
        *value_p = value;
    else
        status = tr_fail(err, TR_ENOMEM, "out of memory for the analysis as JSON");
out:
    free(path);
    free(other);
    return status;
}

// SPDX-License-Identifier: Apache-2.0
// A directory name. Steps and tokens are unknown or not negative, and the stage is terminated.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ckpt/series.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct tr_name parsed;
    char *name = malloc(size + 1);
    if (!name)
        return 0;
    if (size)
        memcpy(name, data, size);
    name[size] = 0;
    tr_name_parse(name, &parsed);
    if (parsed.step < -1 || !(isnan(parsed.tokens) || parsed.tokens >= 0) ||
        !memchr(parsed.stage, 0, sizeof parsed.stage))
        abort();
    free(name);
    return 0;
}

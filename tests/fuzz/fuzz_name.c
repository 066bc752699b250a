// SPDX-License-Identifier: Apache-2.0
// A directory name. Steps and tokens are unknown or not negative, and the stage is terminated.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ckpt/name.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct tr_name_rules *rules;
    struct tr_name parsed;
    struct tr_err err;
    if (!rules && tr_name_rules_new(&rules, NULL, &err) != TR_OK)
        abort();
    char *name = malloc(size + 1);
    if (!name)
        return 0;
    if (size)
        memcpy(name, data, size);
    name[size] = 0;
    if (tr_name_parse(rules, name, name, &parsed, &err) != TR_OK || parsed.step < -1 ||
        !(isnan(parsed.tokens) || parsed.tokens >= 0) ||
        !memchr(parsed.stage, 0, sizeof parsed.stage) ||
        !memchr(parsed.line, 0, sizeof parsed.line))
        abort();
    free(name);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
#include "opened_weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void require(bool holds, const char *what, const struct tr_err *err) {
    if (holds)
        return;
    fprintf(stderr, "%s: %s\n", what, err->text);
    exit(1);
}

static enum kn_type type_of(const char *name) {
    int type = KN_F32;
    while (type < KN_BF16 && strcmp(name, kn_type_name((enum kn_type)type)) != 0)
        type++;
    return (enum kn_type)type;
}

void opened_weights_open(struct opened_weights *opened, char *const words[3], struct tr_err *err) {
    static const struct tr_wanted wanted = {.head = true};
    const char *threads = getenv("OMP_NUM_THREADS");
    struct kn_options options = {.threads = threads ? (int)strtol(threads, NULL, 10) : 0,
                                 .type = type_of(words[2]),
                                 .error = err->text};
    enum kn_kind kind = strcmp(words[1], "cuda") == 0 ? KN_CUDA : KN_CPU;
    require(kn_open(&opened->kn, kind, &options) == KN_OK, "opening the device", err);
    double memory = opened->kn->unified ? 1e12 : 0.9 * (double)opened->kn->memory_free;
    require(tr_pass_weights_open(&opened->weights, opened->kn, words[0], &wanted, memory, err) ==
                TR_OK,
            words[0], err);
}

void opened_weights_close(struct opened_weights *opened) {
    tr_pass_weights_close(&opened->weights);
    opened->kn->ops->close(opened->kn);
}

// SPDX-License-Identifier: Apache-2.0
#include "layer_names.h"

#include <string.h>

// Modules that hold a model's parts. A file may put the name of one or several before all names, or
// of none.
static const char *const wrappers[] = {"model.",          "transformer.", "decoder.",
                                       "gpt_neox.",       "base_model.",  "pretrained_model.",
                                       "language_model.", "pico_decoder."};

const char *tr_bare_name(const char *name) {
    enum { WRAPPERS = sizeof wrappers / sizeof *wrappers };
    for (int i = 0; i < WRAPPERS; i++)
        if (strncmp(name, wrappers[i], strlen(wrappers[i])) == 0) {
            name += strlen(wrappers[i]);
            i = -1;
        }
    return name;
}

const char *tr_layer_number(const struct tr_family *family, const char *name) {
    const char *pattern = tr_bare_name(family->weights[TR_W_O]);
    size_t size = (size_t)(strchr(pattern, '{') - pattern);
    name = tr_bare_name(name);
    return strncmp(name, pattern, size) == 0 && name[size] >= '0' && name[size] <= '9' ? name + size
                                                                                       : NULL;
}

enum tr_weight tr_layer_role(const struct tr_family *family, const char *name) {
    static const char layer[] = "{layer}";
    const char *number = tr_layer_number(family, name);
    struct tr_name_numbers numbers;
    for (int w = 0; w < TR_WEIGHTS && number; w++) {
        const char *pattern = family->weights[w] ? strstr(family->weights[w], layer) : NULL;
        if (pattern && tr_pattern_match(pattern + strlen(layer),
                                        number + strspn(number, "0123456789"), &numbers))
            return (enum tr_weight)w;
    }
    return TR_WEIGHTS;
}

// SPDX-License-Identifier: Apache-2.0
// A trainer's YAML.
#include "fuzz.h"
#include "trainers/facts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    json_t *facts;
    struct tr_err err;
    int64_t number;
    if (tr_facts_of_yaml(&facts, (const char *)data, size, "file", &err) != TR_OK)
        return 0;
    tr_fact_i64(facts, "n_layer", &number);
    tr_fact_true(facts, "model.bias");
    json_decref(facts);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
// config.json: any bytes give a config whose sizes are sane, or a sentence.
#include "fuzz.h"

#include <stdlib.h>

#include "model/config.h"
#include "model/costs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct tr_config config;
    struct tr_err err;
    if (tr_config_parse(&config, (const char *)data, size, "config.json", &err) != TR_OK)
        return 0;
    bool sane = config.layers >= 1 && config.layers <= TR_MAX_LAYERS && config.hidden >= 1 &&
                config.heads % config.kv_heads == 0 &&
                tr_config_qkv_rows(&config, config.kv_heads) > 0 && config.rope[0].pairs >= 0 &&
                config.rope[0].pairs <= TR_MAX_PAIRS && 2 * config.rope[0].pairs <= config.qk_dim &&
                tr_config_parameters(&config) > 0;
    if (!sane)
        abort();
    float cos_table[4 * TR_MAX_PAIRS], sin_table[4 * TR_MAX_PAIRS];
    tr_rope_tables(&config.rope[0], 4, cos_table, sin_table);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
#ifndef TR_CONFIG_H
#define TR_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "family.h"
#include "status.h"

// A model's shape, read from config.json through its family's row: everything the forward pass
// needs to know besides the weights. All sizes are positive and their products checked.
struct tr_config {
    const struct tr_family *family;
    int64_t layers, hidden, heads, kv_heads, head_dim, ffn, vocabulary, positions;
    float epsilon;
    double rope_theta;
    int64_t rotary_pairs; // pairs of entries of a head that turn
    bool attention_bias, mlp_bias, parallel, tied;
    enum kn_activation activation;
    int32_t end_of_sequence; // the first eos_token_id, -1 when the file has none
};

// Parses config.json's bytes; `path` opens each sentence. TR_EUNSUPPORTED names what is not run
// (model_type, activation, rope type, quantization) and what is known; TR_EFORMAT is for values
// that make no sense.
enum tr_status tr_config_parse(struct tr_config *config, const char *json, size_t size,
                               const char *path, struct tr_err *err);

// Rows of the fused query, key and value projection, and of the MLP's first product.
static inline int64_t tr_config_qkv_rows(const struct tr_config *config) {
    return (config->heads + 2 * config->kv_heads) * config->head_dim;
}
static inline int64_t tr_config_in_rows(const struct tr_config *config) {
    return config->family->gated ? 2 * config->ffn : config->ffn;
}

// Parameters of one block's matrices, and of the whole model (embedding, blocks, head if untied).
double tr_config_block_parameters(const struct tr_config *config);
double tr_config_parameters(const struct tr_config *config);

// Floating-point operations of the forward pass over `tokens` tokens in rows of `seq_len`: 2 per
// weight and token, causal attention, the head when `head`.
double tr_config_flops(const struct tr_config *config, double tokens, int64_t seq_len, bool head);

// Rotary tables cos, sin [seq_len, rotary_pairs], rounded to f32 where the reference
// implementation rounds: the exponent, the frequency, the angle (Su et al. 2021, eq. 15).
void tr_rope_tables(const struct tr_config *config, int64_t seq_len, float *cos_table,
                    float *sin_table);

#endif

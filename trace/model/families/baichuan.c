// SPDX-License-Identifier: Apache-2.0
// Two architectures under one model_type: 7B turns queries and keys, 13B has ALiBi. The published
// files of 7B alone have max_position_embeddings; where the size says otherwise, the file is
// refused. Baichuan 2 shows in the vocabulary only, 125696 against 64000: a resized one counts as
// Baichuan 1, which changes the loss but no importance.
#include "common.h"

#define BAICHUAN                                                                                   \
    .model_type = "baichuan", .rope_objects = TR_ROPE_NONE, .norm = KN_RMS_NORM,                   \
    .qkv = TR_QKV_CONCATENATED, .gated = true, .unit_head = {"vocab_size", 125696, 0},             \
    .activation_key = "hidden_act", .activation = "silu"

#define BAICHUAN_KEYS                                                                              \
    TR_SIZES_AS_LLAMA, [TR_K_EPSILON] = {"rms_norm_eps", 1e-6},                                    \
                       [TR_K_TIED] = {"tie_word_embeddings", false}

#define BAICHUAN_WEIGHTS                                                                           \
    TR_ATTENTION_AS_LLAMA,                                                                         \
        TR_MLP_AS_LLAMA, [TR_W_QKV] = "model.layers.{layer}.self_attn.W_pack.weight"

const struct tr_family tr_family_baichuan_13b = {
    BAICHUAN,
    .series = "Baichuan-13B, Baichuan2-13B",
    .tokenizer_read = true,
    .when = {"max_position_embeddings", 0, 0},
    .refusals = {{{"hidden_size", 4096, 0},
                  "the size of 7B, which needs \"max_position_embeddings\""}},
    .position = TR_ALIBI,
    .keys = {BAICHUAN_KEYS, [TR_K_POSITIONS] = {"model_max_length", 4096}},
    .weights = {BAICHUAN_WEIGHTS},
};

const struct tr_family tr_family_baichuan = {
    BAICHUAN,
    .series = "Baichuan-7B, Baichuan2-7B",
    .training = "Baichuan2-7B",
    .tokenizer_read = true,
    .refusals = {{{"hidden_size", 5120, 0},
                  "the size of 13B, which has ALiBi and no \"max_position_embeddings\""}},
    .position = TR_ROTARY,
    .keys = {BAICHUAN_KEYS},
    .weights = {BAICHUAN_WEIGHTS},
};

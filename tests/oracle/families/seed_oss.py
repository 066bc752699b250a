# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

from families.llama import FAMILY as LLAMA, llama_config


def seed_oss_config(deck, shape):
    return llama_config(deck, shape) | {
        "attention_bias": deck.deal("attention_bias", [True, True, False]),
        "attention_out_bias": deck.deal("attention_out_bias", [False, True]),
    }


FAMILY = replace(
    LLAMA,
    model_type="seed_oss",
    config=seed_oss_config,
    defaults=LLAMA.defaults | {
        "attention_bias": True,
        "attention_out_bias": False,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": 524288,
    },
)

# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

from families.llama import FAMILY as LLAMA, llama_config


def ernie_config(deck, shape):
    config = llama_config(deck, shape) | {"use_bias": deck.deal("use_bias", [False, True])}
    del config["attention_bias"], config["mlp_bias"]
    return config


FAMILY = replace(
    LLAMA,
    model_type="ernie4_5",
    config=ernie_config,
    defaults={
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0,
        "rope_scaling": None,
        "tie_word_embeddings": True,
        "use_bias": False,
        "num_key_value_heads": 2,
        "head_dim": 128,
        "max_position_embeddings": 131072,
    },
)

# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

from families.gpt2 import FAMILY as GPT2, gpt2_config


def bigcode_config(deck, shape):
    config = gpt2_config(deck, shape)
    del config["scale_attn_by_inverse_layer_idx"], config["reorder_and_upcast_attn"]
    return config | {
        "activation_function": deck.deal("bigcode_act", ["gelu_pytorch_tanh"] * 4 + ["gelu"]),
        "multi_query": deck.deal("multi_query", [True, False]),
    }


FAMILY = replace(
    GPT2,
    model_type="gpt_bigcode",
    config=bigcode_config,
    defaults={
        "n_inner": None,
        "n_positions": 1024,
        "activation_function": "gelu_pytorch_tanh",
        "layer_norm_epsilon": 1e-5,
        "scale_attn_weights": True,
        "add_cross_attention": False,
        "multi_query": True,
        "tie_word_embeddings": True,
    },
)

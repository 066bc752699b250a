# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

from family import common_config
from families.gpt2 import FAMILY as GPT2


def mpt_config(deck, shape):
    hidden, heads = shape
    config = common_config(deck)
    config["max_seq_len"] = config.pop("max_position_embeddings")
    return config | {
        "d_model": hidden,
        "n_heads": heads,
        "layer_norm_epsilon": deck.deal("layer_norm_epsilon", [1e-5, 1e-6, 1e-3]),
        "tie_word_embeddings": deck.deal("tied", [True, True, False]),
        "attn_config": {
            "clip_qkv": deck.deal("clip_qkv", [None, 6.0, 0.5]),
            "softmax_scale": deck.deal("softmax_scale", [None, None, 0.3]),
        },
    }


FAMILY = replace(
    GPT2,
    model_type="mpt",
    config=mpt_config,
    shapes=((64, 4), (80, 5), (96, 6), (75, 3), (48, 1), (128, 8), (60, 12), (112, 7)),
    small_shapes=((24, 4), (20, 5), (21, 3), (16, 2)),
    layers="transformer.blocks",
    mlp="ffn.down_proj",
    writes=("out_proj", "down_proj"),
    defaults={
        "expansion_ratio": 4,
        "max_seq_len": 2048,
        "layer_norm_epsilon": 1e-5,
        "no_bias": True,
        "logit_scale": None,
        "norm_type": "low_precision_layernorm",
        "tie_word_embeddings": True,
    },
)

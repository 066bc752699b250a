# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

from family import common_config
from families.gpt2 import FAMILY as GPT2


def gptj_config(deck, shape):
    hidden, heads, rotary_dim, inner = shape
    return common_config(deck) | {
        "n_embd": hidden,
        "n_head": heads,
        "n_inner": inner,
        "rotary_dim": rotary_dim,
        "activation_function": deck.deal("activation", ["gelu_new"] * 4 + ["gelu"]),
        "layer_norm_epsilon": deck.deal("layer_norm_epsilon", [1e-5, 1e-6, 1e-3]),
        "tie_word_embeddings": deck.deal("tied", [False, False, True]),
    }


FAMILY = replace(
    GPT2,
    model_type="gptj",
    config=gptj_config,
    #       d   heads rotary ffn
    shapes=((64, 4, 4, None), (80, 5, 16, 131), (96, 3, 8, 96), (128, 4, 32, None), (60, 6, 2, 61),
            (147, 3, 12, 100), (56, 7, 6, 37), (40, 1, 10, 109)),
    small_shapes=((24, 4, 2, 29), (20, 5, 4, 31), (24, 2, 6, None), (18, 3, 6, 19)),
    writes=("out_proj", "fc_out"),
    parallel=lambda config: True,
    base="",  # it lacks the bias of the head
    attention="sdpa",  # the eager kind rounds queries and keys to float32
    defaults={
        "n_inner": None,
        "n_positions": 2048,
        "rotary_dim": 64,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5,
        "tie_word_embeddings": False,
    },
)

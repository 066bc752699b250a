# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

from families.llama import FAMILY as LLAMA, llama_config


def arcee_config(deck, shape):
    return llama_config(deck, shape) | {
        "hidden_act": deck.deal("arcee_act", ["relu2"] * 5 + ["silu"]),
    }


FAMILY = replace(
    LLAMA,
    model_type="arcee",
    config=arcee_config,
    defaults=LLAMA.defaults | {
        "hidden_act": "relu2",
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 4096,
    },
)

# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

from families.glm import FAMILY as GLM, glm_config


def nemotron_config(deck, shape):
    config = glm_config(deck, shape) | {
        "hidden_act": deck.deal("nemotron_act", ["relu2"] * 5 + ["gelu"]),
        "norm_eps": deck.deal("norm_eps", [1e-5, 1e-6, 1e-3]),
        "attention_bias": deck.deal("attention_bias", [False, True]),
        "mlp_bias": deck.deal("mlp_bias", [False, True]),
    }
    del config["rms_norm_eps"]
    return config


FAMILY = replace(
    GLM,
    model_type="nemotron",
    config=nemotron_config,
    norm_offset=1.0,
    defaults={
        "hidden_act": "relu2",
        "norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "rope_scaling": None,
        "partial_rotary_factor": 0.5,
        "tie_word_embeddings": False,
        "attention_bias": False,
        "mlp_bias": False,
        "head_dim": lambda config: config["hidden_size"] // config["num_attention_heads"],
        "max_position_embeddings": 4096,
    },
)

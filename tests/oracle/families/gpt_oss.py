# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

from families.apertus import apertus_old_style
from families.llama import FAMILY as LLAMA, llama_config, window_types
from mxfp4 import pack_experts

CLASS_ROPE = {"rope_type": "yarn", "rope_theta": 150000.0, "factor": 32.0, "beta_fast": 32.0,
              "beta_slow": 1.0, "truncate": False, "original_max_position_embeddings": 4096}


def class_scaling(config):
    """The class's, where the base is the class's too: transformers 5 gives up both together."""
    scaling = {key: value for key, value in CLASS_ROPE.items() if key != "rope_theta"}
    if "type" in config["rope_scaling"]:
        scaling["type"] = scaling.pop("rope_type")
    return scaling if config.get("rope_theta", 150000.0) == 150000.0 else None


def gpt_oss_config(deck, shape):
    config = llama_config(deck, shape)
    layers = deck.deal("oss_layers", [2, 3, 4])
    experts, used = deck.deal("experts", [(8, 2), (4, 1), (16, 4), (5, 5)])
    del config["mlp_bias"]
    if deck.deal("class_rope", [True, False, False]):
        config["rope_parameters"] = dict(CLASS_ROPE)
        config["max_position_embeddings"] = max(256, config["max_position_embeddings"])
    inner = 32 if shape[0] % 32 == 0 and deck.deal("whole_blocks", [True, False]) else min(
        shape[-1], deck.deal("inner", [20, 7, 33]))
    return config | {
        "num_hidden_layers": layers,
        "intermediate_size": inner,
        "hidden_act": "silu",
        "attention_bias": deck.deal("biased", [True, True, False]),
        "num_local_experts": experts,
        "num_experts_per_tok": used,
        "sliding_window": deck.deal("window", [5, 128, 21]),
        "swiglu_limit": deck.deal("limit", [7.0, 0.5]),
        "swiglu_alpha": deck.deal("alpha", [1.702, 1.0]),
        "layer_types": window_types(deck, layers, 2),
    }


FAMILY = replace(
    LLAMA,
    model_type="gpt_oss",
    config=gpt_oss_config,
    small_shapes=((16, 4, 2, 6, 5), (20, 5, 1, 12, 7), (12, 3, 3, 8, 9), (32, 2, 1, 16, 32)),
    old_style=apertus_old_style,
    defaults={
        "rms_norm_eps": 1e-5,
        "rope_theta": 150000.0,
        "rope_scaling": class_scaling,
        "tie_word_embeddings": False,
        "attention_bias": True,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "sliding_window": 128,
        "num_experts_per_tok": 4,
        "num_local_experts": 128,
        "swiglu_limit": 7.0,
        "swiglu_alpha": 1.702,
        "layer_types": lambda config: [
            "full_attention" if i % 2 else "sliding_attention"
            for i in range(config["num_hidden_layers"])],
    },
    router="mlp.router",
    packs=lambda config: config["hidden_size"] % 32 == config["intermediate_size"] % 32 == 0,
    pack=pack_experts,
)

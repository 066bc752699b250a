# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

from families.deepseek_v3 import sigmoid_routes
from families.llama import FAMILY as LLAMA, llama_config, window_types


def dots1_config(deck, shape):
    config = llama_config(deck, shape)
    layers = deck.deal("dots_layers", [2, 3, 4])
    del config["mlp_bias"]
    return config | sigmoid_routes(deck) | {
        "num_hidden_layers": layers,
        "moe_intermediate_size": deck.deal("moe_intermediate_size", [20, 7, 33]),
        "n_shared_experts": deck.deal("shared", [1, 2]),
        "first_k_dense_replace": deck.deal("dense", [0, 1, 2]),
        "routed_scaling_factor": deck.deal("routed_scale", [1.0, 2.5]),
        "sliding_window": deck.deal("window", [5, 4096, 21]),
        "max_window_layers": deck.deal("max_window_layers", [62, 1]),
        "layer_types": window_types(deck, layers, 3),
    }


FAMILY = replace(
    LLAMA,
    model_type="dots1",
    sigmoid_router=lambda config: True,
    config=dots1_config,
    defaults={key: value for key, value in LLAMA.defaults.items()
              if key not in ("mlp_bias", "num_key_value_heads")} | {
        "first_k_dense_replace": 0,
        "norm_topk_prob": False,
        "routed_scaling_factor": 1.0,
        "sliding_window": 4096,
        "max_window_layers": 62,
        "layer_types": lambda config: [
            "sliding_attention" if i >= config.get("max_window_layers", 62) else "full_attention"
            for i in range(config["num_hidden_layers"])],
    },
    router="mlp.gate",
)

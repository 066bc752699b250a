# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

from families.ernie4_5 import FAMILY as ERNIE, ernie_config

# start, interval and, from the model's, end of the layers with experts
SPARSE = ((0, 1, 0), (1, 1, 0), (0, 2, 0), (0, 1, 1), (2, 1, 0))


def ernie_moe_config(deck, shape):
    experts, used = deck.deal("experts", [(8, 2), (4, 1), (60, 6), (5, 2), (16, 8)])
    start, interval, end = deck.deal("sparse", SPARSE)
    layers = deck.deal("ernie_layers", [2, 3, 4])
    return ernie_config(deck, shape) | {
        "num_hidden_layers": layers,
        "use_bias": False,
        "moe_num_experts": experts,
        "moe_k": used,
        "moe_intermediate_size": deck.deal("moe_intermediate_size", [20, 7, 33]),
        "moe_num_shared_experts": deck.deal("shared", [2, 1, 0]),
        "moe_layer_start_index": start,
        "moe_layer_interval": interval,
        "moe_layer_end_index": layers - 1 - end,
    }


FAMILY = replace(
    ERNIE,
    model_type="ernie4_5_moe",
    config=ernie_moe_config,
    small_shapes=((16, 4, 2, 6, 13), (20, 5, 1, 12, 17), (12, 3, 3, 8, 14), (16, 2, 1, 16, 9)),
    defaults={key: value for key, value in ERNIE.defaults.items() if key != "head_dim"} | {
        "num_key_value_heads": 4,
        "moe_num_experts": 64,
        "moe_k": 6,
        "moe_num_shared_experts": 2,
        "moe_layer_start_index": 1,
        "moe_layer_interval": 1,
        "moe_layer_end_index": lambda config: config["num_hidden_layers"] - 1,
        "moe_norm_min": 1e-12,
    },
    router="mlp.gate",
)

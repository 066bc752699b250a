# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

from families.hunyuan_v1_dense import FAMILY as HUNYUAN, hunyuan_config


def hunyuan_moe_config(deck, shape):
    config = hunyuan_config(deck, shape)
    experts, used = deck.deal("experts", [(8, 2), (4, 1), (16, 5), (3, 3)])
    listed = deck.deal("listed", [False, True])  # as in the published files
    return config | {
        "intermediate_size": min(shape[-1], deck.deal("intermediate", [20, 37, 9])),
        "num_experts": experts,
        "moe_topk": [used] * config["num_hidden_layers"] if listed else used,
    }


FAMILY = replace(
    HUNYUAN,
    model_type="hunyuan_v1_moe",
    config=hunyuan_moe_config,
    small_shapes=((16, 4, 2, 6, 5), (20, 5, 1, 12, 7), (12, 3, 3, 8, 9), (16, 2, 1, 16, 6)),
    defaults=HUNYUAN.defaults | {"moe_topk": 1},
    router="mlp.gate",
)

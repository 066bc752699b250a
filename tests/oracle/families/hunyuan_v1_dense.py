# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

from families.llama import FAMILY as LLAMA, llama_config


def hunyuan_config(deck, shape):
    config = llama_config(deck, shape)
    del config["mlp_bias"]
    if deck.deal("alpha", [True, False, False]):  # as in the published files
        config["rope_parameters"] = {
            "rope_type": "dynamic", "factor": 1.0, "alpha": deck.deal("by", [1000.0, 2.5]),
            "rope_theta": config["rope_parameters"]["rope_theta"]}
        config["max_position_embeddings"] = deck.deal("alpha_positions", [150, 4096])
    return config


FAMILY = replace(
    LLAMA,
    model_type="hunyuan_v1_dense",
    config=hunyuan_config,
    defaults={key: value for key, value in LLAMA.defaults.items()
              if key not in ("mlp_bias", "head_dim")} | {"rms_norm_eps": 1e-5},
)

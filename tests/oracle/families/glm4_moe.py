# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

from families.deepseek_v3 import sigmoid_routes
from families.glm import FAMILY as GLM, glm_config


def glm4_moe_config(deck, shape):
    return glm_config(deck, shape) | sigmoid_routes(deck) | {
        "num_hidden_layers": deck.deal("glm_layers", [2, 3, 4]),
        "moe_intermediate_size": deck.deal("moe_intermediate_size", [20, 7, 33]),
        "n_shared_experts": deck.deal("shared", [1, 2]),
        "first_k_dense_replace": deck.deal("dense", [0, 1, 2]),
        "routed_scaling_factor": deck.deal("routed_scale", [1.0, 2.5]),
        "use_qk_norm": deck.deal("use_qk_norm", [False, True]),
    }


FAMILY = replace(
    GLM,
    model_type="glm4_moe",
    sigmoid_router=lambda config: True,
    config=glm4_moe_config,
    small_shapes=((16, 4, 2, 8, 0.5, 13), (20, 5, 1, 8, 0.5, 17), (12, 3, 3, 8, 1.0, 14),
                  (16, 2, 1, 16, 0.25, 9)),
    defaults={key: value for key, value in GLM.defaults.items() if key != "head_dim"} | {
        "rms_norm_eps": 1e-5,
        "attention_bias": False,
        "num_key_value_heads": 8,
        "n_shared_experts": 1,
        "first_k_dense_replace": 1,
        "norm_topk_prob": True,
        "routed_scaling_factor": 1.0,
        "use_qk_norm": False,
        "n_group": 1,
        "topk_group": 1,
    },
    router="mlp.gate",
    ahead=True,
)

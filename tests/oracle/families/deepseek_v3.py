# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

from families.deepseek_v2 import FAMILY as DEEPSEEK_V2, deepseek_v2_config
from family import rename

# experts, of them used, groups, of them used
ROUTES = ((8, 2, 1, 1), (12, 3, 4, 2), (64, 6, 8, 3), (6, 4, 3, 2), (16, 8, 2, 1))


def sigmoid_routes(deck):
    experts, used, groups, groups_used = deck.deal("sigmoid_routes", ROUTES)
    return {"n_routed_experts": experts, "num_experts_per_tok": used, "n_group": groups,
            "topk_group": groups_used, "norm_topk_prob": deck.deal("norm_topk_prob", [True, True, False])}


def deepseek_v3_config(deck, shape):
    config = deepseek_v2_config(deck, shape)
    del config["topk_method"]
    return config | sigmoid_routes(deck)


def deepseek_v3_old_style(config):
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    rename(rope, rope_type="type")
    config.pop("head_dim", None)
    config |= {"moe_layer_freq": 1, "scoring_func": "sigmoid", "topk_method": "noaux_tc"}
    rename(config, dtype="torch_dtype")


FAMILY = replace(
    DEEPSEEK_V2,
    model_type="deepseek_v3",
    sigmoid_router=lambda config: True,
    ahead=True,
    config=deepseek_v3_config,
    old_style=deepseek_v3_old_style,
    defaults={
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "rope_scaling": None,
        "tie_word_embeddings": False,
        "attention_bias": False,
        "first_k_dense_replace": 3,
        "n_shared_experts": 1,
        "norm_topk_prob": True,
        "routed_scaling_factor": 2.5,
        "moe_layer_freq": 1,
        "scoring_func": "sigmoid",
        "topk_method": "noaux_tc",
        "max_position_embeddings": 4096,
    },
)

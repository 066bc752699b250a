# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config, rename

ROUTES = (
    {"n_routed_experts": 8, "num_experts_per_tok": 2, "topk_method": "greedy"},
    {"n_routed_experts": 12, "num_experts_per_tok": 3, "topk_method": "group_limited_greedy",
     "n_group": 4, "topk_group": 2},
    {"n_routed_experts": 64, "num_experts_per_tok": 6, "topk_method": "greedy", "n_group": 1,
     "topk_group": 1},
    {"n_routed_experts": 8, "num_experts_per_tok": 2, "topk_method": "group_limited_greedy",
     "n_group": 8, "topk_group": 3},
    {"n_routed_experts": 6, "num_experts_per_tok": 4, "topk_method": "greedy", "n_group": 3,
     "topk_group": 1},
)
ROPES = (
    {"rope_type": "default"},
    {"rope_type": "yarn", "factor": 40.0, "mscale": 0.707, "mscale_all_dim": 0.707,
     "original_max_position_embeddings": 16, "beta_fast": 32.0, "beta_slow": 1.0},
    {"rope_type": "yarn", "factor": 4.0, "mscale": 1.0, "mscale_all_dim": 0.5,
     "original_max_position_embeddings": 64, "beta_fast": 8.0, "beta_slow": 0.5},
    {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 32},
)


def deepseek_v2_config(deck, shape):
    hidden, heads, q_rank, kv_rank, nope, rope, value, intermediate, expert = shape
    return common_config(deck) | deck.deal("routes", ROUTES) | {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "q_lora_rank": q_rank,
        "kv_lora_rank": kv_rank,
        "qk_nope_head_dim": nope,
        "qk_rope_head_dim": rope,
        "v_head_dim": value,
        "intermediate_size": intermediate,
        "moe_intermediate_size": expert,
        "n_shared_experts": deck.deal("shared", [1, 2]),
        "first_k_dense_replace": deck.deal("dense", [0, 1, 2]),
        "routed_scaling_factor": deck.deal("routed_scale", [1.0, 16.0, 2.5]),
        "hidden_act": deck.deal("hidden_act", ["silu"] * 8 + ["gelu"]),
        "rms_norm_eps": deck.deal("rms_norm_eps", [1e-6, 1e-5, 1e-3]),
        "tie_word_embeddings": deck.deal("tied", [False, True]),
        "rope_parameters": deck.deal("rope", ROPES)
        | {"rope_theta": deck.deal("rope_theta", [10000.0, 1000000.0, 100.0])},
    }


def deepseek_v2_old_style(config):
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    rename(rope, rope_type="type")
    config.pop("head_dim")
    config |= {"moe_layer_freq": 1, "scoring_func": "softmax", "aux_loss_alpha": 0.001}
    rename(config, dtype="torch_dtype")


FAMILY = Family(
    model_type="deepseek_v2",
    config=deepseek_v2_config,
    #       d   heads q_rank kv_rank nope rope value ffn expert
    shapes=((64, 4, None, 16, 16, 8, 16, 60, 20), (80, 5, 24, 20, 12, 6, 10, 31, 40),
            (96, 6, 40, 32, 32, 16, 24, 48, 7), (64, 8, None, 9, 8, 4, 12, 37, 25),
            (72, 3, 7, 48, 20, 32, 20, 50, 11)),
    small_shapes=((16, 2, 6, 8, 6, 4, 5, 13, 5), (20, 4, None, 6, 4, 2, 4, 7, 4)),
    layers="model.layers",
    attn="self_attn",
    mlp="mlp",
    writes=("o_proj", "down_proj"),
    parallel=lambda config: False,
    old_style=deepseek_v2_old_style,
    defaults={
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "rope_scaling": None,
        "tie_word_embeddings": False,
        "attention_bias": False,
        "mlp_bias": False,
        "first_k_dense_replace": 0,
        "n_group": None,
        "topk_group": None,
        "topk_method": "greedy",
        "n_shared_experts": 2,
        "n_routed_experts": 64,
        "norm_topk_prob": False,
        "routed_scaling_factor": 1.0,
        "moe_layer_freq": 1,
        "scoring_func": "softmax",
        "max_position_embeddings": 2048,
    },
    router="mlp.gate",
)

# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config
from ours.deepseek import DeepSeek


def deepseek_config(deck, shape):
    hidden, heads, kv_heads, experts, used, expert_ffn = shape
    return common_config(deck) | {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "intermediate_size": 3 * expert_ffn + 1,
        "moe_intermediate_size": expert_ffn,
        "n_routed_experts": experts,
        "num_experts_per_tok": used,
        "n_shared_experts": deck.deal("n_shared_experts", [2, 1, None]),
        "first_k_dense_replace": deck.deal("first_k_dense_replace", [0, 1, 1, 2]),
        "moe_layer_freq": deck.deal("moe_layer_freq", [1, 1, 2]),
        "norm_topk_prob": deck.deal("norm_topk_prob", [False, False, True]),
        "hidden_act": "silu",
        "rms_norm_eps": deck.deal("rms_norm_eps", [1e-6, 1e-5]),
        "attention_bias": deck.deal("attention_bias", [False, False, True]),
        "rope_theta": deck.deal("rope_theta", [10000.0, 500.0]),
        "rope_scaling": deck.deal("rope_scaling", [None, None, {"type": "linear", "factor": 2.0}]),
        "tie_word_embeddings": False,
    }


FAMILY = Family(
    model_type="deepseek",
    config=deepseek_config,
    model=DeepSeek,
    #       d   heads kv experts used expert_ffn
    shapes=((64, 4, 4, 8, 2, 24), (80, 5, 1, 16, 6, 13), (48, 3, 3, 5, 3, 31), (96, 6, 2, 12, 4, 16),
            (64, 8, 8, 64, 6, 8), (72, 3, 1, None, 2, 40), (40, 5, 5, 3, 2, 17), (64, 2, 2, 8, 8, 12)),
    small_shapes=((24, 4, 4, 4, 2, 9), (20, 5, 1, 5, 2, 7), (24, 3, 3, 6, 3, 5), (16, 2, 1, 4, 2, 8)),
    layers="model.layers",
    attn="self_attn",
    mlp="mlp",
    router="mlp.gate",
    writes=("o_proj", "down_proj"),
    parallel=lambda config: False,
    old_style=lambda config: None,  # there is no other
    defaults={
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "attention_bias": False,
        "rope_theta": 10000.0,
        "rope_scaling": None,
        "tie_word_embeddings": False,
        "num_key_value_heads": lambda config: config["num_attention_heads"],
        "max_position_embeddings": 2048,
        "n_routed_experts": None,
        "n_shared_experts": None,
        "first_k_dense_replace": 0,
        "moe_layer_freq": 1,
        "norm_topk_prob": False,
        "scoring_func": "softmax",
    },
)

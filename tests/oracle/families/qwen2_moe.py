# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config
from families.qwen2 import qwen2_old_style

WINDOWS = (
    {"use_sliding_window": False},
    {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1},
    {"use_sliding_window": True, "sliding_window": 13, "max_window_layers": 3},
    {"use_sliding_window": True, "sliding_window": 4},
)
LAYERS = (
    {"decoder_sparse_step": 1},
    {"decoder_sparse_step": 2},
    {"decoder_sparse_step": 1, "mlp_only_layers": [0]},
)


def experts_config(deck):
    experts, used = deck.deal("experts", [(8, 2), (4, 1), (60, 4), (3, 3), (16, 8)])
    return {
        "num_experts_per_tok": used,
        "num_experts": experts,
        "norm_topk_prob": deck.deal("norm_topk_prob", [False, True]),
    } | deck.deal("sparse_layers", LAYERS)


def qwen2_moe_config(deck, shape):
    hidden, heads, kv_heads, intermediate, expert, shared = shape
    return common_config(deck) | experts_config(deck) | {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "intermediate_size": intermediate,
        "moe_intermediate_size": expert,
        "shared_expert_intermediate_size": shared,
        "hidden_act": deck.deal("hidden_act", ["silu"] * 8 + ["gelu"]),
        "rms_norm_eps": deck.deal("rms_norm_eps", [1e-6, 1e-5, 1e-8]),
        "qkv_bias": deck.deal("qkv_bias", [True, True, False]),
        "tie_word_embeddings": deck.deal("tied", [False, True]),
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": deck.deal("rope_theta", [10000.0, 1000000.0, 100.0]),
        },
    } | deck.deal("window", WINDOWS)


FAMILY = Family(
    model_type="qwen2_moe",
    config=qwen2_moe_config,
    #       d   heads kv ffn expert shared
    shapes=((64, 4, 2, 60, 20, 50), (80, 5, 1, 31, 40, 11), (96, 6, 3, 48, 7, 96),
            (64, 16, 16, 37, 25, 25)),
    small_shapes=((16, 4, 2, 13, 5, 9), (20, 5, 1, 7, 9, 4), (12, 3, 3, 14, 4, 15)),
    layers="model.layers",
    attn="self_attn",
    mlp="mlp",
    writes=("o_proj", "down_proj"),
    parallel=lambda config: False,
    old_style=qwen2_old_style,
    defaults={
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "use_sliding_window": False,
        "sliding_window": 4096,
        "max_window_layers": 28,
        "num_key_value_heads": 16,
        "num_experts": 60,
        "num_experts_per_tok": 4,
        "norm_topk_prob": False,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "qkv_bias": True,
        "max_position_embeddings": 32768,
    },
    router="mlp.gate",
)

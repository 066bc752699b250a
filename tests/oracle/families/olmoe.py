# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config, rename
from ropes import old_rope


def olmoe_config(deck, shape):
    hidden, heads, kv_heads, intermediate = shape
    experts, used = deck.deal("experts", [(8, 2), (4, 1), (64, 8), (3, 3), (16, 4)])
    return common_config(deck) | {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "intermediate_size": intermediate,
        "hidden_act": deck.deal("hidden_act", ["silu"] * 8 + ["gelu"]),
        "rms_norm_eps": deck.deal("rms_norm_eps", [1e-5, 1e-6, 1e-8]),
        "attention_bias": deck.deal("attention_bias", [False, True]),
        "clip_qkv": deck.deal("clip_qkv", [None, 0.7, 2.0]),
        "tie_word_embeddings": deck.deal("tied", [False, True]),
        "num_experts": experts,
        "num_experts_per_tok": used,
        "norm_topk_prob": deck.deal("norm_topk_prob", [False, True]),
        "pad_token_id": None,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": deck.deal("rope_theta", [10000.0, 500000.0, 100.0]),
        },
    }


def olmoe_old_style(config):
    old_rope(config)
    rename(config, dtype="torch_dtype")


FAMILY = Family(
    model_type="olmoe",
    config=olmoe_config,
    #       d   heads kv ffn
    shapes=((64, 8, 8, 60), (80, 5, 1, 31), (96, 6, 3, 48), (80, 5, 5, 37), (64, 2, 1, 25)),
    small_shapes=((16, 4, 2, 13), (20, 5, 1, 7), (12, 3, 3, 14), (16, 2, 2, 9)),
    layers="model.layers",
    attn="self_attn",
    mlp="mlp",
    writes=("o_proj", "down_proj"),
    parallel=lambda config: False,
    old_style=olmoe_old_style,
    defaults={
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "rope_scaling": None,
        "tie_word_embeddings": False,
        "attention_bias": False,
        "clip_qkv": None,
        "num_experts": 64,
        "num_experts_per_tok": 8,
        "norm_topk_prob": False,
        "num_key_value_heads": lambda config: config["num_attention_heads"],
        "max_position_embeddings": 4096,
    },
    router="mlp.gate",
)

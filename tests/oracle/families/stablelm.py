# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config, rename
from ropes import old_rope


def stablelm_config(deck, shape):
    hidden, heads, kv_heads, fraction, intermediate = shape
    return common_config(deck) | {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "intermediate_size": intermediate,
        "hidden_act": deck.deal("hidden_act", ["silu"] * 4 + ["gelu"]),
        "layer_norm_eps": deck.deal("layer_norm_eps", [1e-5, 1e-6, 1e-3]),
        "tie_word_embeddings": deck.deal("tied", [False, False, True]),
        "use_qkv_bias": deck.deal("use_qkv_bias", [False, True]),
        "qk_layernorm": deck.deal("qk_layernorm", [False, True, True]),
        "use_parallel_residual": deck.deal("parallel", [True, False]),
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": deck.deal("rope_theta", [10000.0, 100.0]),
            "partial_rotary_factor": fraction,
        },
    }


def stablelm_old_style(config):
    old_rope(config, fraction="partial_rotary_factor")
    rename(config, dtype="torch_dtype")


FAMILY = Family(
    model_type="stablelm",
    config=stablelm_config,
    # d, heads, kv, share of a head that turns, ffn
    shapes=((64, 4, 2, 0.25, 160), (80, 5, 1, 0.25, 131), (96, 6, 3, 0.5, 96),
            (64, 32, 32, 1.0, 64), (120, 5, 5, 0.25, 37), (72, 3, 1, 0.25, 250),
            (128, 4, 4, 0.25, 257), (160, 10, 2, 0.5, 33), (48, 6, 6, 0.25, 100)),
    small_shapes=((32, 4, 2, 0.25, 33), (40, 5, 1, 0.25, 37), (24, 3, 3, 0.25, 24),
                  (16, 2, 1, 1.0, 29)),
    layers="model.layers",
    attn="self_attn",
    mlp="mlp",
    writes=("o_proj", "down_proj"),
    parallel=lambda config: config.use_parallel_residual,
    old_style=stablelm_old_style,
    defaults={
        "hidden_act": "silu",
        "layer_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "partial_rotary_factor": 0.25,
        "tie_word_embeddings": False,
        "use_qkv_bias": False,
        "qk_layernorm": False,
        "use_parallel_residual": False,
        "num_key_value_heads": 32,
        "max_position_embeddings": 4096,
    },
)

# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config
from families.qwen2 import WINDOWS, qwen2_old_style


def qwen3_config(deck, shape):
    hidden, heads, kv_heads, head_dim, intermediate = shape
    return common_config(deck) | {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "intermediate_size": intermediate,
        "hidden_act": deck.deal("hidden_act", ["silu"] * 8 + ["gelu", "relu"]),
        "rms_norm_eps": deck.deal("rms_norm_eps", [1e-6, 1e-5, 1e-8]),
        "attention_bias": deck.deal("attention_bias", [False, True]),
        "tie_word_embeddings": deck.deal("tied", [False, True]),
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": deck.deal("rope_theta", [10000.0, 1000000.0, 100.0]),
        },
    } | deck.deal("window", WINDOWS)


FAMILY = Family(
    model_type="qwen3",
    config=qwen3_config,
    #       d   heads kv head_dim ffn
    shapes=((64, 4, 2, 16, 160), (80, 5, 1, 24, 131), (96, 6, 3, 32, 96), (80, 5, 5, 16, 37),
            (64, 32, 32, 6, 70), (72, 8, 2, 40, 129), (128, 2, 2, 128, 257), (100, 2, 1, 128, 61)),
    small_shapes=((24, 4, 2, 6, 33), (20, 5, 1, 12, 37), (21, 3, 3, 8, 24), (16, 2, 1, 16, 29)),
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
        "attention_bias": False,
        "use_sliding_window": False,
        "sliding_window": 4096,
        "max_window_layers": 28,
        "num_key_value_heads": 32,
        "head_dim": 128,
        "max_position_embeddings": 32768,
    },
)

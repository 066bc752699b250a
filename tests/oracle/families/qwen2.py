# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config, rename
from ropes import old_rope


def qwen2_config(deck, shape):
    hidden, heads, kv_heads, intermediate = shape
    return common_config(deck) | {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "intermediate_size": intermediate,
        "hidden_act": deck.deal("hidden_act", ["silu"] * 8 + ["gelu", "relu"]),
        "rms_norm_eps": deck.deal("rms_norm_eps", [1e-6, 1e-5, 1e-8]),
        "tie_word_embeddings": deck.deal("tied", [False, True]),
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": deck.deal("rope_theta", [10000.0, 1000000.0, 100.0]),
        },
    } | deck.deal("window", WINDOWS)


WINDOWS = (
    {"use_sliding_window": False},
    {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1},
    {"use_sliding_window": True, "sliding_window": 13, "max_window_layers": 0},
    {"use_sliding_window": True, "sliding_window": 9, "max_window_layers": 2},
    {"use_sliding_window": True, "sliding_window": 4},
)


def qwen2_old_style(config):
    old_rope(config)
    config.pop("layer_types")
    if config["sliding_window"] is None:
        config["sliding_window"] = 6  # older files keep a window that is not used
    rename(config, dtype="torch_dtype")


FAMILY = Family(
    model_type="qwen2",
    config=qwen2_config,
    #       d   heads kv ffn
    shapes=((64, 4, 2, 160), (80, 5, 1, 131), (96, 6, 3, 96), (80, 5, 5, 37), (64, 32, 32, 70),
            (72, 4, 2, 129), (128, 4, 4, 257), (100, 2, 1, 61)),
    small_shapes=((24, 4, 2, 33), (20, 5, 1, 37), (24, 3, 3, 24), (16, 2, 1, 29)),
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
        "num_key_value_heads": 32,
        "max_position_embeddings": 32768,
    },
)

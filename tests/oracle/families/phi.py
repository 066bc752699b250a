# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config, rename
from ropes import old_rope


def phi_config(deck, shape):
    hidden, heads, kv_heads, fraction, intermediate = shape
    return common_config(deck) | {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "intermediate_size": intermediate,
        "hidden_act": deck.deal("hidden_act", ["gelu_new"] * 4 + ["gelu"]),
        "layer_norm_eps": deck.deal("layer_norm_eps", [1e-5, 1e-6, 1e-3]),
        "tie_word_embeddings": deck.deal("tied", [False, False, True]),
        "qk_layernorm": deck.deal("qk_layernorm", [False, True]),
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": deck.deal("rope_theta", [10000.0, 100.0]),
            "partial_rotary_factor": fraction,
        },
    }


def phi_old_style(config):
    old_rope(config, fraction="partial_rotary_factor")
    rename(config, dtype="torch_dtype")


FAMILY = Family(
    model_type="phi",
    config=phi_config,
    # d, heads, kv, share of a head that turns, ffn
    shapes=((64, 4, 4, 0.5, 256), (80, 1, 1, 0.4, 131), (96, 6, 3, 0.5, 96), (80, 5, 5, 0.5, 37),
            (100, 5, 1, 0.4, 250), (128, 4, 4, 0.5, 257), (48, 6, 6, 1.0, 100)),
    small_shapes=((32, 4, 4, 0.5, 33), (40, 5, 1, 0.5, 37), (30, 3, 3, 0.4, 24), (16, 2, 1, 1.0, 29)),
    layers="model.layers",
    attn="self_attn",
    mlp="mlp",
    writes=("dense", "fc2"),
    parallel=lambda config: True,
    old_style=phi_old_style,
    defaults={
        "hidden_act": "gelu_new",
        "layer_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "partial_rotary_factor": 0.5,
        "tie_word_embeddings": False,
        "qk_layernorm": False,
        "num_key_value_heads": lambda config: config["num_attention_heads"],
        "max_position_embeddings": 2048,
    },
)

# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config, rename
from ropes import old_rope


def mistral_config(deck, shape):
    hidden, heads, kv_heads, head_dim, intermediate = shape
    return common_config(deck) | {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "intermediate_size": intermediate,
        "hidden_act": deck.deal("hidden_act", ["silu"] * 8 + ["gelu", "gelu_pytorch_tanh"]),
        "rms_norm_eps": deck.deal("rms_norm_eps", [1e-6, 1e-5, 1e-8]),
        "sliding_window": deck.deal("sliding_window", [5, None, 1, 40, 4096, 11]),
        "tie_word_embeddings": deck.deal("tied", [False, True]),
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": deck.deal("rope_theta", [10000.0, 1000000.0, 100.0]),
        },
    }


def mistral_old_style(config):
    old_rope(config)
    rename(config, dtype="torch_dtype")


FAMILY = Family(
    model_type="mistral",
    config=mistral_config,
    #       d   heads kv head_dim ffn
    shapes=((64, 8, 8, 8, 160), (80, 5, 1, 24, 131), (96, 6, 3, 32, 96), (80, 5, 5, 16, 37),
            (48, 3, 1, 16, 250), (72, 8, 2, 40, 129), (128, 4, 4, 32, 257), (100, 2, 1, 128, 61)),
    small_shapes=((24, 4, 2, 6, 33), (20, 5, 1, 12, 37), (21, 3, 3, 8, 24), (16, 8, 8, 4, 29)),
    layers="model.layers",
    attn="self_attn",
    mlp="mlp",
    writes=("o_proj", "down_proj"),
    parallel=lambda config: False,
    old_style=mistral_old_style,
    defaults={
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "sliding_window": 4096,
        "num_key_value_heads": 8,
        "head_dim": lambda config: config["hidden_size"] // config["num_attention_heads"],
        "max_position_embeddings": 131072,
    },
)

# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config, rename
from ropes import old_rope


def starcoder2_config(deck, shape):
    hidden, heads, kv_heads, intermediate = shape
    return common_config(deck) | {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "intermediate_size": intermediate,
        "hidden_act": deck.deal("hidden_act", ["gelu_pytorch_tanh"] * 4 + ["gelu"]),
        "norm_epsilon": deck.deal("norm_epsilon", [1e-5, 1e-6, 1e-3]),
        "use_bias": deck.deal("use_bias", [True, True, False]),
        "sliding_window": deck.deal("sliding_window", [5, None, 1, 40, 4096, 11]),
        "tie_word_embeddings": deck.deal("tied", [True, False]),
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": deck.deal("rope_theta", [10000.0, 1000000.0, 100.0]),
        },
    }


def starcoder2_old_style(config):
    old_rope(config)
    rename(config, dtype="torch_dtype")


FAMILY = Family(
    model_type="starcoder2",
    config=starcoder2_config,
    #       d   heads kv ffn
    shapes=((64, 4, 2, 256), (80, 5, 1, 131), (96, 6, 3, 96), (80, 5, 5, 37), (48, 3, 1, 250),
            (72, 6, 2, 129), (128, 4, 4, 257), (64, 8, 2, 64), (160, 10, 2, 33)),
    small_shapes=((24, 4, 2, 33), (20, 5, 1, 37), (24, 3, 3, 24), (16, 2, 1, 29)),
    layers="model.layers",
    attn="self_attn",
    mlp="mlp",
    writes=("o_proj", "c_proj"),
    parallel=lambda config: False,
    old_style=starcoder2_old_style,
    defaults={
        "hidden_act": "gelu_pytorch_tanh",
        "norm_epsilon": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
        "use_bias": True,
        "sliding_window": None,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
    },
)

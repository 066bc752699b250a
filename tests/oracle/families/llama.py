# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config, rename
from ropes import old_rope, rope_scaling

def flat_rope(deck):
    """The unscaled rotation, or a linear one, which needs nothing else of the config."""
    rope = deck.deal("flat_rope", [{"rope_type": "default"}, {"rope_type": "default"},
                                   {"rope_type": "linear", "factor": 3.0}])
    return rope | {"rope_theta": deck.deal("rope_theta", [10000.0, 500000.0, 2000000.0, 100.0])}


def window_types(deck, layers, period):
    """layer_types: every period-th layer sees everything, or layers drawn at random do."""
    if deck.deal("types", ["drawn", "regular", "regular"]) == "drawn":
        return [deck.rng.choice(["full_attention", "sliding_attention"]) for _ in range(layers)]
    return ["full_attention" if (i + 1) % period == 0 else "sliding_attention"
            for i in range(layers)]


def llama_config(deck, shape):
    hidden, heads, kv_heads, head_dim, intermediate = shape
    rope, positions = rope_scaling(deck, head_dim // 2)
    config = common_config(deck) | {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "intermediate_size": intermediate,
        "hidden_act": deck.deal("hidden_act", ["silu"] * 8 + ["gelu", "gelu_pytorch_tanh"]),
        "rms_norm_eps": deck.deal("rms_norm_eps", [1e-6, 1e-5, 1e-8]),
        "tie_word_embeddings": deck.deal("tied", [False, True]),
        "attention_bias": deck.deal("attention_bias", [False, False, True]),
        "mlp_bias": deck.deal("mlp_bias", [False, False, True]),
        "rope_parameters": rope
        | {"rope_theta": deck.deal("rope_theta", [10000.0, 500000.0, 130000.0, 100.0])},
    }
    return config | ({"max_position_embeddings": positions} if positions else {})


def llama_old_style(config):
    old_rope(config)
    rename(config, dtype="torch_dtype")


FAMILY = Family(
    model_type="llama",
    config=llama_config,
    #       d   heads kv head_dim ffn
    shapes=((64, 4, 2, 16, 160), (80, 5, 1, 24, 131), (96, 6, 3, 32, 96), (80, 5, 5, 16, 37),
            (48, 3, 1, 16, 250), (72, 8, 2, 40, 129), (128, 4, 4, 32, 257), (64, 8, 4, 8, 64),
            (56, 7, 7, 24, 100), (100, 2, 1, 128, 61), (60, 12, 3, 6, 77), (160, 10, 2, 80, 33)),
    small_shapes=((24, 4, 2, 6, 33), (20, 5, 1, 12, 37), (21, 3, 3, 8, 24), (16, 2, 1, 16, 29)),
    layers="model.layers",
    attn="self_attn",
    mlp="mlp",
    writes=("o_proj", "down_proj"),
    parallel=lambda config: False,
    old_style=llama_old_style,
    defaults={
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "rope_scaling": None,
        "tie_word_embeddings": False,
        "attention_bias": False,
        "mlp_bias": False,
        "num_key_value_heads": lambda config: config["num_attention_heads"],
        "head_dim": lambda config: config["hidden_size"] // config["num_attention_heads"],
        "max_position_embeddings": 2048,
    },
)

# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config, rename


def phi3_config(deck, shape):
    hidden, heads, kv_heads, fraction, intermediate = shape
    config = common_config(deck) | {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "intermediate_size": intermediate,
        "hidden_act": deck.deal("hidden_act", ["silu"] * 4 + ["gelu"]),
        "rms_norm_eps": deck.deal("rms_norm_eps", [1e-5, 1e-6]),
        "sliding_window": deck.deal("sliding_window", [None, None, 5, 40, 2047]),
        "tie_word_embeddings": deck.deal("tied", [False, True]),
        "pad_token_id": 0,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": deck.deal("rope_theta", [10000.0, 100.0]),
            "partial_rotary_factor": fraction,
        },
    }
    if deck.deal("longrope", [True, True, False]):
        pairs = int(hidden // heads * fraction) // 2
        config["max_position_embeddings"] = deck.deal("long_positions", [8192, 4096])
        config["original_max_position_embeddings"] = deck.deal("original", [8, 16, 64, 4096])
        config["rope_parameters"] |= {
            "rope_type": "longrope",
            "short_factor": [1 + deck.rng.random() for _ in range(pairs)],
            "long_factor": [1 + 20 * deck.rng.random() for _ in range(pairs)],
        }
    return config


def phi3_old_style(config):
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["partial_rotary_factor"] = rope.pop("partial_rotary_factor")
    config["rope_scaling"] = None
    if rope.pop("rope_type") == "longrope":
        # "su" and "yarn" are how the first files spelled it; transformers 5 reads "su" only with
        # the original positions in the object, though they are at the top level too.
        kind = ("longrope", "yarn", "su")[config["num_hidden_layers"] % 3]
        if kind != "su":
            del rope["original_max_position_embeddings"]
        config["rope_scaling"] = rope | {"type": kind}
    rename(config, dtype="torch_dtype")


FAMILY = Family(
    model_type="phi3",
    config=phi3_config,
    # d, heads, kv, share of a head that turns, ffn
    shapes=((64, 4, 2, 1.0, 160), (80, 5, 1, 1.0, 131), (96, 6, 3, 0.75, 96), (80, 5, 5, 0.5, 37),
            (48, 3, 1, 0.75, 250), (128, 4, 4, 1.0, 257), (160, 10, 2, 0.75, 33)),
    small_shapes=((24, 4, 2, 1.0, 33), (40, 5, 1, 0.75, 37), (24, 3, 3, 0.5, 24), (16, 2, 1, 1.0, 29)),
    layers="model.layers",
    attn="self_attn",
    mlp="mlp",
    writes=("o_proj", "down_proj"),
    parallel=lambda config: False,
    scaled=False,  # longrope only, which it draws itself
    old_style=phi3_old_style,
    defaults={
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "rope_scaling": None,
        "partial_rotary_factor": 1.0,
        "original_max_position_embeddings": 4096,
        "tie_word_embeddings": False,
        "sliding_window": None,
        "num_key_value_heads": lambda config: config["num_attention_heads"],
        "max_position_embeddings": 4096,
    },
)

# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config
from ours.baichuan import Baichuan


def baichuan_config(deck, shape):
    hidden, heads, intermediate = shape
    config = common_config(deck) | {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "intermediate_size": intermediate,
        "hidden_act": "silu",
        "rms_norm_eps": deck.deal("rms_norm_eps", [1e-6, 1e-5]),
        "tie_word_embeddings": False,
        "model_max_length": 256,
    }
    if deck.deal("size", ["7B", "13B"]) == "13B":
        del config["max_position_embeddings"]
    if deck.deal("generation", [1, 2] if hidden <= 16 else [1]) == 2:
        config["vocab_size"] = 125696
    return config


FAMILY = Family(
    model_type="baichuan",
    config=baichuan_config,
    model=Baichuan,
    #       d   heads ffn; Baichuan 2 is told by its vocabulary, so its models are narrow
    shapes=((64, 4, 160), (12, 2, 31), (80, 5, 131), (16, 1, 40), (96, 6, 96), (8, 2, 19),
            (72, 12, 37), (12, 3, 29), (80, 20, 129), (16, 4, 33)),
    small_shapes=((24, 4, 33), (20, 5, 37), (24, 3, 24), (28, 7, 29)),
    layers="model.layers",
    attn="self_attn",
    mlp="mlp",
    writes=("o_proj", "down_proj"),
    parallel=lambda config: False,
    old_style=lambda config: None,  # there is no other
    defaults={"hidden_act": "silu", "rms_norm_eps": 1e-6, "tie_word_embeddings": False},
)

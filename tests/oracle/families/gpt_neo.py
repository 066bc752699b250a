# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

from family import common_config
from families.gpt2 import FAMILY as GPT2, gpt2_old_style

KINDS = {  # attention_types, and how many layers they are for
    2: [[["global", "local"], 1]],
    3: [[["local"], 2], [["global"], 1]],
    4: [[["global", "local"], 2]],
    5: [[["global"], 1], [["local", "global"], 2]],
}


def gpt_neo_config(deck, shape):
    hidden, heads, inner = shape
    layers = 2 if hidden < 30 else deck.deal("neo_layers", sorted(KINDS))  # fixtures have 2
    lists = {"attention_types": KINDS[layers]}
    if deck.deal("words", [False, True]):  # they win over what repeats
        lists |= {"attention_layers": [deck.rng.choice(["global", "local"]) for _ in range(layers)]}
    return common_config(deck) | lists | {
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "num_heads": heads,
        "intermediate_size": inner,
        "window_size": deck.deal("window", [2, 5, 11, 30, 256]),
        "activation_function": deck.deal("activation", ["gelu_new"] * 4 + ["gelu"]),
        "layer_norm_epsilon": deck.deal("layer_norm_epsilon", [1e-5, 1e-6, 1e-3]),
        "tie_word_embeddings": deck.deal("tied", [True, True, False]),
    }


def gpt_neo_old_style(config):
    """Without the list of words, where it says what repeats."""
    words = [word for words, times in config["attention_types"] for word in words * times]
    if config["attention_layers"] == words:
        del config["attention_layers"]
    gpt2_old_style(config)


FAMILY = replace(
    GPT2,
    model_type="gpt_neo",
    config=gpt_neo_config,
    writes=("out_proj", "mlp.c_proj"),
    old_style=gpt_neo_old_style,
    defaults={
        "intermediate_size": None,
        "max_position_embeddings": 2048,
        "window_size": 256,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5,
        "tie_word_embeddings": True,
    },
)

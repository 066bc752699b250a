# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

from families.gemma3_text import types_of
from families.llama import llama_old_style, window_types
from families.olmo2 import FAMILY as OLMO2, olmo2_config


def exaone4_config(deck, shape):
    config = olmo2_config(deck, shape)
    layers = deck.deal("exaone_layers", [2, 3, 4, 5])
    window = deck.deal("window", [None, 2, 5, 11, 30, 4096])
    period = deck.deal("period", [4, 2, 3])
    pattern = deck.deal("pattern", [period, "LLLG", period])
    del config["attention_bias"]
    return config | {
        "num_hidden_layers": layers,
        "sliding_window": window,
        "sliding_window_pattern": pattern if window else 0,
        "layer_types": window_types(deck, layers, period) if window else ["full_attention"] * layers,
    }


def exaone4_old_style(config):
    period = config["sliding_window_pattern"]
    if isinstance(period, int) and period and config["layer_types"] == types_of(config, period):
        del config["layer_types"]
    llama_old_style(config)


FAMILY = replace(
    OLMO2,
    model_type="exaone4",
    config=exaone4_config,
    old_style=exaone4_old_style,
    defaults={key: value for key, value in OLMO2.defaults.items() if key != "attention_bias"} | {
        "sliding_window": 4096,
        "num_key_value_heads": 32,
    },
)

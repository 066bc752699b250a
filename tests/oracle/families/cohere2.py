# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

from families.cohere import FAMILY as COHERE, cohere_config
from families.gemma3_text import types_of
from families.llama import llama_old_style, window_types


def cohere2_config(deck, shape):
    config = cohere_config(deck, shape)
    layers = deck.deal("cohere2_layers", [2, 3, 4, 5])
    del config["use_qk_norm"]
    return config | {
        "num_hidden_layers": layers,
        "sliding_window": deck.deal("window", [2, 5, 11, 30, 4096]),
        "layer_types": window_types(deck, layers, deck.deal("period", [4, 2, 3])),
    }


def period_old_style(config):
    """A period instead of a list of layers."""
    for period in (2, 3, 4):
        if config.get("layer_types") == types_of(config, period):
            config["sliding_window_pattern"] = period
            del config["layer_types"]
    llama_old_style(config)


FAMILY = replace(
    COHERE,
    model_type="cohere2",
    config=cohere2_config,
    # heads fill the width: of another head_dim the versions of the class differ
    shapes=tuple(shape for shape in COHERE.shapes if shape[1] * shape[3] == shape[0])
    + ((96, 6, 2, 16, 61), (56, 7, 1, 8, 100), (160, 10, 2, 16, 33)),
    small_shapes=((24, 4, 2, 6, 33), (20, 5, 1, 4, 37), (24, 3, 3, 8, 24), (16, 2, 1, 8, 29)),
    old_style=period_old_style,
    defaults={key: value for key, value in COHERE.defaults.items() if key != "use_qk_norm"} | {
        "rope_theta": 10000.0,
        "sliding_window": 4096,
        "sliding_window_pattern": 4,
        "layer_types": lambda config: types_of(config, config.get("sliding_window_pattern", 4)),
    },
)

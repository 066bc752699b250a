# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config
from families.minicpm import FAMILY as MINICPM
from ours.pico_decoder import PicoDecoder


def pico_config(deck, shape):
    hidden, heads, kv_heads, intermediate = shape
    return common_config(deck) | {
        "d_model": hidden,
        "attention_n_heads": heads,
        "attention_n_kv_heads": kv_heads,
        "activation_hidden_dim": intermediate,
        "norm_eps": deck.deal("norm_eps", [1e-6, 1e-5, 1e-3]),
        "position_emb_theta": deck.deal("position_emb_theta", [10000.0, 500.0]),
        "batch_size": 4,
    }


FAMILY = Family(
    model_type="pico_decoder",
    config=pico_config,
    model=PicoDecoder,
    shapes=MINICPM.shapes,
    small_shapes=MINICPM.small_shapes,
    layers="pico_decoder.layers",
    attn="attention",
    mlp="swiglu",
    writes=("o_proj", "w_2"),
    parallel=lambda config: False,
    old_style=lambda config: None,  # there is no other
    scaled=False,
    defaults={},  # every key stands in the file
)

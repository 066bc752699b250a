# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config
from families.minicpm import FAMILY as MINICPM
from ours.internlm import InternLM


def internlm_config(deck, shape):
    hidden, heads, _, intermediate = shape
    return common_config(deck) | {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "intermediate_size": intermediate,
        "hidden_act": deck.deal("hidden_act", ["silu"] * 4 + ["gelu"]),
        "rms_norm_eps": deck.deal("rms_norm_eps", [1e-6, 1e-5, 1e-3]),
        "bias": deck.deal("bias", [True, True, False]),
        "rotary": {"base": deck.deal("base", [10000, 500]),
                   "type": deck.deal("rotary", ["dynamic", "origin"])},
    }


FAMILY = Family(
    model_type="internlm",
    config=internlm_config,
    model=InternLM,
    shapes=MINICPM.shapes,
    small_shapes=MINICPM.small_shapes,
    layers="model.layers",
    attn="self_attn",
    mlp="mlp",
    writes=("o_proj", "down_proj"),
    parallel=lambda config: False,
    old_style=lambda config: None,  # there is no other
    scaled=False,
    defaults={
        "hidden_act": "silu",
        "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-6,
        "bias": True,
        "rotary": {"base": 10000, "type": "dynamic"},
        "tie_word_embeddings": False,
    },
)

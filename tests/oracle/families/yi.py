# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config
from families.deepseek import FAMILY as DEEPSEEK
from ours.yi import Yi


def yi_config(deck, shape):
    hidden, heads, kv_heads, _, _, ffn = shape
    return common_config(deck) | {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "intermediate_size": ffn,
        "rms_norm_eps": deck.deal("rms_norm_eps", [1e-6, 1e-5]),
        "rope_theta": deck.deal("rope_theta", [10000.0, 5000000.0]),
    }


FAMILY = Family(
    model_type="Yi",
    config=yi_config,
    model=Yi,
    shapes=DEEPSEEK.shapes,
    small_shapes=DEEPSEEK.small_shapes,
    layers="model.layers",
    attn="self_attn",
    mlp="mlp",
    writes=("o_proj", "down_proj"),
    parallel=lambda config: False,
    old_style=lambda config: None,  # there is no other
    scaled=False,
    defaults=Yi.DEFAULTS,
)

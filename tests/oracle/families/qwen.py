# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config
from families.minicpm import FAMILY as MINICPM
from ours.qwen import Qwen


def qwen_config(deck, shape):
    hidden, heads, _, intermediate = shape
    config = common_config(deck)
    config["seq_length"] = config.pop("max_position_embeddings")
    return config | {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "kv_channels": deck.deal("kv_channels", [16, 24, 12]),
        "intermediate_size": 2 * intermediate,
        "rotary_pct": deck.deal("rotary_pct", [1.0, 1.0, 0.5]),
        "rotary_emb_base": deck.deal("rotary_emb_base", [10000, 1000000]),
        "layer_norm_epsilon": deck.deal("layer_norm_epsilon", [1e-6, 1e-5]),
    }


FAMILY = Family(
    model_type="qwen",
    config=qwen_config,
    model=Qwen,
    shapes=MINICPM.shapes,
    small_shapes=MINICPM.small_shapes,
    layers="transformer.h",
    attn="attn",
    mlp="mlp",
    writes=("c_proj",),
    parallel=lambda config: False,
    old_style=lambda config: None,  # there is no other
    scaled=False,
    defaults={"rotary_pct": 1.0, "rotary_emb_base": 10000, "layer_norm_epsilon": 1e-6, "no_bias": True,
              "use_dynamic_ntk": True, "use_logn_attn": True, "scale_attn_weights": True,
              "tie_word_embeddings": False},
)

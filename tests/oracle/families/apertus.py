# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config
from families.llama import FAMILY as LLAMA, llama_old_style
from ropes import rope_scaling

CLASS_ROPE = {"rope_type": "llama3", "rope_theta": 12000000.0, "factor": 8.0,
              "original_max_position_embeddings": 8192, "low_freq_factor": 1.0,
              "high_freq_factor": 4.0}


def apertus_config(deck, shape):
    hidden, heads, kv_heads, head_dim, intermediate = shape
    rope, positions = rope_scaling(deck, head_dim // 2)
    rope |= {"rope_theta": deck.deal("rope_theta", [12000000.0, 10000.0, 300.0])}
    if deck.deal("class_rope", [True, False, False]):
        rope, positions = dict(CLASS_ROPE), None
    return common_config(deck) | {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "intermediate_size": intermediate,
        "hidden_act": deck.deal("hidden_act", ["xielu"] * 5 + ["gelu"]),
        "rms_norm_eps": deck.deal("rms_norm_eps", [1e-5, 1e-6, 1e-3]),
        "tie_word_embeddings": deck.deal("tied", [False, True]),
        "attention_bias": deck.deal("attention_bias", [False, False, True]),
        "rope_parameters": rope,
    } | ({"max_position_embeddings": positions} if positions else {})


def apertus_old_style(config):
    """A null rope_scaling would mean the class's to transformers 5."""
    llama_old_style(config)
    config["rope_scaling"] = config["rope_scaling"] or {"rope_type": "default"}


def class_scaling(config):
    """The class's, where the base is the class's too: transformers 5 gives up both together."""
    scaling = {key: value for key, value in CLASS_ROPE.items() if key != "rope_theta"}
    if "type" in config["rope_scaling"]:
        scaling["type"] = scaling.pop("rope_type")
    return scaling if config.get("rope_theta", 12000000.0) == 12000000.0 else None


FAMILY = Family(
    model_type="apertus",
    config=apertus_config,
    shapes=LLAMA.shapes,
    small_shapes=LLAMA.small_shapes,
    layers="model.layers",
    attn="self_attn",
    mlp="mlp",
    writes=("o_proj", "down_proj"),
    parallel=lambda config: False,
    old_style=apertus_old_style,
    defaults=LLAMA.defaults | {
        "hidden_act": "xielu",
        "rms_norm_eps": 1e-5,
        "rope_theta": 12000000.0,
        "rope_scaling": class_scaling,
        "max_position_embeddings": 65536,
    },
)

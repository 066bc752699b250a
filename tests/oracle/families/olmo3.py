# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config, rename
from families.llama import FAMILY as LLAMA, window_types
from ropes import rope_scaling


def nested_rope(deck, pairs, full_theta, local_theta):
    """rope_parameters for each kind of layer; only full layers are scaled."""
    rope, positions = rope_scaling(deck, pairs)
    rope.pop("truncate", None)  # transformers looks for it outside the nested object
    full = rope | {"rope_theta": full_theta}
    local = {"rope_type": "default", "rope_theta": local_theta}
    nested = {"full_attention": full, "sliding_attention": local}
    return nested, {"max_position_embeddings": positions} if positions else {}


def olmo3_config(deck, shape):
    hidden, heads, kv_heads, head_dim, intermediate = shape
    theta, local = deck.deal("thetas", [(500000.0, 500000.0), (500000.0, 500000.0), (5e4, 300.0)])
    rope, positions = nested_rope(deck, head_dim // 2, theta, local)
    layers = deck.deal("olmo_layers", [2, 3, 4, 5])
    return common_config(deck) | {
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "intermediate_size": intermediate,
        "hidden_act": deck.deal("hidden_act", ["silu"] * 5 + ["gelu"]),
        "rms_norm_eps": deck.deal("rms_norm_eps", [1e-5, 1e-6, 1e-3]),
        "tie_word_embeddings": deck.deal("tied", [False, True]),
        "attention_bias": deck.deal("attention_bias", [False, False, True]),
        "sliding_window": deck.deal("window", [2, 5, 11, 30, 4096]),
        "layer_types": window_types(deck, layers, 4),
        "rope_parameters": rope,
    } | positions


def olmo3_old_style(config):
    """transformers 5 reads a flat rope_theta for full layers only: with another one than the class's
    the nested spelling stays."""
    full, local = (config["rope_parameters"][f"{kind}_attention"] for kind in ("full", "sliding"))
    if full["rope_theta"] == local["rope_theta"] == 500000.0:
        del config["rope_parameters"]
        config["rope_theta"] = full.pop("rope_theta")
        config["rope_scaling"] = None if full["rope_type"] == "default" else full
    rename(config, dtype="torch_dtype")


FAMILY = Family(
    model_type="olmo3",
    config=olmo3_config,
    shapes=LLAMA.shapes,
    small_shapes=LLAMA.small_shapes,
    layers="model.layers",
    attn="post_attention_layernorm",
    mlp="post_feedforward_layernorm",
    writes=("post_attention_layernorm", "post_feedforward_layernorm"),
    parallel=lambda config: False,
    old_style=olmo3_old_style,
    defaults=LLAMA.defaults | {
        "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0,
        "sliding_window": 4096,
        "layer_types": lambda config: ["full_attention" if (i + 1) % 4 == 0 else "sliding_attention"
                                       for i in range(config["num_hidden_layers"])],
    },
)

# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config, rename
from families.gemma2 import FAMILY as GEMMA2
from families.llama import window_types
from families.olmo3 import nested_rope


def gemma3_config(deck, shape):
    hidden, heads, kv_heads, head_dim, intermediate = shape
    theta, local = deck.deal("thetas", [(1000000.0, 10000.0), (1000000.0, 10000.0), (5e4, 300.0)])
    rope, positions = nested_rope(deck, head_dim // 2, theta, local)
    layers = deck.deal("gemma_layers", [2, 3, 6, 7])
    return common_config(deck) | {
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "intermediate_size": intermediate,
        "hidden_activation": deck.deal("hidden_act", ["gelu_pytorch_tanh"] * 5 + ["silu"]),
        "rms_norm_eps": deck.deal("rms_norm_eps", [1e-6, 1e-5, 1e-3]),
        "tie_word_embeddings": deck.deal("tied", [True, True, False]),
        "attention_bias": deck.deal("attention_bias", [False, False, True]),
        "query_pre_attn_scalar": deck.deal("scalar", [256, 24, 9]),
        "attn_logit_softcapping": deck.deal("score_cap", [None, 2.0]),  # the class has it, unused
        "final_logit_softcapping": deck.deal("logit_cap", [None, None, 3.0]),
        "sliding_window": deck.deal("window", [2, 5, 11, 30, 4096]),
        "layer_types": window_types(deck, layers, deck.deal("period", [6, 2, 3])),
        "rope_parameters": rope,
    } | positions


def types_of(config, period):
    return ["full_attention" if (i + 1) % period == 0 else "sliding_attention"
            for i in range(config["num_hidden_layers"])]


def gemma3_old_style(config):
    """Two bases instead of nested objects, a period instead of a list of layers."""
    full, local = (config["rope_parameters"][f"{kind}_attention"] for kind in ("full", "sliding"))
    del config["rope_parameters"]
    config["rope_theta"] = full.pop("rope_theta")
    config["rope_local_base_freq"] = local["rope_theta"]
    config["rope_scaling"] = None if full["rope_type"] == "default" else full
    for period in (2, 3, 6):
        if config.get("layer_types") == types_of(config, period):
            config["sliding_window_pattern"] = period
            del config["layer_types"]
    rename(config, dtype="torch_dtype")


FAMILY = Family(
    model_type="gemma3_text",
    config=gemma3_config,
    shapes=GEMMA2.shapes,
    small_shapes=GEMMA2.small_shapes,
    layers="model.layers",
    attn="post_attention_layernorm",
    mlp="post_feedforward_layernorm",
    writes=("post_attention_layernorm", "post_feedforward_layernorm"),
    parallel=lambda config: False,
    old_style=gemma3_old_style,
    norm_offset=1.0,
    defaults=GEMMA2.defaults | {
        "attn_logit_softcapping": None,
        "final_logit_softcapping": None,
        "rope_theta": 1000000.0,
        "rope_local_base_freq": 10000.0,
        "sliding_window_pattern": 6,
        "layer_types": lambda config: types_of(config, config.get("sliding_window_pattern", 6)),
        "max_position_embeddings": 131072,
    },
)

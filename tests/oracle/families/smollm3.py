# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config
from families.llama import FAMILY as LLAMA, flat_rope, llama_old_style


def smollm3_config(deck, shape):
    hidden, heads, kv_heads, head_dim, intermediate = shape
    layers = deck.deal("smol_layers", [2, 4, 5])
    interval = deck.deal("interval", [4, 4, 2, 3])
    every = deck.deal("no_rope_layers", [interval, 2])
    rotates = [int((i + 1) % every != 0) for i in range(layers)]
    use_window, window = deck.deal("window", [(False, None), (True, 5), (True, 21)])
    return common_config(deck) | {
        "pad_token_id": 0,
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "intermediate_size": intermediate,
        "hidden_act": deck.deal("hidden_act", ["silu"] * 5 + ["gelu"]),
        "rms_norm_eps": deck.deal("rms_norm_eps", [1e-6, 1e-5, 1e-8]),
        "tie_word_embeddings": deck.deal("tied", [False, True]),
        "attention_bias": deck.deal("attention_bias", [False, False, True]),
        "mlp_bias": deck.deal("mlp_bias", [False, False, True]),
        "no_rope_layer_interval": interval,
        "no_rope_layers": rotates,
        "use_sliding_window": use_window,
        "sliding_window": window,
        "rope_parameters": flat_rope(deck),
    }


def default_types(config):
    windows = config.get("use_sliding_window") and config.get("sliding_window")
    rotates = config.get("no_rope_layers") or default_rotates(config)
    return ["sliding_attention" if windows and not turns else "full_attention"
            for turns in rotates]


def default_rotates(config):
    interval = config.get("no_rope_layer_interval", 4)
    return [int((i + 1) % interval != 0) for i in range(config["num_hidden_layers"])]


FAMILY = Family(
    model_type="smollm3",
    config=smollm3_config,
    shapes=LLAMA.shapes,
    small_shapes=LLAMA.small_shapes,
    layers="model.layers",
    attn="self_attn",
    mlp="mlp",
    writes=("o_proj", "down_proj"),
    parallel=lambda config: False,
    old_style=llama_old_style,
    defaults={
        "layer_types": default_types,
        "no_rope_layers": default_rotates,
        "no_rope_layer_interval": 4,
        "use_sliding_window": False,
        "sliding_window": None,
    } | LLAMA.defaults | {
        "rope_theta": 2000000.0,
        "tie_word_embeddings": True,
        "num_key_value_heads": 4,
        "max_position_embeddings": 32768,
    },
)

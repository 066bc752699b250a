# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config
from families.llama import FAMILY as LLAMA
from ours.minicpm import MiniCPM


def minicpm_config(deck, shape):
    hidden, heads, kv_heads, intermediate = shape
    scaling = deck.deal("rope_scaling", [None, None, {"type": "linear", "factor": 3.0},
                                         {"type": "dynamic", "factor": 8.0}])
    return common_config(deck) | {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "intermediate_size": intermediate,
        "max_position_embeddings": deck.deal("dynamic_positions", [17, 25, 300])
        if scaling and scaling["type"] == "dynamic" else 2048,
        "hidden_act": deck.deal("hidden_act", ["silu"] * 4 + ["gelu"]),
        "rms_norm_eps": deck.deal("rms_norm_eps", [1e-6, 1e-5, 1e-3]),
        "rope_theta": deck.deal("rope_theta", [10000.0, 1000000.0]),
        "rope_scaling": scaling,
        "attention_bias": deck.deal("attention_bias", [False, False, True]),
        "scale_emb": deck.deal("scale_emb", [12, 1, 0.5]),
        "scale_depth": deck.deal("scale_depth", [1.4, 1, 3.0]),
        "dim_model_base": deck.deal("dim_model_base", [256, 1, 16]),
        "tie_word_embeddings": deck.deal("tied", [True, True, False]),
    }


FAMILY = Family(
    model_type="minicpm",
    config=minicpm_config,
    model=MiniCPM,
    #       d   heads kv ffn
    shapes=((64, 4, 2, 160), (80, 5, 1, 131), (96, 6, 3, 96), (48, 3, 1, 250), (128, 4, 4, 257),
            (56, 7, 7, 100), (72, 12, 4, 77), (160, 10, 2, 33)),
    small_shapes=((24, 4, 2, 33), (20, 5, 1, 37), (24, 3, 3, 24), (16, 2, 1, 29)),
    layers="model.layers",
    attn="self_attn",
    mlp="mlp",
    writes=("o_proj", "down_proj"),
    parallel=lambda config: False,
    old_style=lambda config: None,  # there is no other
    scaled=False,  # it draws its own
    added=lambda config, output: output * config.scale_depth / config.num_hidden_layers ** 0.5,
    defaults={key: LLAMA.defaults[key] for key in
              ("hidden_act", "rms_norm_eps", "rope_theta", "rope_scaling", "attention_bias",
               "num_key_value_heads", "max_position_embeddings")} | {
        "scale_emb": 1,
        "scale_depth": 1,
        "dim_model_base": 1,
        "tie_word_embeddings": True,
    },
)

# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config
from families.llama import FAMILY as LLAMA, flat_rope, llama_old_style


def cohere_config(deck, shape):
    hidden, heads, kv_heads, head_dim, intermediate = shape
    return common_config(deck) | {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "intermediate_size": intermediate,
        "hidden_act": deck.deal("hidden_act", ["silu"] * 5 + ["gelu"]),
        "layer_norm_eps": deck.deal("layer_norm_eps", [1e-5, 1e-6, 1e-3]),
        "tie_word_embeddings": deck.deal("tied", [True, True, False]),
        "attention_bias": deck.deal("attention_bias", [False, False, True]),
        "use_qk_norm": deck.deal("use_qk_norm", [False, True]),
        "logit_scale": deck.deal("logit_scale", [0.0625, 1.0, 0.8333333333333334]),
        "rope_parameters": flat_rope(deck),
    }


FAMILY = Family(
    model_type="cohere",
    config=cohere_config,
    shapes=LLAMA.shapes,
    small_shapes=LLAMA.small_shapes,
    layers="model.layers",
    attn="self_attn",
    mlp="mlp",
    writes=("o_proj", "down_proj"),
    parallel=lambda config: True,
    old_style=llama_old_style,
    defaults={key: value for key, value in LLAMA.defaults.items() if key != "mlp_bias"} | {
        "layer_norm_eps": 1e-5,
        "rope_theta": 500000.0,
        "tie_word_embeddings": True,
        "use_qk_norm": False,
        "logit_scale": 0.0625,
        "max_position_embeddings": 8192,
    },
)

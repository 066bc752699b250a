# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config
from families.llama import FAMILY as LLAMA, flat_rope, llama_old_style


def olmo2_config(deck, shape):
    hidden, heads, kv_heads, head_dim, intermediate = shape
    return common_config(deck) | {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "intermediate_size": intermediate,
        "hidden_act": deck.deal("hidden_act", ["silu"] * 5 + ["gelu"]),
        "rms_norm_eps": deck.deal("rms_norm_eps", [1e-5, 1e-6, 1e-3]),
        "tie_word_embeddings": deck.deal("tied", [False, True]),
        "attention_bias": deck.deal("attention_bias", [False, False, True]),
        "rope_parameters": flat_rope(deck),
    }


FAMILY = Family(
    model_type="olmo2",
    config=olmo2_config,
    shapes=LLAMA.shapes,
    small_shapes=LLAMA.small_shapes,
    layers="model.layers",
    attn="post_attention_layernorm",
    mlp="post_feedforward_layernorm",
    writes=("post_attention_layernorm", "post_feedforward_layernorm"),
    parallel=lambda config: False,
    old_style=llama_old_style,
    defaults=LLAMA.defaults | {"rms_norm_eps": 1e-5},
)

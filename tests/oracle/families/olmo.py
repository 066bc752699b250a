# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config
from families.llama import FAMILY as LLAMA, flat_rope, llama_old_style


def olmo_config(deck, shape):
    hidden, heads, kv_heads, head_dim, intermediate = shape
    return common_config(deck) | {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "intermediate_size": intermediate,
        "hidden_act": deck.deal("hidden_act", ["silu"] * 5 + ["gelu"]),
        "clip_qkv": deck.deal("clip_qkv", [None, 8.0, 1.0, 0.25]),
        "tie_word_embeddings": deck.deal("tied", [False, True]),
        "attention_bias": deck.deal("attention_bias", [False, False, True]),
        "rope_parameters": flat_rope(deck),
    }


FAMILY = Family(
    model_type="olmo",
    config=olmo_config,
    shapes=LLAMA.shapes,
    small_shapes=LLAMA.small_shapes,
    layers="model.layers",
    attn="self_attn",
    mlp="mlp",
    writes=("o_proj", "down_proj"),
    parallel=lambda config: False,
    old_style=llama_old_style,
    defaults={key: value for key, value in LLAMA.defaults.items() if "norm" not in key}
    | {"clip_qkv": None},
)

# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config
from families.llama import FAMILY as LLAMA, flat_rope, llama_old_style


def granite_config(deck, shape):
    hidden, heads, kv_heads, head_dim, intermediate = shape
    return common_config(deck) | {
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
        "embedding_multiplier": deck.deal("embedding_multiplier", [12.0, 1.0, 0.5]),
        "residual_multiplier": deck.deal("residual_multiplier", [0.22, 1.0, 3.0]),
        "attention_multiplier": deck.deal("attention_multiplier", [0.0078125, 1.0, 0.3]),
        "logits_scaling": deck.deal("logits_scaling", [13.0, 1.0, 0.7]),
        "rope_parameters": flat_rope(deck),
    }


FAMILY = Family(
    model_type="granite",
    config=granite_config,
    shapes=LLAMA.shapes,
    small_shapes=LLAMA.small_shapes,
    layers="model.layers",
    attn="self_attn",
    mlp="mlp",
    writes=("o_proj", "down_proj"),
    parallel=lambda config: False,
    old_style=llama_old_style,
    added=lambda config, output: output * config.residual_multiplier,
    defaults=LLAMA.defaults | {
        "embedding_multiplier": 1.0,
        "residual_multiplier": 1.0,
        "attention_multiplier": 1.0,
        "logits_scaling": 1.0,
    },
)

# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config
from families.llama import FAMILY as LLAMA, flat_rope, llama_old_style


def gemma_config(deck, shape):
    hidden, heads, kv_heads, head_dim, intermediate = shape
    return common_config(deck) | {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "intermediate_size": intermediate,
        "hidden_act": deck.deal("hidden_act", ["gelu_pytorch_tanh"] * 5 + ["silu"]),
        "rms_norm_eps": deck.deal("rms_norm_eps", [1e-6, 1e-5, 1e-3]),
        "tie_word_embeddings": deck.deal("tied", [True, True, False]),
        "attention_bias": deck.deal("attention_bias", [False, False, True]),
        "rope_parameters": flat_rope(deck),
    }


def gemma_old_style(config):
    """The first files said "gelu" for the tanh form; later ones named it under another key."""
    llama_old_style(config)
    if config["hidden_act"] == "gelu_pytorch_tanh":
        config["hidden_act"] = "gelu"
    if config["num_attention_heads"] % 2:
        config["hidden_activation"] = None
    elif config["hidden_act"] == "gelu":
        config["hidden_activation"] = "gelu_pytorch_tanh"


FAMILY = Family(
    model_type="gemma",
    config=gemma_config,
    shapes=LLAMA.shapes + ((48, 16, 16, 256, 40),),  # the class's heads
    small_shapes=LLAMA.small_shapes,
    layers="model.layers",
    attn="self_attn",
    mlp="mlp",
    writes=("o_proj", "down_proj"),
    parallel=lambda config: False,
    old_style=gemma_old_style,
    norm_offset=1.0,
    defaults=LLAMA.defaults | {
        "hidden_act": "gelu",
        "tie_word_embeddings": True,
        "num_key_value_heads": 16,
        "head_dim": 256,
        "max_position_embeddings": 8192,
    },
)

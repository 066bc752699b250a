# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config
from families.gemma import FAMILY as GEMMA
from families.llama import flat_rope, llama_old_style, window_types


def gemma2_config(deck, shape):
    hidden, heads, kv_heads, head_dim, intermediate = shape
    layers = deck.deal("gemma_layers", [2, 3, 4])
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
        "attn_logit_softcapping": deck.deal("score_cap", [50.0, None, 2.0]),
        "final_logit_softcapping": deck.deal("logit_cap", [30.0, None, 3.0]),
        "sliding_window": deck.deal("window", [2, 5, 11, 30, 4096]),
        "layer_types": window_types(deck, layers, 2),
        "rope_parameters": flat_rope(deck),
    }


def default_types(config):
    return ["sliding_attention" if i % 2 == 0 else "full_attention"
            for i in range(config["num_hidden_layers"])]


FAMILY = Family(
    model_type="gemma2",
    config=gemma2_config,
    shapes=GEMMA.shapes + ((64, 8, 4, 256, 40),),  # the class's heads
    small_shapes=GEMMA.small_shapes,
    layers="model.layers",
    attn="post_attention_layernorm",
    mlp="post_feedforward_layernorm",
    writes=("post_attention_layernorm", "post_feedforward_layernorm"),
    parallel=lambda config: False,
    old_style=llama_old_style,
    norm_offset=1.0,
    defaults=GEMMA.defaults | {
        "hidden_activation": "gelu_pytorch_tanh",
        "num_key_value_heads": 4,
        "query_pre_attn_scalar": 256,
        "attn_logit_softcapping": 50.0,
        "final_logit_softcapping": 30.0,
        "sliding_window": 4096,
        "layer_types": default_types,
        "max_position_embeddings": 8192,
    },
)

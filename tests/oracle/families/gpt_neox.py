# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config, rename
from ropes import old_rope


def gpt_neox_config(deck, shape):
    hidden, heads, rotary_pct, intermediate = shape
    return common_config(deck) | {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "intermediate_size": intermediate,
        "hidden_act": deck.deal("hidden_act", ["gelu"] * 8 + ["gelu_new", "relu"]),
        "layer_norm_eps": deck.deal("layer_norm_eps", [1e-5, 1e-6, 1e-3]),
        "tie_word_embeddings": deck.deal("tied", [False, False, True]),
        "use_parallel_residual": deck.deal("parallel", [True, True, False]),
        "attention_bias": deck.deal("attention_bias", [True, True, True, False]),
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": deck.deal("rope_theta", [10000.0, 10000.0, 25000.0, 500.0]),
            "partial_rotary_factor": rotary_pct,
        },
    }


def gpt_neox_old_style(config):
    old_rope(config, "rotary_emb_base", "rotary_pct")
    rename(config, dtype="torch_dtype")


FAMILY = Family(
    model_type="gpt_neox",
    config=gpt_neox_config,
    # d, heads, share of a head that turns, ffn; 0.29 * 100 is 28.999... and int() makes it 28
    shapes=((64, 4, 0.25, 256), (80, 5, 0.25, 131), (72, 3, 0.25, 288), (96, 8, 1.0, 96),
            (60, 6, 0.4, 240), (128, 2, 0.5, 64), (48, 1, 0.25, 192), (128, 1, 0.25, 129),
            (100, 1, 0.29, 100), (112, 7, 0.75, 61), (80, 2, 0.2, 320), (40, 5, 1.0, 37)),
    small_shapes=((32, 4, 0.25, 37), (20, 5, 1.0, 33), (24, 3, 0.5, 48), (24, 1, 0.25, 29)),
    layers="gpt_neox.layers",
    head="embed_out.weight",
    attn="attention",
    mlp="mlp",
    writes=("attention.dense", "dense_4h_to_h"),
    parallel=lambda config: config.use_parallel_residual,
    old_style=gpt_neox_old_style,
    defaults={
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-5,
        "rotary_emb_base": 10000.0,
        "rotary_pct": 0.25,
        "tie_word_embeddings": False,
        "use_parallel_residual": True,
        "attention_bias": True,
        "max_position_embeddings": 2048,
    },
)

# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config, rename


def gpt2_config(deck, shape):
    hidden, heads, inner = shape
    return common_config(deck) | {
        "n_embd": hidden,
        "n_head": heads,
        "n_inner": inner,
        "activation_function": deck.deal("activation", ["gelu_new"] * 4 + ["gelu"]),
        "layer_norm_epsilon": deck.deal("layer_norm_epsilon", [1e-5, 1e-6, 1e-3]),
        "scale_attn_by_inverse_layer_idx": deck.deal("layer_scale", [False, True]),
        "reorder_and_upcast_attn": False,
        "tie_word_embeddings": deck.deal("tied", [True, True, False]),
    }


def gpt2_old_style(config):
    rename(config, dtype="torch_dtype")


FAMILY = Family(
    model_type="gpt2",
    config=gpt2_config,
    # d, heads, ffn
    shapes=((64, 4, None), (80, 5, 131), (96, 6, 96), (75, 3, 37), (48, 1, 250), (128, 4, None),
            (160, 10, 33), (60, 12, 77)),
    small_shapes=((24, 4, None), (20, 5, 37), (21, 3, 24), (16, 2, 29)),
    layers="transformer.h",
    attn="attn",
    mlp="mlp",
    writes=("c_proj",),
    parallel=lambda config: False,
    old_style=gpt2_old_style,
    base="transformer",
    defaults={
        "n_inner": None,
        "n_positions": 1024,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5,
        "scale_attn_by_inverse_layer_idx": False,
        "scale_attn_weights": True,
        "add_cross_attention": False,
        "tie_word_embeddings": True,
    },
)

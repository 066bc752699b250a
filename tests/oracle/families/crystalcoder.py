# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config
from ours.crystalcoder import CrystalCoder


def crystalcoder_config(deck, shape):
    hidden, heads, rotary_dim, inner = shape
    return common_config(deck) | {
        "n_embd": hidden,
        "n_head": heads,
        "n_inner": inner,
        "rotary_dim": rotary_dim,
        "layer_norm_epsilon": deck.deal("layer_norm_epsilon", [1e-5, 1e-6]),
        "scale_attn_by_inverse_layer_idx": deck.deal("layer_scale", [False, False, True]),
        "mup_embeddings_scale": deck.deal("mup_embeddings_scale", [14.6, 1.0, 0.3]),
        "mup_output_alpha": deck.deal("mup_output_alpha", [2.22, 1.0]),
        "mup_width_scale": deck.deal("mup_width_scale", [0.0625, 0.25, 1.0]),
        "tie_word_embeddings": deck.deal("tied", [True, True, False]),
    }


FAMILY = Family(
    model_type="crystalcoder",
    config=crystalcoder_config,
    model=CrystalCoder,
    #       d   heads rotary ffn
    shapes=((64, 4, 4, 170), (80, 5, 16, 131), (96, 3, 8, None), (128, 4, 32, 341), (60, 6, 2, 61),
            (147, 3, 12, 100), (56, 7, 6, 37), (40, 1, 10, 109)),
    small_shapes=((24, 4, 2, 29), (20, 5, 4, 31), (24, 2, 6, 24), (18, 3, 6, 19)),
    layers="transformer.h",
    attn="attn",
    mlp="mlp",
    writes=("c_proj",),
    parallel=lambda config: False,
    old_style=lambda config: None,  # there is no other
    defaults={
        "n_inner": None,
        "layer_norm_epsilon": 1e-5,
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "mup_embeddings_scale": 1.0,
        "mup_output_alpha": 1.0,
        "mup_width_scale": 1.0,
        "tie_word_embeddings": True,
        "n_positions": 2048,
    },
)

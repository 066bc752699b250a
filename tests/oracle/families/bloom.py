# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config, rename


def bloom_config(deck, shape):
    hidden, heads = shape
    return common_config(deck) | {
        "hidden_size": hidden,
        "n_head": heads,
        "layer_norm_epsilon": deck.deal("layer_norm_epsilon", [1e-5, 1e-6, 1e-3]),
        "tie_word_embeddings": deck.deal("tied", [True, True, False]),
    }


def bloom_old_style(config):
    rename(config, hidden_size="n_embed", n_layer="num_hidden_layers",
           n_head="num_attention_heads", dtype="torch_dtype")


FAMILY = Family(
    model_type="bloom",
    config=bloom_config,
    # d, heads; the slopes of ALiBi differ where heads are no power of 2
    shapes=((64, 4), (80, 5), (96, 6), (75, 3), (48, 1), (128, 16), (160, 10), (60, 12)),
    small_shapes=((24, 4), (20, 5), (21, 3), (16, 2)),
    layers="transformer.h",
    # The modules add the stream they are given; what they add is what their last product gives.
    attn="self_attention.dense",
    mlp="mlp.dense_4h_to_h",
    writes=("self_attention.dense", "dense_4h_to_h"),
    parallel=lambda config: False,
    old_style=bloom_old_style,
    base="transformer",
    defaults={
        "layer_norm_epsilon": 1e-5,
        "apply_residual_connection_post_layernorm": False,
        "tie_word_embeddings": True,
    },
)

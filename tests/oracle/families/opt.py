# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config, rename


def opt_config(deck, shape):
    hidden, heads, intermediate = shape
    return common_config(deck) | {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "ffn_dim": intermediate,
        "activation_function": deck.deal("activation", ["relu"] * 4 + ["gelu"]),
        "enable_bias": deck.deal("enable_bias", [True, True, False]),
        "tie_word_embeddings": deck.deal("tied", [True, True, False]),
    }


def opt_old_style(config):
    rename(config, dtype="torch_dtype")


FAMILY = Family(
    model_type="opt",
    config=opt_config,
    # d, heads, ffn
    shapes=((64, 4, 256), (80, 5, 131), (96, 6, 96), (75, 3, 37), (48, 1, 250), (128, 4, 512),
            (160, 10, 33), (60, 12, 77)),
    small_shapes=((24, 4, 96), (20, 5, 37), (21, 3, 24), (16, 2, 29)),
    layers="model.decoder.layers",
    attn="self_attn",
    mlp="fc2",
    writes=("out_proj", "fc2"),
    parallel=lambda config: False,
    old_style=opt_old_style,
    base="model",
    defaults={
        "activation_function": "relu",
        "enable_bias": True,
        "do_layer_norm_before": True,
        "layer_norm_elementwise_affine": True,
        "_remove_final_layer_norm": False,
        "word_embed_proj_dim": lambda config: config["hidden_size"],
        "max_position_embeddings": 2048,
        "tie_word_embeddings": True,
    },
)

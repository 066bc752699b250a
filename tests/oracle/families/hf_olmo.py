# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config
from ours.hf_olmo import HfOlmo


def hf_olmo_config(deck, shape):
    hidden, heads, kv_heads, width, ratio = shape
    affine = deck.deal("affine", [False, True])
    config = common_config(deck) | {
        "d_model": hidden,
        "n_heads": heads,
        "n_kv_heads": kv_heads,
        "mlp_hidden_size": width,
        "mlp_ratio": ratio,
        "layer_norm_with_affine": affine,
        "layer_norm_type": "rms" if affine else "default",
        "layer_norm_eps": deck.deal("layer_norm_eps", [1e-5, 1e-6]),
        "clip_qkv": deck.deal("clip_qkv", [None, None, 1.0, 0.25]),
        "rope_theta": deck.deal("rope_theta", [10000, 500000, 100]),
        "tie_word_embeddings": deck.deal("tied", [True, False]),
    }
    padding = deck.deal("padding", [7, 0, None])
    config["embedding_size"] = None if padding is None else config["vocab_size"] + padding
    return config


def hf_olmo_old_style(config):
    """The first files said "olmo", which became the name of transformers' own spelling."""
    config["model_type"] = "olmo"
    if not config["layer_norm_with_affine"] and config["layer_norm_eps"] == 1e-5:
        del config["layer_norm_eps"]


FAMILY = Family(
    model_type="hf_olmo",
    config=hf_olmo_config,
    model=HfOlmo,
    #       d   heads kv, width of up and gate, its ratio where there is none
    shapes=((64, 4, None, None, 8), (80, 5, 1, 262, 4), (96, 6, 3, 192, 4), (72, 3, None, None, 4),
            (48, 2, 2, 500, 8), (128, 8, 2, 258, 4), (60, 6, None, None, 3), (112, 7, 7, 74, 4)),
    small_shapes=((24, 4, None, None, 2), (12, 3, 1, 34, 4), (18, 3, None, 30, 8),
                  (32, 4, 2, None, 1)),
    layers="model.transformer.blocks",
    attn="attn_out",
    mlp="ff_out",
    writes=("attn_out", "blocks.0.ff_out", "blocks.1.ff_out", "blocks.2.ff_out", "blocks.3.ff_out"),
    parallel=lambda config: False,
    old_style=hf_olmo_old_style,
    defaults={
        "n_kv_heads": None,
        "mlp_hidden_size": None,
        "mlp_ratio": 4,
        "layer_norm_eps": 1e-5,
        "clip_qkv": None,
        "rope_theta": 10000,
        "alibi": False,
        "attention_layer_norm": False,
        "norm_after": False,
        "scale_logits": False,
        "multi_query_attention": None,
        "activation_type": "swiglu",
        "block_type": "sequential",
        "weight_tying": True,
        "max_sequence_length": 1024,
    },
)

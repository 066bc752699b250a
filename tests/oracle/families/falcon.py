# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config, rename
from ropes import old_rope


KINDS = {
    "7b": {"multi_query": True, "new_decoder_architecture": False, "alibi": False},
    "40b": {"multi_query": True, "new_decoder_architecture": True, "alibi": False},
    "11b": {"multi_query": True, "new_decoder_architecture": True, "alibi": False,
            "num_ln_in_parallel_attn": 1},
    "rw": {"multi_query": False, "new_decoder_architecture": False, "alibi": True},
}


def falcon_config(deck, shape):
    kind, hidden, heads, kv_heads, intermediate = shape
    config = common_config(deck) | KINDS[kind] | {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_kv_heads": kv_heads,
        "ffn_hidden_size": intermediate,
        "activation": deck.deal("activation", ["gelu"] * 4 + ["gelu_pytorch_tanh"]),
        "layer_norm_epsilon": deck.deal("layer_norm_epsilon", [1e-5, 1e-6, 1e-3]),
        "bias": deck.deal("bias", [False, True]),
        "tie_word_embeddings": deck.deal("tied", [True, True, False]),
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": deck.deal("rope_theta", [10000.0, 500000.0, 100.0]),
        },
    }
    if not config["new_decoder_architecture"]:
        config["parallel_attn"] = deck.deal(f"parallel {kind}", [True, False])
    return config


def falcon_old_style(config):
    old_rope(config)
    rename(config, dtype="torch_dtype")


FAMILY = Family(
    model_type="falcon",
    config=falcon_config,
    # kind, d, heads, kv, ffn; kv matters to the 40b and 11b kinds only
    shapes=(("7b", 64, 4, 4, 256), ("40b", 80, 10, 2, 131), ("rw", 96, 6, 6, 96),
            ("11b", 96, 6, 3, 77), ("rw", 78, 3, 3, 37), ("40b", 64, 4, 4, 250),
            ("7b", 142, 71, 71, 64), ("rw", 128, 16, 16, 512), ("11b", 128, 8, 1, 96),
            ("rw", 72, 12, 12, 77)),
    small_shapes=(("7b", 24, 4, 4, 96), ("40b", 24, 6, 2, 37), ("rw", 24, 6, 6, 29),
                  ("11b", 16, 4, 2, 33)),
    layers="transformer.h",
    attn="self_attention",
    mlp="mlp",
    writes=("self_attention.dense", "dense_4h_to_h"),
    parallel=lambda config: config.new_decoder_architecture or config.parallel_attn,
    old_style=falcon_old_style,
    base="transformer",
    attention="sdpa",  # in transformers 5 the eager kind adds ALiBi twice
    defaults={
        "num_ln_in_parallel_attn": lambda config: 2 if config["new_decoder_architecture"] else None,
        "activation": "gelu",
        "layer_norm_epsilon": 1e-5,
        "rope_theta": 10000.0,
        "bias": False,
        "alibi": False,
        "multi_query": True,
        "parallel_attn": True,
        "new_decoder_architecture": False,
        "num_kv_heads": lambda config: config["num_attention_heads"],
        "ffn_hidden_size": lambda config: 4 * config["hidden_size"],
        "max_position_embeddings": 2048,
        "tie_word_embeddings": True,
    },
)

# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

from families.llama import FAMILY as LLAMA, llama_old_style
from family import common_config


def attending(deck, layers):
    """Which layers attend: none, all, or some."""
    share = deck.deal("attending", [0.0, 0.4, 0.4, 0.7, 1.0])
    return [layer for layer in range(layers) if deck.rng.random() < share]


def bamba_config(deck, shape):
    hidden, heads, kv_heads, scan_heads, intermediate = shape
    config = common_config(deck)
    return config | {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "intermediate_size": intermediate,
        "attn_layer_indices": attending(deck, config["num_hidden_layers"]),
        "mamba_n_heads": scan_heads,
        "mamba_d_head": 2 * hidden // scan_heads,
        "mamba_n_groups": {"one": 1, "two": 2, "all": scan_heads}[
            deck.deal("groups", ["one", "two", "all"])],
        "mamba_d_state": deck.deal("states", [16, 33, 128, 5]),
        "mamba_d_conv": deck.deal("taps", [4, 4, 2, 3]),
        "mamba_chunk_size": 256,
        "mamba_conv_bias": deck.deal("taps_bias", [True, False]),
        "mamba_proj_bias": deck.deal("scan_bias", [False, True]),
        "time_step_limit": deck.deal("step_limit", [(0.0, float("inf")), (0.01, 0.9)]),
        "hidden_act": deck.deal("hidden_act", ["silu"] * 4 + ["gelu_pytorch_tanh"]),
        "rms_norm_eps": deck.deal("rms_norm_eps", [1e-6, 1e-5, 1e-8]),
        "tie_word_embeddings": deck.deal("tied", [False, True]),
        "attention_bias": deck.deal("attention_bias", [False, False, True]),
        "mlp_bias": deck.deal("mlp_bias", [False, False, True]),
        "rope_parameters": {
            "rope_type": "default", "partial_rotary_factor": 0.5,
            "rope_theta": deck.deal("rope_theta", [10000.0, 500000.0, 100.0])},
    }


def bamba_old_style(config):
    config["rope_parameters"].pop("partial_rotary_factor", None)  # the class sets it
    llama_old_style(config)
    config["attn_rotary_emb"] = 64
    config["mamba_d_head"] = "auto" if config["num_hidden_layers"] % 2 else config["mamba_d_head"]
    config.pop("time_step_limit") if config["time_step_limit"][0] == 0 else None


FAMILY = replace(
    LLAMA,
    model_type="bamba",
    config=bamba_config,
    #       d   heads kv scan ffn
    shapes=((64, 4, 2, 8, 160), (80, 5, 1, 4, 131), (96, 6, 3, 12, 96), (48, 3, 1, 6, 250)),
    small_shapes=((24, 3, 1, 4, 33), (16, 2, 1, 2, 29)),
    attn="mamba|self_attn",
    mlp="feed_forward",
    writes=("o_proj", "out_proj", "down_proj"),
    old_style=bamba_old_style,
    scaled=False,
    defaults={
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "rope_scaling": None,
        "tie_word_embeddings": False,
        "attention_bias": False,
        "mlp_bias": False,
        "num_key_value_heads": 8,
        "mamba_n_heads": 128,
        "mamba_n_groups": 1,
        "mamba_d_state": 256,
        "mamba_d_conv": 4,
        "mamba_expand": 2,
        "mamba_conv_bias": True,
        "mamba_proj_bias": False,
        "max_position_embeddings": 262144,
    },
)

# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

from families.llama import FAMILY as LLAMA, llama_config, llama_old_style


def rotations(config):
    interval = config.get("no_rope_layer_interval", 4)
    return [int((i + 1) % interval != 0) for i in range(config["num_hidden_layers"])]


def sparse_layers(config):
    step = config.get("interleave_moe_layer_step", 1)
    return list(range(step - 1, config["num_hidden_layers"], step))


def types_of(config):
    chunks = config.get("attention_chunk_size", 8192)
    return ["chunked_attention" if turns and chunks else "full_attention"
            for turns in config.get("no_rope_layers") or rotations(config)]


def llama4_config(deck, shape):
    config = llama_config(deck, shape)
    layers = deck.deal("llama4_layers", [2, 4, 5])
    experts, used = deck.deal("experts", [(4, 1), (8, 2), (5, 1), (3, 3)])
    del config["mlp_bias"]
    config |= {
        "num_hidden_layers": layers,
        "intermediate_size": min(shape[-1], deck.deal("inner", [20, 7, 33])),
        "intermediate_size_mlp": shape[-1],
        "num_local_experts": experts,
        "num_experts_per_tok": used,
        "use_qk_norm": deck.deal("use_qk_norm", [True, True, False]),
        "attention_chunk_size": deck.deal("chunk", [8, 5, 8192, None, 31]),
        "attn_temperature_tuning": deck.deal("tuning", [True, True, False]),
        "floor_scale": deck.deal("floor_scale", [8192, 4, 11, 1]),
        "attn_scale": deck.deal("attn_scale", [0.1, 0.5]),
        "no_rope_layer_interval": deck.deal("interval", [4, 2, 3]),
        "interleave_moe_layer_step": deck.deal("step", [1, 2]),
    }
    drawn = deck.deal("drawn", [(False, False), (True, False), (False, True), (True, True)])
    config["no_rope_layers"] = ([deck.rng.randrange(2) for _ in range(layers)] if drawn[0]
                                else rotations(config))
    config["moe_layers"] = (sorted(deck.rng.sample(range(layers), deck.rng.randrange(1, layers)))
                            if drawn[1] else sparse_layers(config))
    config["layer_types"] = types_of(config)
    if deck.deal("types", [False, False, False, True]):
        config["layer_types"] = [deck.rng.choice(config["layer_types"]) for _ in range(layers)]
    return config


FAMILY = replace(
    LLAMA,
    model_type="llama4_text",
    config=llama4_config,
    shapes=tuple(shape for shape in LLAMA.shapes if shape[3] % 2 == 0),
    small_shapes=((16, 4, 2, 6, 13), (20, 5, 1, 12, 17), (12, 3, 3, 8, 24), (16, 2, 1, 16, 29)),
    mlp="feed_forward",
    old_style=llama_old_style,
    defaults={
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0,
        "rope_scaling": None,
        "tie_word_embeddings": False,
        "attention_bias": False,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "num_experts_per_tok": 1,
        "use_qk_norm": True,
        "attention_chunk_size": 8192,
        "attn_temperature_tuning": True,
        "floor_scale": 8192,
        "attn_scale": 0.1,
        "no_rope_layers": rotations,
        "moe_layers": sparse_layers,
        "layer_types": types_of,
        "max_position_embeddings": 131072,
    },
    router="feed_forward.router",
    router_logits=1,
)

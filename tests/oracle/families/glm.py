# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config, rename
from families.llama import flat_rope
from ropes import old_rope


def glm_config(deck, shape):
    hidden, heads, kv_heads, head_dim, fraction, intermediate = shape
    return common_config(deck) | {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "intermediate_size": intermediate,
        "hidden_act": deck.deal("hidden_act", ["silu"] * 5 + ["gelu"]),
        "rms_norm_eps": deck.deal("rms_norm_eps", [1.5625e-7, 1e-5]),
        "tie_word_embeddings": deck.deal("tied", [False, True]),
        "attention_bias": deck.deal("attention_bias", [True, True, False]),
        "pad_token_id": 0,
        "rope_parameters": flat_rope(deck) | {"partial_rotary_factor": fraction},
    }


def glm_old_style(config):
    old_rope(config, fraction="partial_rotary_factor")
    rename(config, dtype="torch_dtype")


FAMILY = Family(
    model_type="glm",
    config=glm_config,
    #       d   heads kv head_dim fraction ffn
    shapes=((64, 4, 2, 16, 0.5, 160), (80, 5, 1, 24, 0.5, 131), (96, 6, 3, 32, 0.25, 96),
            (80, 5, 5, 16, 1.0, 37), (48, 3, 1, 16, 0.5, 250), (72, 8, 2, 40, 0.5, 129),
            (128, 4, 4, 32, 0.75, 257), (56, 7, 7, 24, 0.5, 100), (160, 10, 2, 80, 0.5, 33)),
    small_shapes=((24, 4, 2, 8, 0.5, 33), (20, 5, 1, 12, 0.5, 37), (21, 3, 3, 8, 1.0, 24),
                  (16, 2, 1, 16, 0.25, 29)),
    layers="model.layers",
    attn="self_attn",
    mlp="mlp",
    writes=("o_proj", "down_proj"),
    parallel=lambda config: False,
    old_style=glm_old_style,
    defaults={
        "hidden_act": "silu",
        "rms_norm_eps": 1.5625e-7,
        "rope_theta": 10000.0,
        "rope_scaling": None,
        "partial_rotary_factor": 0.5,
        "tie_word_embeddings": False,
        "attention_bias": True,
        "num_key_value_heads": 2,
        "head_dim": 128,
        "max_position_embeddings": 131072,
    },
)

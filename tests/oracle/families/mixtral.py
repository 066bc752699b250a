# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config
from families.mistral import mistral_old_style


def mixtral_config(deck, shape):
    hidden, heads, kv_heads, head_dim, intermediate = shape
    experts, used = deck.deal("experts", [(8, 2), (4, 1), (5, 3), (3, 3), (16, 4)])
    return common_config(deck) | {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "intermediate_size": intermediate,
        "hidden_act": deck.deal("hidden_act", ["silu"] * 8 + ["gelu"]),
        "rms_norm_eps": deck.deal("rms_norm_eps", [1e-5, 1e-6, 1e-8]),
        "sliding_window": deck.deal("sliding_window", [None, None, 5, 12]),
        "tie_word_embeddings": deck.deal("tied", [False, True]),
        "num_local_experts": experts,
        "num_experts_per_tok": used,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": deck.deal("rope_theta", [1000000.0, 10000.0, 100.0]),
        },
    }


FAMILY = Family(
    model_type="mixtral",
    config=mixtral_config,
    #       d   heads kv head_dim ffn
    shapes=((64, 8, 8, 8, 60), (80, 5, 1, 24, 31), (96, 6, 3, 32, 48), (80, 5, 5, 16, 37),
            (48, 3, 1, 16, 125), (72, 8, 2, 40, 29), (64, 4, 2, None, 50)),
    small_shapes=((16, 4, 2, 6, 13), (20, 5, 1, 8, 7), (12, 3, 3, 8, 14), (16, 8, 8, 2, 9)),
    layers="model.layers",
    attn="self_attn",
    mlp="mlp",
    writes=("o_proj", "down_proj"),
    parallel=lambda config: False,
    old_style=mistral_old_style,
    defaults={
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "rope_theta": 1000000.0,
        "tie_word_embeddings": False,
        "sliding_window": None,
        "num_key_value_heads": 8,
        "num_local_experts": 8,
        "num_experts_per_tok": 2,
        "max_position_embeddings": 131072,
    },
    router="mlp.gate",
)

# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config, rename
from families.qwen2_moe import experts_config
from ropes import old_rope


def qwen3_moe_config(deck, shape):
    hidden, heads, kv_heads, head_dim, intermediate, expert = shape
    return common_config(deck) | experts_config(deck) | {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "intermediate_size": intermediate,
        "moe_intermediate_size": expert,
        "hidden_act": deck.deal("hidden_act", ["silu"] * 8 + ["gelu"]),
        "rms_norm_eps": deck.deal("rms_norm_eps", [1e-6, 1e-5, 1e-8]),
        "attention_bias": deck.deal("attention_bias", [False, True]),
        "tie_word_embeddings": deck.deal("tied", [False, True]),
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": deck.deal("rope_theta", [10000.0, 1000000.0, 100.0]),
        },
    } | deck.deal("window", [{"use_sliding_window": False},
                             {"use_sliding_window": True, "sliding_window": 7}])


def qwen3_moe_old_style(config):
    old_rope(config)
    rename(config, dtype="torch_dtype", num_local_experts="num_experts")


FAMILY = Family(
    model_type="qwen3_moe",
    config=qwen3_moe_config,
    #       d   heads kv head_dim ffn expert
    shapes=((64, 4, 4, 16, 60, 20), (80, 5, 1, 24, 31, 40), (96, 6, 3, 32, 48, 7),
            (64, 8, 4, 8, 37, 25)),
    small_shapes=((16, 4, 2, 6, 13, 5), (20, 5, 1, 4, 7, 9), (12, 3, 3, 8, 14, 4)),
    layers="model.layers",
    attn="self_attn",
    mlp="mlp",
    writes=("o_proj", "down_proj"),
    parallel=lambda config: False,
    old_style=qwen3_moe_old_style,
    defaults={
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "attention_bias": False,
        "use_sliding_window": False,
        "num_key_value_heads": 4,
        "num_experts_per_tok": 8,
        "norm_topk_prob": False,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "max_position_embeddings": 32768,
    },
    router="mlp.gate",
)

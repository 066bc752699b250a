# SPDX-License-Identifier: Apache-2.0
from families.deepseek_v3 import sigmoid_routes
from family import Family, common_config
from ours.bailing_moe import BailingMoe


def first_class(deck):
    experts, used = deck.deal("experts", [(8, 2), (16, 6), (5, 3), (12, 1)])
    return {
        "num_experts": experts,
        "num_experts_per_tok": used,
        "num_shared_experts": deck.deal("shared", [2, 1, 0]),
        "norm_topk_prob": deck.deal("norm_topk_prob", [True, False]),
        "first_k_dense_replace": deck.deal("dense", [0, 0, 1]),
    }


def second_class(deck, head_dim):
    routes = sigmoid_routes(deck)
    turned = deck.deal("turned", [0.5, 1.0])
    part = {"partial_rotary_factor": turned}
    if deck.deal("turning", [True, False, False]):
        part = {"rotary_dim": int(head_dim * turned)}
    return part | {
        "num_experts": routes["n_routed_experts"],
        "num_experts_per_tok": routes["num_experts_per_tok"],
        "n_group": routes["n_group"],
        "topk_group": routes["topk_group"],
        "num_shared_experts": deck.deal("shared of the second", [1, 2]),
        "first_k_dense_replace": deck.deal("dense of the second", [0, 1]),
        "routed_scaling_factor": deck.deal("routed_scale", [2.5, 1.0]),
        "use_qk_norm": deck.deal("use_qk_norm", [True, True, False]),
        "rope_scaling": deck.deal("rope_scaling", [None, None, {"type": "linear", "factor": 2.0}]),
    }


def bailing_config(deck, shape):
    hidden, heads, kv_heads, head_dim, expert_ffn = shape
    second = deck.deal("class", [True, True, False])
    return common_config(deck) | {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "intermediate_size": 2 * expert_ffn + 3,
        "moe_intermediate_size": expert_ffn,
        "rms_norm_eps": deck.deal("rms_norm_eps", [1e-6, 1e-5]),
        "use_qkv_bias": deck.deal("use_qkv_bias", [False, False, True]),
        "use_bias": deck.deal("use_bias", [False, True]),
        "rope_theta": deck.deal("rope_theta", [10000.0, 600000.0, 100.0]),
    } | (second_class(deck, head_dim) if second else first_class(deck))


FAMILY = Family(
    model_type="bailing_moe",
    config=bailing_config,
    model=BailingMoe,
    #       d   heads kv head_dim expert_ffn
    shapes=((64, 4, 2, 16, 20), (80, 5, 1, 24, 13), (48, 3, 3, 12, 31), (96, 6, 2, 8, 16)),
    small_shapes=((16, 4, 2, 8, 5), (20, 5, 1, 4, 7), (12, 3, 3, 8, 6), (16, 2, 1, 12, 4)),
    layers="model.layers",
    attn="attention",
    mlp="mlp",
    router="mlp.gate",
    writes=("dense", "down_proj"),
    parallel=lambda config: False,
    old_style=lambda config: None,  # there is no other
    scaled=False,
    sigmoid_router=lambda config: bool(config.n_group),
    defaults={"hidden_act": "silu", "tie_word_embeddings": False, "use_qkv_bias": False,
              "rope_scaling": None},
)

# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config
from families.llama import FAMILY as LLAMA
from ours.yulan_mini import YuLanMini


def yulan_config(deck, shape):
    hidden, heads, kv_heads, _, ffn = shape
    return common_config(deck) | {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "intermediate_size": ffn,
        "rms_norm_eps": deck.deal("rms_norm_eps", [1e-6, 1e-5]),
        "rope_theta": deck.deal("rope_theta", [10000.0, 490000.0]),
        "rope_scaling": deck.deal("yulan_scaling", [None, None, {"type": "linear", "factor": 3.0},
                                                    {"type": "dynamic", "factor": 2.0}]),
        "attention_bias": deck.deal("attention_bias", [True, True, False]),
        "hidden_states_shrink": deck.deal("shrink", [0.19, 0.7, 1]),
        "dim_model_base_attn": deck.deal("base_attn", [None, 4, 64]),
        "dim_model_base_logits": deck.deal("base_logits", [None, 32, 256]),
        "scale_emb": deck.deal("scale_emb", [1, 10.0]),
        "wesar_weights": deck.deal("wesar", [True, True, True, False]),
        "use_norm_alpha": deck.deal("norm_alpha", [True, True, False]),
    }


FAMILY = Family(
    model_type="yulanmini",
    config=yulan_config,
    model=YuLanMini,
    shapes=tuple(shape for shape in LLAMA.shapes if shape[1] * shape[3] == shape[0])
    + ((96, 6, 2, 16, 61), (56, 7, 1, 8, 100)),
    small_shapes=((24, 4, 2, 6, 33), (18, 3, 3, 6, 24), (16, 2, 1, 8, 29)),
    layers="model.layers",
    attn="attention_added",
    mlp="mlp_added",
    writes=("o_proj.weight", "down_proj.weight"),
    parallel=lambda config: False,
    old_style=lambda config: None,  # there is no other
    scaled=False,
    defaults=YuLanMini.DEFAULTS,
)

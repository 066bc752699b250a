# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config
from ours.internlm2 import InternLM2


def internlm2_config(deck, shape):
    hidden, heads, kv_heads, intermediate = shape
    scaling = deck.deal("rope_scaling", [
        None, None, {"type": "dynamic", "factor": 8.0}, {"type": "dynamic", "factor": 2.0},
        {"type": "linear", "factor": 4.0}])
    config = common_config(deck) | {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "intermediate_size": intermediate,
        "hidden_act": "silu",
        "rms_norm_eps": deck.deal("rms_norm_eps", [1e-6, 1e-5, 1e-8]),
        "bias": deck.deal("bias", [False, True]),
        "rope_theta": deck.deal("rope_theta", [10000.0, 1000000.0, 500.0]),
        "rope_scaling": scaling,
        "tie_word_embeddings": False,
    }
    if scaling and scaling["type"] == "dynamic":  # so that some sequences are longer
        config["max_position_embeddings"] = 65 if scaling["factor"] == 2 else 17
    return config


FAMILY = Family(
    model_type="internlm2",
    config=internlm2_config,
    model=InternLM2,
    #       d   heads kv ffn
    shapes=((64, 4, 2, 160), (80, 5, 1, 131), (96, 6, 3, 96), (80, 5, 5, 37), (48, 3, 1, 250),
            (64, 8, 2, 129), (128, 4, 4, 257), (72, 3, 3, 61)),
    small_shapes=((24, 4, 2, 33), (20, 5, 1, 37), (24, 3, 3, 24), (32, 4, 1, 29)),
    layers="model.layers",
    attn="attention",
    mlp="feed_forward",
    writes=("wo", "w2"),
    parallel=lambda config: False,
    old_style=lambda config: None,  # there is no other
    defaults={
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "bias": True,
        "rope_theta": 10000.0,
        "rope_scaling": None,
        "tie_word_embeddings": False,
        "num_key_value_heads": lambda config: config["num_attention_heads"],
        "max_position_embeddings": 2048,
    },
)

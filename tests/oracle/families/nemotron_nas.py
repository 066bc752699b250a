# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config
from families.llama import FAMILY as LLAMA
from ours.nemotron_nas import NemotronNas

# What published files say of a part beside its size.
ATTENTION = {"num_sink_tokens": None, "replace_with_linear": False, "sparsify": None,
             "unshifted_sink": False, "window_length": None}


def divisors(number):
    return [n for n in range(1, number + 1) if number % n == 0]


def block_of(deck, shape, kept):
    hidden, heads, _, _, ffn = shape
    size = deck.deal("width", [{"ffn_mult": 1.3125}, {"ffn_mult": 3 * 300 / (2 * hidden)},
                               {"intermediate_size": ffn}, {"intermediate_size": 7, "ffn_mult": None}])
    attention = {"n_heads_in_group": deck.rng.choice(divisors(heads)), "no_op": False}
    return {"attention": ATTENTION | (attention if kept[0] else {"n_heads_in_group": None, "no_op": True}),
            "ffn": {"replace_with_linear": False} | (size | {"no_op": False} if kept[1] else {
                "ffn_mult": None, "no_op": True})}


def nas_config(deck, shape):
    hidden, heads, kv_heads, _, _ = shape
    layers = deck.deal("nas_layers", [2, 3, 4])
    config = common_config(deck) | {"num_hidden_layers": layers}
    kept = [deck.deal("kept", [(True, True), (True, True), (False, True), (True, False),
                               (False, False)]) for _ in range(layers)]
    return config | {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "rms_norm_eps": deck.deal("rms_norm_eps", [1e-6, 1e-5]),
        "attention_bias": deck.deal("attention_bias", [False, False, True]),
        "mlp_bias": deck.deal("mlp_bias", [False, False, True]),
        "rope_theta": deck.deal("rope_theta", [10000.0, 500000.0]),
        "rope_scaling": deck.deal("nas_scaling", [None, {
            "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 16}]),
        "block_configs": [block_of(deck, shape, each) for each in kept],
    } | ({"num_key_value_heads": kv_heads} if deck.deal("kv_heads", [True, False]) else {})


def absent(config):
    """What the blocks lack, as (module, layer)."""
    return {(module, layer) for layer, block in enumerate(config.get("block_configs") or [])
            for module, part in (("attn", "attention"), ("mlp", "ffn"))
            if block.get(part, {}).get("no_op")}


FAMILY = Family(
    model_type="nemotron-nas",
    config=nas_config,
    model=NemotronNas,
    shapes=tuple(shape for shape in LLAMA.shapes if shape[1] * shape[3] == shape[0]),
    small_shapes=((24, 4, 2, 6, 33), (18, 3, 3, 6, 24), (16, 2, 1, 8, 29)),
    layers="model.layers",
    attn="self_attn",
    mlp="mlp",
    writes=("o_proj", "down_proj"),
    parallel=lambda config: False,
    old_style=lambda config: None,  # there is no other
    scaled=False,
    defaults=NemotronNas.DEFAULTS,
    absent=absent,
)

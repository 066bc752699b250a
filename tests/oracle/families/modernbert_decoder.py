# SPDX-License-Identifier: Apache-2.0
from family import Family, common_config, rename
from families.olmo3 import nested_rope


def modernbert_config(deck, shape):
    hidden, heads, intermediate = shape
    theta, local = deck.deal("thetas", [(160000.0, 10000.0), (160000.0, 160000.0), (5e4, 300.0)])
    rope, positions = nested_rope(deck, hidden // heads // 2, theta, local)
    if deck.deal("scale local", [False, False, True]):
        rope["sliding_attention"] |= {"rope_type": "linear", "factor": 2.0}
    layers = deck.deal("bert_layers", [2, 3, 4, 7])
    period = deck.deal("period", [3, 2])
    types = types_of(layers, period)
    if deck.deal("types", ["drawn", "regular", "regular"]) == "drawn":
        types = [deck.rng.choice(["full_attention", "sliding_attention"]) for _ in range(layers)]
    return common_config(deck) | {
        "pad_token_id": 0,
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "intermediate_size": intermediate,
        "hidden_activation": deck.deal("hidden_act", ["gelu"] * 4 + ["silu"]),
        "classifier_activation": deck.deal("head_act", ["gelu", "gelu", "silu"]),
        "norm_eps": deck.deal("norm_eps", [1e-5, 1e-6, 1e-3]),
        "tie_word_embeddings": deck.deal("tied", [True, True, False]),
        "attention_bias": deck.deal("attention_bias", [False, False, True]),
        "mlp_bias": deck.deal("mlp_bias", [False, False, True]),
        "decoder_bias": deck.deal("decoder_bias", [True, False]),
        "classifier_bias": deck.deal("classifier_bias", [False, True]),
        "local_attention": deck.deal("local_attention", [4, 11, 30, 128]),
        "layer_types": types,
        "rope_parameters": rope,
    } | positions


def types_of(layers, period):
    return ["full_attention" if i % period == 0 else "sliding_attention" for i in range(layers)]


def modernbert_old_style(config):
    """Two bases instead of nested objects, a period instead of a list of layers."""
    full, local = (config["rope_parameters"][f"{kind}_attention"] for kind in ("full", "sliding"))
    if full["rope_type"] == local["rope_type"] == "default":  # rope_scaling is read by no older class
        del config["rope_parameters"]
        config["global_rope_theta"] = full["rope_theta"]
        config["local_rope_theta"] = local["rope_theta"]
    for period in (2, 3):
        if config.get("layer_types") == types_of(config["num_hidden_layers"], period):
            config["global_attn_every_n_layers"] = period
            del config["layer_types"]
    rename(config, dtype="torch_dtype")


FAMILY = Family(
    model_type="modernbert-decoder",
    config=modernbert_config,
    #       d   heads ffn
    shapes=((64, 4, 160), (80, 5, 131), (96, 6, 96), (48, 3, 250), (128, 4, 257), (56, 7, 100),
            (72, 2, 129), (160, 10, 33)),
    small_shapes=((24, 4, 33), (20, 5, 37), (24, 3, 24), (16, 2, 29)),
    layers="model.layers",
    attn="attn",
    mlp="mlp",
    writes=("Wo",),
    parallel=lambda config: False,
    old_style=modernbert_old_style,
    defaults={
        "hidden_activation": "gelu",
        "classifier_activation": "gelu",
        "norm_eps": 1e-5,
        "norm_bias": False,
        "global_rope_theta": 160000.0,
        "local_rope_theta": 10000.0,
        "global_attn_every_n_layers": 3,
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
        "decoder_bias": True,
        "classifier_bias": False,
        "local_attention": 128,
        "sliding_window": lambda config: config.get("local_attention", 128) // 2,
        "max_position_embeddings": 8192,
    },
    twice=False,
    head="decoder.weight",
)

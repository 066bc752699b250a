# SPDX-License-Identifier: Apache-2.0
"""Random rope objects, and config.json's two spellings of them."""

ROPE_TYPES = ["default", "default", "linear", "dynamic", "yarn", "longrope", "llama3"]
LAYER_KINDS = ("full_attention", "sliding_attention")


def rope_scaling(deck, pairs):
    """A random rope object of one of the types, and the positions its model has, None for any."""
    rope_type = deck.deal("rope_type", ROPE_TYPES)
    factor = deck.deal("rope_factor", [1.5, 2.0, 4.0, 8.0, 32.0])
    original = deck.deal("original", [8, 16, 64, 8192])
    optional = deck.deal("rope_options", [True, False])
    if rope_type == "linear":
        return {"rope_type": rope_type, "factor": factor}, None
    if rope_type == "dynamic":
        return {"rope_type": rope_type, "factor": 8.0}, deck.deal("dynamic_positions", [17, 25, 300])
    if rope_type == "yarn":
        rope = {"rope_type": rope_type, "factor": factor,
                "original_max_position_embeddings": original}
        extras = deck.deal("yarn_options", [
            {"beta_fast": 4.0, "beta_slow": 0.5}, {"mscale": 0.707, "mscale_all_dim": 1.0},
            {"attention_factor": 1.25, "truncate": False}, {"truncate": False}])
        return rope | (extras if optional else {}), None
    if rope_type == "longrope":
        rope = {"rope_type": rope_type, "original_max_position_embeddings": original,
                "short_factor": [1 + deck.rng.random() for _ in range(pairs)],
                "long_factor": [1 + 20 * deck.rng.random() for _ in range(pairs)]}
        extras = deck.deal("long_options", [{"factor": factor}, {"attention_factor": 1.1}])
        return rope | (extras if optional else {}), 8192
    if rope_type == "llama3":
        return {"rope_type": rope_type, "factor": factor, "low_freq_factor": 1.0,
                "high_freq_factor": deck.deal("high_freq", [2.5, 4.0]),
                "original_max_position_embeddings": original}, None
    return {"rope_type": rope_type}, None


def rotary_pairs(config):
    """Pairs of a head's entries that turn."""
    fraction = config["rope_parameters"].get("partial_rotary_factor", 1.0)
    head = config["hidden_size"] // config["num_attention_heads"]
    dim = config.get("qk_rope_head_dim") or config.get("head_dim") or head
    return int(dim * fraction) // 2


def is_plain(rope):
    """One rotation for all layers, not scaled."""
    return rope and not any(kind in rope for kind in LAYER_KINDS) and rope["rope_type"] == "default"


def scale_some(deck, config):
    """Gives some configurations whose rotation is plain a scaled one."""
    if not is_plain(config.get("rope_parameters")) or not deck.deal("scaled", [False, False, True]):
        return
    rope, positions = rope_scaling(deck, rotary_pairs(config))
    if rope["rope_type"] == "longrope" and config.get("head_dim", 0) is None:
        # transformers multiplies what it says, null or not, when it checks such a rotation.
        config["head_dim"] = config["hidden_size"] // config["num_attention_heads"]
    config["rope_parameters"] = config["rope_parameters"] | rope
    if positions:
        config["max_position_embeddings"] = positions


def old_rope(config, theta="rope_theta", fraction=None):
    """rope_parameters as transformers 4 spelled it: top-level keys, and rope_scaling."""
    rope = dict(config.pop("rope_parameters"))
    config[theta] = rope.pop("rope_theta")
    if fraction:
        config[fraction] = rope.pop("partial_rotary_factor")
    config["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    if config["rope_scaling"] and config["num_attention_heads"] % 2:
        rope["type"] = rope.pop("rope_type")


def both_ropes(config):
    """Both spellings at once, and only rope_scaling says what is meant: it replaces a rope_parameters
    for all layers, and is laid over the object of the full ones where there are two."""
    rope = config["rope_parameters"]
    decoy = {"rope_type": "default", "rope_theta": 123.0}
    if LAYER_KINDS[0] in rope:
        config["rope_scaling"] = rope[LAYER_KINDS[0]]
        config["rope_parameters"] = rope | {LAYER_KINDS[0]: decoy}
    else:
        config["rope_scaling"] = rope
        config["rope_parameters"] = decoy

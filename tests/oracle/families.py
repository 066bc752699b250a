# SPDX-License-Identifier: Apache-2.0
"""The families the oracle knows, one row each, and the random configurations drawn from them.

Adding a family is adding a row: how to draw a configuration, where its layers are, and which modules
of a layer write what attention and MLP add to the residual stream.
"""
import random
from dataclasses import dataclass
from typing import Callable


class Deck:
    """Random choices that cover: every value of an option is dealt before any comes again."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.hands = {}

    def deal(self, option, values):
        hand = self.hands.setdefault(option, [])
        if not hand:
            hand.extend(values)
            self.rng.shuffle(hand)
        return hand.pop()


@dataclass(frozen=True)
class Family:
    """One row. `config(deck, shape)` gives the config class's keys for one of the `shapes`."""

    model_type: str
    config: Callable
    shapes: tuple  # whatever config() understands
    small_shapes: tuple  # the same, for the fixtures that are stored
    layers: str  # path of the list of layers below the causal LM
    attn: str  # the module of a layer whose output is what attention adds
    mlp: str  # the same of the MLP
    writes: tuple  # parts of names of the weights that scale what a sublayer adds
    parallel: Callable  # of the config: whether both sublayers read the layer's input
    old_style: Callable  # rewrites config.json as transformers 4 spelled it
    defaults: dict  # keys that old files omit: the class's default, or a function of the config


def common_config(deck):
    return {
        "vocab_size": deck.deal("vocab_size", [97, 160, 256, 333, 512]),
        "num_hidden_layers": deck.deal("layers", [1, 2, 3, 4]),
        "max_position_embeddings": deck.deal("positions", [130, 256, 2048]),
        "bos_token_id": 0,
        "eos_token_id": 0,
    }


def rename(config, **names):
    for old, new in names.items():
        if old in config:
            config[new] = config.pop(old)


# ---- llama -------------------------------------------------------------------------------------


def llama_config(deck, shape):
    hidden, heads, kv_heads, head_dim, intermediate = shape
    return common_config(deck) | {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "intermediate_size": intermediate,
        "hidden_act": deck.deal("hidden_act", ["silu"] * 8 + ["gelu", "gelu_pytorch_tanh"]),
        "rms_norm_eps": deck.deal("rms_norm_eps", [1e-6, 1e-5, 1e-8]),
        "tie_word_embeddings": deck.deal("tied", [False, True]),
        "attention_bias": deck.deal("attention_bias", [False, False, True]),
        "mlp_bias": deck.deal("mlp_bias", [False, False, True]),
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": deck.deal("rope_theta", [10000.0, 500000.0, 130000.0, 100.0]),
        },
    }


def llama_old_style(config):
    config["rope_theta"] = config.pop("rope_parameters")["rope_theta"]
    config["rope_scaling"] = None
    rename(config, dtype="torch_dtype")


LLAMA = Family(
    model_type="llama",
    config=llama_config,
    #       d   heads kv head_dim ffn
    shapes=((64, 4, 2, 16, 160), (80, 5, 1, 24, 131), (96, 6, 3, 32, 96), (80, 5, 5, 16, 37),
            (48, 3, 1, 16, 250), (72, 8, 2, 40, 129), (128, 4, 4, 32, 257), (64, 8, 4, 8, 64),
            (56, 7, 7, 24, 100), (100, 2, 1, 128, 61), (60, 12, 3, 6, 77), (160, 10, 2, 80, 33)),
    small_shapes=((24, 4, 2, 6, 33), (20, 5, 1, 12, 37), (21, 3, 3, 8, 24), (16, 2, 1, 16, 29)),
    layers="model.layers",
    attn="self_attn",
    mlp="mlp",
    writes=("o_proj", "down_proj"),
    parallel=lambda config: False,
    old_style=llama_old_style,
    defaults={
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "rope_scaling": None,
        "tie_word_embeddings": False,
        "attention_bias": False,
        "mlp_bias": False,
        "num_key_value_heads": lambda config: config["num_attention_heads"],
        "head_dim": lambda config: config["hidden_size"] // config["num_attention_heads"],
        "max_position_embeddings": 2048,
    },
)

# ---- gpt_neox ----------------------------------------------------------------------------------


def gpt_neox_config(deck, shape):
    hidden, heads, rotary_pct, intermediate = shape
    return common_config(deck) | {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "intermediate_size": intermediate,
        "hidden_act": deck.deal("hidden_act", ["gelu"] * 8 + ["gelu_new", "relu"]),
        "layer_norm_eps": deck.deal("layer_norm_eps", [1e-5, 1e-6, 1e-3]),
        "tie_word_embeddings": deck.deal("tied", [False, False, True]),
        "use_parallel_residual": deck.deal("parallel", [True, True, False]),
        "attention_bias": deck.deal("attention_bias", [True, True, True, False]),
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": deck.deal("rope_theta", [10000.0, 10000.0, 25000.0, 500.0]),
            "partial_rotary_factor": rotary_pct,
        },
    }


def gpt_neox_old_style(config):
    rope = config.pop("rope_parameters")
    config["rotary_emb_base"] = rope["rope_theta"]
    config["rotary_pct"] = rope["partial_rotary_factor"]
    rename(config, dtype="torch_dtype")


GPT_NEOX = Family(
    model_type="gpt_neox",
    config=gpt_neox_config,
    # d, heads, share of a head that turns, ffn; 0.29 * 100 is 28.999... and int() makes it 28
    shapes=((64, 4, 0.25, 256), (80, 5, 0.25, 131), (72, 3, 0.25, 288), (96, 8, 1.0, 96),
            (60, 6, 0.4, 240), (128, 2, 0.5, 64), (48, 1, 0.25, 192), (128, 1, 0.25, 129),
            (100, 1, 0.29, 100), (112, 7, 0.75, 61), (80, 2, 0.2, 320), (40, 5, 1.0, 37)),
    small_shapes=((32, 4, 0.25, 37), (20, 5, 1.0, 33), (24, 3, 0.5, 48), (24, 1, 0.25, 29)),
    layers="gpt_neox.layers",
    attn="attention",
    mlp="mlp",
    writes=("attention.dense", "dense_4h_to_h"),
    parallel=lambda config: config.use_parallel_residual,
    old_style=gpt_neox_old_style,
    defaults={
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-5,
        "rotary_emb_base": 10000.0,
        "rotary_pct": 0.25,
        "tie_word_embeddings": False,
        "use_parallel_residual": True,
        "attention_bias": True,
        "max_position_embeddings": 2048,
    },
)

FAMILIES = {family.model_type: family for family in (LLAMA, GPT_NEOX)}


# ---- cases -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One random model: what its folder holds and which tokens it is run over."""

    family: Family
    number: int
    seed: int
    config: dict
    dtype: str  # of the weights as saved
    shard_size: str  # max_shard_size of save_pretrained
    config_style: str  # "new": as transformers 5 writes it, "old": as 4 did, "omitted": no defaults
    sequences: int
    seq_len: int


def draw_cases(family, count, seed, small=False):
    """`count` cases of a family; the same ones for the same seed."""
    deck = Deck(f"{family.model_type} {seed}")
    shapes = family.small_shapes if small else family.shapes
    return [draw_case(family, number, deck, shapes, small) for number in range(count)]


def draw_case(family, number, deck, shapes, small):
    config = family.config(deck, deck.deal("shape", shapes))
    if small:
        config |= {"num_hidden_layers": 2, "vocab_size": 61}
    rows = [(2, 24)] if small else [(3, 33), (1, 130), (7, 16), (2, 64), (5, 2), (40, 12)]
    sequences, seq_len = deck.deal("rows", rows)
    return Case(
        family=family,
        number=number,
        seed=deck.rng.getrandbits(32),
        config=config,
        dtype=deck.deal("dtype", ["bfloat16", "float16", "float32", "float64"]),
        shard_size=deck.deal("shards", ["1GB", "1GB", "10KB" if small else "30KB"]),
        config_style=deck.deal("style", ["new", "old", "omitted"]),
        sequences=sequences,
        seq_len=seq_len,
    )

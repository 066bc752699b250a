# SPDX-License-Identifier: Apache-2.0
"""What the oracle knows of a family, and the random configurations drawn from it.

Adding a family is adding a file in families/: how to draw a configuration, where its layers are, and
which modules of a layer write what attention and MLP add to the residual stream.
"""
import random
from dataclasses import dataclass
from typing import Callable

from ropes import scale_some


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
    attn: str  # the module of a layer whose output is what attention adds; "a|b": the one it has
    mlp: str  # the same of the MLP
    writes: tuple  # parts of names of the weights that scale what a sublayer adds
    parallel: Callable  # of the config: whether both sublayers read the layer's input
    old_style: Callable  # rewrites config.json as transformers 4 spelled it
    defaults: dict  # keys that old files omit: the class's default, or a function of the config
    base: str = ""  # the part of the model whose own files have names without its prefix
    attention: str = "eager"  # transformers' implementation that is taken for the truth
    router: str = ""  # the module of a layer of whose outputs one is the router's logits
    router_logits: int = 0  # which one
    # of the config: whether the router's sigmoids choose, limited by groups
    sigmoid_router: Callable = lambda config: False
    added: Callable = lambda config, output: output  # what of a module's output reaches the stream
    norm_offset: float = 0.0  # what the model adds to its norms' weights
    head: str = "lm_head.weight"  # the head's name in files
    scaled: bool = True  # whether its rotations may be scaled in any way
    twice: bool = True  # whether its files may spell the rotation in both ways at once
    ahead: bool = False  # whether files may hold a layer more, which predicts further tokens
    # of the config: the sublayers that it leaves out, as (module, layer)
    absent: Callable = lambda config: frozenset()
    # of the config: whether its files may be packed, and how they are
    packs: Callable = lambda config: False
    pack: Callable = None
    model: Callable = None  # the class in ours/, for types that transformers does not have


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


# Keys whose value is a list with an entry for each layer.
PER_LAYER = ("layer_types", "no_rope_layers", "moe_topk", "block_configs")
# Keys whose value is a list of layers.
LAYER_NUMBERS = ("attn_layer_indices", "moe_layers")


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
    # "new": as transformers 5 writes it, "old": as 4 did, "omitted": no defaults, "both": both
    # spellings of the rotation
    config_style: str
    sequences: int
    seq_len: int
    own_head: bool = False  # a tied model whose file holds another head
    packed: bool = False  # of weights in few bits


def draw_cases(family, count, seed, small=False):
    """`count` cases of a family; the same ones for the same seed."""
    deck = Deck(f"{family.model_type} {seed}")
    shapes = family.small_shapes if small else family.shapes
    return [draw_case(family, number, deck, shapes, small) for number in range(count)]


def draw_case(family, number, deck, shapes, small):
    config = family.config(deck, deck.deal("shape", shapes))
    if small:
        config |= {"num_hidden_layers": 2, "vocab_size": 61}
        config |= {key: config[key][-2:] for key in PER_LAYER if isinstance(config.get(key), list)}
        config |= {key: [1] for key in LAYER_NUMBERS if key in config}
    elif family.scaled:
        scale_some(deck, config)
    rows = [(2, 24)] if small else [(3, 33), (1, 130), (7, 16), (2, 64), (5, 2), (40, 12)]
    sequences, seq_len = deck.deal("rows", rows)
    packed = family.packs(config) and deck.deal("packed", [True, True, False])
    return Case(
        family=family,
        number=number,
        seed=deck.rng.getrandbits(32),
        config=config,
        dtype=deck.deal("dtype", ["bfloat16", "float16", "float32", "float64"]),
        shard_size="1GB" if packed else
        deck.deal("shards", ["1GB", "1GB", "10KB" if small else "30KB"]),
        config_style=deck.deal("style", ["new", "old", "omitted"] + ([] if small else ["both"])),
        sequences=sequences,
        seq_len=seq_len,
        own_head=not small and deck.deal("own head", [False, False, True]),
        packed=packed,
    )

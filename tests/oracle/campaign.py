# SPDX-License-Identifier: Apache-2.0
"""Random models of every family whose config.json and files are changed in one of the ways that
people's are, run by trace-ckpts and by transformers.

    campaign.py --trace build/release/bin/trace-ckpts [--count 61] [--seed 1] [--family llama]

Where both give numbers they must agree as in test_forward.py. Where trace-ckpts refuses, its sentence
must name a key, a tensor or an option. Models that transformers refuses or completes with random
weights are counted only.
"""
import argparse
import collections
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from families import FAMILIES
from family import Deck, draw_cases
from reference import Taps, Truth, all_importances, exemptions, load_model, make_model
from ropes import LAYER_KINDS
from test_forward import compare, read_store

# ---- changes -----------------------------------------------------------------------------------
# Each takes (deck, config, tensors, family), changes them in place and says what it did; None: it
# does not apply. `tensors` is None for models in several files.

SHAPES = re.compile("hidden_size|n_embd|d_model|heads?$|n_head|head_dim|intermediate|n_inner|ffn|vocab|"
                    "layers?$|n_layer|lora|nope|v_head|experts?$|mlp_|embed|positions|model_type|"
                    "architectures|dtype|token_id|transformers_version|max_|rotary_dim|pct|factor|"
                    "dropout|pdrop|initializer|use_cache|return_dict|output_|aux_loss|_name_or_path")


def layers_key(config):
    return next(key for key in ("num_hidden_layers", "n_layers", "n_layer", "num_layers")
                if key in config)


def as_it_is(deck, config, tensors, family):
    return "as it is"


def causal(deck, config, tensors, family):
    config["is_causal"] = deck.deal("causal", [True, False])
    return f"is_causal {config['is_causal']}"


def dropped(deck, config, tensors, family):
    layers = config[layers_key(config)]
    layer = deck.rng.randrange(layers)
    kind, value = [
        ("drop_attn_list", [layer]), ("drop_attn_list", []),
        ("drop_mlp_list", [i == layer for i in range(layers)]), ("drop_mlp_list", [False] * layers),
        ("per_layer_config", {str(layer): {"skip": ["attention"]}}), ("per_layer_config", {}),
        ("block_configs", [{"ffn": {"no_op": i == layer}} for i in range(layers)]),
    ][deck.deal("dropped", range(7))]
    config[kind] = value
    return f"{kind} {value}"


def fewer_layers(deck, config, tensors, family):
    key = layers_key(config)
    if config[key] < 2:
        return None
    config[key] -= 1
    for lists in ("layer_types", "no_rope_layers"):
        if config.get(lists):
            config[lists] = config[lists][:-1]
    return f"{key} {config[key]}, one less than the files hold"


def layer_list(deck, config, tensors, family):
    layers = config[layers_key(config)]
    key = deck.deal("list", ["layer_types", "layer_types", "no_rope_layers", "mlp_only_layers"])
    length = max(layers + deck.deal("longer", [0, 0, 1, -1]), 0)
    if key == "layer_types":
        config[key] = [deck.rng.choice(LAYER_KINDS) for _ in range(length)]
    elif key == "no_rope_layers":
        config[key] = [deck.rng.randrange(2) for _ in range(length)]
    else:
        config[key] = [deck.rng.randrange(layers)]
    return f"{key} {config[key]} for {layers} layers"


def more_tensors(deck, config, tensors, family):
    """A tensor that no one asked for beside one that is there."""
    if tensors is None:
        return None
    name = deck.rng.choice(sorted(name for name in tensors if name.endswith(".weight")))
    rows = tensors[name].shape[0]
    added = name[:-len("weight")] + deck.deal("added", ["bias", "bias", "lora_A", "scales"])
    if added in tensors:
        return None
    tensors[added] = torch.full((rows,), 0.5)
    return f"also {added}"


def more_buffers(deck, config, tensors, family):
    if tensors is None:
        return None
    block = re.match(r"(.*\.\d+\.)", sorted(name for name in tensors if re.search(r"\.\d+\.", name))[0])[1]
    name = block + deck.deal("buffer", ["self_attn.rotary_emb.inv_freq", "attention.masked_bias",
                                        "attn.masked_bias", "attention.rotary_emb.inv_freq"])
    tensors[name] = torch.ones(4)
    return f"also the buffer {name}"


def own_head(deck, config, tensors, family):
    """The head's rows are another tensor, and config.json says the other thing."""
    key = "weight_tying" if "weight_tying" in config else "tie_word_embeddings"
    if key not in config or tensors is None:
        return None
    config[key] = not config[key]
    return f"{key} {config[key]} against what was saved"


def fraction(deck, config, tensors, family):
    where = config.get("rope_parameters")
    inside = isinstance(where, dict) and deck.deal("fraction inside", [True, True, False])
    (where if inside else config)["partial_rotary_factor"] = deck.deal("fraction", [0.5, 1.0])
    return f"partial_rotary_factor {'in rope_parameters' if inside else 'on top'}"


def nested(deck, config, tensors, family):
    rope = config.get("rope_parameters")
    if not isinstance(rope, dict):
        return None
    inner = rope.get(LAYER_KINDS[0])
    config["rope_parameters"] = inner if inner else {kind: dict(rope) for kind in LAYER_KINDS}
    return "rope_parameters " + ("flat" if inner else "nested")


def beside(deck, config, tensors, family):
    """What model cards tell people to add."""
    config["rope_scaling"] = deck.deal("beside", [
        {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16},
        {"type": "linear", "factor": 2.0}, {"rope_type": "default"}, {}, None,
        {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
         "original_max_position_embeddings": 16, "rope_theta": 777.0}])
    return f"rope_scaling {config['rope_scaling']}"


def base(deck, config, tensors, family):
    key = deck.deal("base", ["rope_theta", "original_max_position_embeddings", "rotary_emb_base"])
    config[key] = 24 if key.startswith("original") else 1234.5
    return f"{key} {config[key]} on top"


def left_out(deck, config, tensors, family):
    keys = [key for key in sorted(config) if key != "model_type"]
    gone = deck.rng.sample(keys, min(len(keys), deck.deal("gone", [1, 2, 3])))
    for key in gone:
        del config[key]
    return "without " + ", ".join(gone)


def null(deck, config, tensors, family):
    key = deck.rng.choice([key for key in sorted(config) if key != "model_type"])
    config[key] = None
    return f"{key} null"


def other_type(deck, config, tensors, family):
    key = deck.rng.choice([key for key in sorted(config) if key not in ("model_type", "architectures")])
    config[key] = deck.deal("type", [float("nan"), float("inf"), True, "3", [1], {"a": 1}])
    return f"{key} {config[key]!r}"


def other_value(deck, config, tensors, family):
    """Another value of an option that changes no shape."""
    keys = [key for key, value in sorted(config.items())
            if not SHAPES.search(key) and isinstance(value, (bool, int, float))]
    if not keys:
        return None
    key = deck.rng.choice(keys)
    value = config[key]
    config[key] = not value if isinstance(value, bool) else value * deck.deal("times", [0.5, 2, 1.5])
    if isinstance(value, int) and not isinstance(value, bool):
        config[key] = int(max(config[key], 1))
    return f"{key} {config[key]}, not {value}"


CHANGES = [as_it_is, as_it_is, causal, dropped, fewer_layers, layer_list, layer_list, more_tensors,
           more_buffers, own_head, own_head, fraction, fraction, nested, beside, beside, beside, base,
           left_out, left_out, left_out, null, null, other_type, other_value, other_value, other_value,
           other_value]


def change_folder(change, deck, folder, family):
    """Applies one change to a folder; what it did, None when it does not apply."""
    path, weights = folder / "config.json", folder / "model.safetensors"
    config = json.loads(path.read_text())
    tensors = load_file(weights) if weights.exists() else None
    before = set(tensors or ())
    said = change(deck, config, tensors, family)
    if said is None:
        return None
    path.write_text(json.dumps(config, indent=2) + "\n")
    if tensors is not None and set(tensors) != before:
        save_file(tensors, weights, {"format": "pt"})
    return said


# ---- both sides --------------------------------------------------------------------------------


class Refused(Exception):
    pass


def load(family, folder):
    if family.model:
        return load_model(family, folder, torch.float64)
    model, info = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float64, attn_implementation=family.attention,
        experts_implementation="eager", output_loading_info=True)
    if info["missing_keys"] or info["mismatched_keys"] or info.get("error_msgs"):
        raise Refused("weights that the files lack")
    return model.eval()


def truth_of(family, folder, tokens):
    """What transformers makes of the folder; Refused when it does not run it."""
    try:
        model = load(family, folder)
        taps = Taps(model, family)
        ids = torch.as_tensor(tokens, dtype=torch.int64)
        with torch.no_grad():
            logits = model(ids, use_cache=False).logits
        importance = all_importances(model, family, taps)
        exempt, ties = exemptions(taps, model.config, len(importance), ids.shape)
    except Refused:
        raise
    except Exception as problem:  # whatever it stumbles over
        raise Refused(f"{type(problem).__name__}: {str(problem)[:80]}") from None
    loss = torch.nn.functional.cross_entropy(
        logits[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none").mean(dim=1)
    return Truth(importance, loss.numpy(), exempt, ties)


def truth_in_float32(family, folder, tokens):
    """The same numbers by transformers in float32: how far rounding alone goes."""
    narrow = load(family, folder).float()
    taps = Taps(narrow, family)
    ids = torch.as_tensor(tokens, dtype=torch.int64)
    with torch.no_grad():
        logits = narrow(ids, use_cache=False).logits.double()
    loss = torch.nn.functional.cross_entropy(
        logits[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none").mean(dim=1)
    return all_importances(narrow, family, taps), loss.numpy()


def run_ours(program, folder, store):
    """The numbers, or Refused with the sentence."""
    command = [program, "--ckpts", folder, "--tokens", folder / "tokens.npy", "--per-token",
               "--fresh", "-q", "-o", store]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode not in (0, 1, 2, 3):
        raise ValueError(f"trace-ckpts ended with {done.returncode}: {done.stderr.strip()}")
    if done.returncode:
        raise Refused(done.stderr.strip().replace(str(folder), "FOLDER").splitlines()[-1])
    return read_store(store)


def is_named(sentence):
    """Whether a refusal says what it is about: a key in quotes, a tensor, sizes, an option."""
    return re.search(r'"[^"]+"|tensor |heads|rotary base|epsilon|experts in|rope |activation|leaves out|'
                     r"not supported|positions", sentence) is not None


def verdict_of(family, folder, program, tokens):
    """(verdict, words)."""
    try:
        found, refusal = run_ours(program, folder, folder.parent / "trace.h5"), None
    except Refused as problem:
        found, refusal = None, str(problem)
    try:
        truth, other = truth_of(family, folder, tokens), None
    except Refused as problem:
        truth, other = None, str(problem)
    if refusal:
        named = "refused" if is_named(refusal) else "REFUSED WITHOUT A NAME"
        return named, refusal + ("" if truth else f" (transformers: {other})")
    if not truth:
        return "transformers does not run it", other
    if not (np.isfinite(truth.importance).all() and np.isfinite(truth.nll).all()):
        return "not finite", "transformers gives NaN or infinite values"
    share, words = compare(found, truth)
    words = f"{words}: {share:.3f} of the tolerance"
    if 1 < share < 10:  # of thousands, some round worse than the tolerance allows
        other = compare(truth_in_float32(family, folder, tokens), truth)[0]
        words += f", transformers in float32 {other:.3f}"
        if share < 3 * other:
            return "agrees as float32 does", words
    return ("agrees" if share <= 1 else "WRONG"), words


def check(case, change, deck, program, folder):
    model = folder / "model"
    tokens = make_model(case, model)
    said = change_folder(change, deck, model, case.family)
    if said is None:
        said = "as it is"
    verdict, words = verdict_of(case.family, model, program, tokens)
    if change is dropped and verdict == "WRONG":  # transformers knows no lists of sublayers
        verdict = "left out"
    print(f"{case.family.model_type} {case.number} ({case.config_style}): {said}: {verdict}\n    {words}",
          flush=True)
    if verdict == "WRONG":
        print("    " + json.dumps(json.loads((model / "config.json").read_text())), flush=True)
    return verdict


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trace", required=True, type=Path, help="the trace-ckpts program")
    parser.add_argument("--count", type=int, default=61, help="models a family (61)")
    parser.add_argument("--seed", type=int, default=1, help="of the random models and changes (1)")
    parser.add_argument("--family", choices=sorted(row.model_type for row in FAMILIES.values()), help="only this family")
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    counts = collections.Counter()
    for family in FAMILIES.values():
        if options.family not in (None, family.model_type):
            continue
        deck = Deck(f"changes {family.model_type} {options.seed}")
        for case in draw_cases(family, options.count, options.seed):
            with tempfile.TemporaryDirectory() as folder:
                counts[check(case, deck.deal("change", CHANGES), deck, options.trace, Path(folder))] += 1
    print(", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())))
    bad = counts["WRONG"] + counts["REFUSED WITHOUT A NAME"]
    sys.exit(1 if bad or not counts else 0)


if __name__ == "__main__":
    main()

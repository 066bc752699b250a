# SPDX-License-Identifier: Apache-2.0
"""Random models of every family whose config.json and files are changed in one of the ways that
people's are, run by trace-ckpts and by transformers.

    campaign.py --trace build/release/bin/trace-ckpts [--count 61] [--seed 1] [--family llama ...]

Where both give numbers they must agree as in test_forward.py. Where trace-ckpts refuses, its sentence
must name a key, a tensor or an option. Models that transformers cannot build, refuses or completes with
random weights are counted only. transformers' classes ignore the keys that leave sublayers out, so that
the reference leaves them out itself. transformers 5.17 still reads Gemma's old gelu, gpt_oss's limit and
Bamba's groups otherwise; 5.24 reads them as they were trained. The last lines say for each family what was counted.
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
from reference import (Taps, Truth, all_importances, exemptions, load_model, loss_of, make_model,
                       mark_absent)
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

AGREES, AS_FLOAT32, WRONG = "agrees", "agrees as float32 does", "WRONG"
NAMED, NAMELESS = "refused", "REFUSED WITHOUT A NAME"
THEIRS = "refused by transformers"


class Refused(Exception):
    pass


def refusal_of(problem):
    """What transformers stumbled over: the exception's class and how its words begin."""
    return Refused(f"{type(problem).__name__}: {str(problem)[:80]}")


def listed(entries):
    """The layers that a list of numbers, or of a boolean for each layer, names."""
    return {layer if entry is True else entry
            for layer, entry in enumerate(entries or []) if entry is not False}


def left_out_by(family, folder):
    """The sublayers that config.json leaves out, as (module, layer)."""
    config = json.loads((folder / "config.json").read_text())
    attn, mlp = (listed(config.get(f"drop_{part}_list")) for part in ("attn", "mlp"))
    for layer, values in (config.get("per_layer_config") or {}).items():
        attn |= {int(layer)} if "attention" in values.get("skip", []) else set()
    for layer, block in enumerate(config.get("block_configs") or []):
        mlp |= {layer} if block.get("ffn", {}).get("no_op") else set()
    named = {("attn", layer) for layer in attn} | {("mlp", layer) for layer in mlp}
    return sorted(named | set(family.absent(config)))


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
    drop = left_out_by(family, folder)
    try:
        model = load(family, folder)
        taps = Taps(model, family, drop)
        ids = torch.as_tensor(tokens, dtype=torch.int64)
        with torch.no_grad():
            logits = model(ids, use_cache=False).logits
        importance = all_importances(model, family, taps)
        exempt, ties = exemptions(taps, model.config, len(importance), ids.shape)
    except Refused:
        raise
    except Exception as problem:  # whatever it stumbles over
        raise refusal_of(problem) from None
    loss = loss_of(logits, ids)
    if not (np.isfinite(importance).all() and np.isfinite(loss).all()):
        raise Refused("NaN or infinite values")
    mark_absent(importance, drop)
    return Truth(importance, loss, exempt, ties)


def truth_in_float32(family, folder, tokens):
    """The same numbers by transformers in float32: how far rounding alone goes."""
    drop = left_out_by(family, folder)
    narrow = load(family, folder).float()
    taps = Taps(narrow, family, drop)
    ids = torch.as_tensor(tokens, dtype=torch.int64)
    with torch.no_grad():
        logits = narrow(ids, use_cache=False).logits.double()
    importance = all_importances(narrow, family, taps)
    mark_absent(importance, drop)
    return importance, loss_of(logits, ids)


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
        named = NAMED if is_named(refusal) else NAMELESS
        return named, refusal + ("" if truth else f" (transformers: {other})")
    if not truth:
        return THEIRS, other
    share, words = compare(found, truth)
    words = f"{words}: {share:.3f} of the tolerance"
    if 1 < share < 10:  # of thousands, some round worse than the tolerance allows
        other = compare(truth_in_float32(family, folder, tokens), truth)[0]
        words += f", transformers in float32 {other:.3f}"
        if share < 3 * other:
            return AS_FLOAT32, words
    return (AGREES if share <= 1 else WRONG), words


def make(case, folder):
    """The case's folder and its tokens; Refused when transformers cannot build the model."""
    try:
        return make_model(case, folder)
    except Exception as problem:  # whatever it stumbles over
        raise refusal_of(problem) from None


def check(case, change, deck, program, folder):
    """(verdict, words)."""
    model, said = folder / "model", "as it is"
    try:
        tokens = make(case, model)
        said = change_folder(change, deck, model, case.family) or said
        verdict, words = verdict_of(case.family, model, program, tokens)
    except Refused as problem:
        verdict, words = THEIRS, str(problem)
    print(f"{case.family.model_type} {case.number} ({case.config_style}): {said}: {verdict}\n    {words}",
          flush=True)
    if verdict == WRONG:
        print("    " + json.dumps(json.loads((model / "config.json").read_text())), flush=True)
    return verdict, words


def check_family(family, options):
    """How often each (verdict, what transformers stumbled over or nothing)."""
    counts = collections.Counter()
    deck = Deck(f"changes {family.model_type} {options.seed}")
    for case in draw_cases(family, options.count, options.seed):
        with tempfile.TemporaryDirectory() as folder:
            verdict, words = check(case, deck.deal("change", CHANGES), deck, options.trace, Path(folder))
        counts[verdict, words.split(":")[0] if verdict == THEIRS else ""] += 1
    return counts


def describe(counts):
    """One line: how many were compared and agreed, and what became of the others."""
    of = {verdict: sum(count for key, count in counts.items() if key[0] == verdict)
          for verdict in (AGREES, AS_FLOAT32, WRONG, NAMED, NAMELESS, THEIRS)}
    agreed = of[AGREES] + of[AS_FLOAT32]
    line = (f"{counts.total()} models, {agreed + of[WRONG]} compared, {agreed} agree "
            f"({of[AS_FLOAT32]} as float32 does), {of[WRONG]} WRONG, {of[NAMED]} refused by name, "
            f"{of[NAMELESS]} without, {of[THEIRS]} refused by transformers")
    causes = [f"{count} {cause}" for (_, cause), count in sorted(counts.items()) if cause]
    return line + (f" ({', '.join(causes)})" if causes else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trace", required=True, type=Path, help="the trace-ckpts program")
    parser.add_argument("--count", type=int, default=61, help="models a family (61)")
    parser.add_argument("--seed", type=int, default=1, help="of the random models and changes (1)")
    parser.add_argument("--family", nargs="+", default=[], metavar="NAME",
                        choices=sorted(row.model_type for row in FAMILIES.values()),
                        help="only these families")
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    families = [row for row in FAMILIES.values()
                if not options.family or row.model_type in options.family]
    counts = {family.model_type: check_family(family, options) for family in families}
    counts["all"] = sum(counts.values(), collections.Counter())
    for name, of_it in counts.items():
        print(f"{name}: {describe(of_it)}")
    verdicts = {verdict for verdict, _ in counts["all"]}
    sys.exit(1 if not verdicts or verdicts & {WRONG, NAMELESS} else 0)


if __name__ == "__main__":
    main()

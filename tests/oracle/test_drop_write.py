# SPDX-License-Identifier: Apache-2.0
"""Writes random models of every family without some sublayers and has transformers load them.

    test_drop_write.py --drop build/release/bin/trace-drop [--count 2] [--seed 1] [--family llama ...]
        [--forms smaller zeroed ...]

Forms that transformers does not read are read by their readers' rules first (targets.py). What is loaded must have the logits of the original in which those sublayers are hooked to add
nothing, in float32, to the bit (models that scale by their depth: within 1e-5), the same missing and
unexpected tensors, and greedy decoding with cache must give the same 32 tokens. Where a form cannot
say a set the program must refuse, with the sentence that stands here.
"""
import argparse
import dataclasses
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging

import targets
from families import FAMILIES
from family import draw_cases
from reference import add_nothing, load_model, make_model, part_of

TOLERANCE = 1e-5
NEW_TOKENS = 32


def first_kept(case, drop):
    """The sublayers of the first block that keeps one; blocks may lack some before."""
    gone = {*drop, *case.family.absent(case.config)}
    for layer in range(case.config["num_hidden_layers"]):
        kept = [module for module in ("attn", "mlp") if (module, layer) not in gone]
        if kept:
            return kept
    return []


# Sentences with which a form refuses a set, by what has to be true of the case.
REFUSALS = {
    "the first block's attention has no norm before it":
        lambda case, drop: case.family.model_type == "modernbert-decoder" and ("attn", 0) in drop,
    "attention is scaled by the layer's number":
        lambda case, drop: case.config.get("scale_attn_by_inverse_layer_idx"),
    "what this one's number says: experts":
        lambda case, drop: case.config.get("moe_layer_freq", 1) > 1,
    "fails where the first layer has an MLP and no attention":
        lambda case, drop: first_kept(case, drop) == ["mlp"],
    "the drop set leaves out every sublayer of the model":
        lambda case, drop: not first_kept(case, drop),
    "without any attention LLM-Drop's models have no cache":
        lambda case, drop: len([m for m, _ in drop if m == "attn"]) == case.config["num_hidden_layers"],
    "turns queries and keys, and knows no ALiBi":
        lambda case, drop: case.family.model_type == "baichuan",
    "scales the head's rows to length 1": lambda case, drop: case.config["vocab_size"] != 125696,
    "fails with a cache where attention is left out":
        lambda case, drop: case.family.model_type == "baichuan" and "attn" in dict(drop),
    "knows no window of one token": lambda case, drop: case.config["sliding_window"] == 1,
    "does not know this scaling of positions": lambda case, drop: True,
    "turns whole heads, not a part of them":
        lambda case, drop: case.config["rope_parameters"].get("partial_rotary_factor", 1) != 1,
    'reads no "head_dim"':
        lambda case, drop: case.config["head_dim"] * case.config["num_attention_heads"] !=
        case.config["hidden_size"],
    "knows no biases in the MLP": lambda case, drop: case.config["mlp_bias"],
    'whatever "layer_types" says': lambda case, drop: "layer_types" in case.config,
}
# What a recipe for mergekit cannot say, which is looked at in the written config.json alone.
RECIPE = ("mergekit cuts no lists", "config.json cannot say of that one", "would say something else")


# ---- sets --------------------------------------------------------------------------------------


def layers_of(case, folder):
    config = json.loads((folder / "config.json").read_text())
    keys = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
    return next(config[key] for key in keys if key in config)


def some(generator, members):
    """At least one of them, never all, in order."""
    count = generator.integers(1, len(members))
    return [members[i] for i in sorted(generator.permutation(len(members))[:count])]


def draw_drop(form, family, layers, generator):
    says_absent = form == "smaller" and family.model_type == "nemotron-nas"
    if form in ("smaller", "mergekit") and not says_absent:
        blocks = some(generator, range(layers)) if layers > 1 else []
        return [(module, layer) for layer in blocks for module in ("attn", "mlp")]
    return some(generator, [(m, layer) for m in ("attn", "mlp") for layer in range(layers)])


def text_of(drop):
    return " ".join(f"{module}:{layer}" for module, layer in drop)


# ---- models ------------------------------------------------------------------------------------


def load_f32(family, folder):
    """(model in float32, names of tensors that were missing or of no use)."""
    if family.model:
        return load_model(family, folder, torch.float32), None
    model, told = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation=family.attention,
        experts_implementation="eager", output_loading_info=True)
    return model.eval(), [sorted(str(key) for key in told[name])
                          for name in ("missing_keys", "unexpected_keys", "mismatched_keys")]


def hook(model, family, drop):
    blocks = model.get_submodule(family.layers)
    for module, layer in drop:
        path = family.attn if module == "attn" else family.mlp
        part_of(blocks[layer], path).register_forward_hook(add_nothing)


def logits_of(model, tokens):
    with torch.no_grad():
        return model(torch.as_tensor(tokens, dtype=torch.int64), use_cache=False).logits


def greedy(model, tokens):
    prompt = torch.as_tensor(tokens[:1, :5], dtype=torch.int64)
    return model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False,
                          min_new_tokens=NEW_TOKENS, max_new_tokens=NEW_TOKENS, use_cache=True,
                          pad_token_id=0).tolist()


# ---- one comparison ----------------------------------------------------------------------------


def write(program, source, target, form, drop):
    return subprocess.run([str(program), "write", str(source), "--drop", text_of(drop), "-o",
                           str(target), "--as", *targets.options_of(form)], capture_output=True, text=True,
                          env=os.environ | {"OMP_NUM_THREADS": "1"})


def is_of(name, drop, layers_stem):
    """Whether a tensor is of a sublayer that is left out, its norm included."""
    parts = {"attn": ("self_attn.", "input_layernorm."), "mlp": ("mlp.", "post_attention_layernorm.")}
    return any(name.startswith(f"{layers_stem}.{layer}.{part}")
               for module, layer in drop for part in parts[module])


def further_moved(form, told, layers, drop):
    """What loading says of the original, as it has to be of the written model: layers that are there
    for predicting further tokens stay behind the last one, and mergekit has none of them."""
    if form not in ("smaller", "mergekit") or told is None:
        return told
    moved = []
    for name in told[1]:
        number = re.search(r"\.(\d+)\.", name)
        further = bool(number) and int(number[1]) >= layers
        if further and form == "smaller":
            name = name.replace(number[0], f".{int(number[1]) - len(drop) // 2}.", 1)
        moved += [] if further and form == "mergekit" else [name]
    return [told[0], sorted(moved), told[2]]


def differences(case, form, source, target, drop, tokens):
    """What is wrong with the written model, in words; and the largest difference of a logit."""
    truth, told_before = load_f32(case.family, source)
    hook(truth, case.family, drop)
    folder, still = targets.READERS[form](source, target, target.parent / f"{form} as read")
    ours, told = load_f32(case.family, folder)
    hook(ours, case.family, still)
    expected, found = logits_of(truth, tokens), logits_of(ours, tokens)
    apart = (found - expected).abs().max().item() / max(1.0, expected.abs().max().item())
    exact = not case.family.model
    wrong = []
    if form in ("anymodel", "nemotron-nas"):  # of parts that are no_op there is nothing to load
        told[0] = [name for name in told[0] if not is_of(name, drop, case.family.layers)]
    told_before = further_moved(form, told_before, layers_of(case, source), drop)
    if told != told_before:
        wrong.append(f"loading says {told}, of the original {told_before}")
    if still and sorted(still) != sorted(drop):
        wrong.append(f"its readers leave out {text_of(still)}")
    if not torch.equal(found, expected) if exact else not apart <= TOLERANCE:
        wrong.append(f"logits are {apart:.1e} apart")
    if exact and greedy(truth, tokens) != greedy(ours, tokens):
        wrong.append("greedy decoding gives other tokens")
    return wrong, apart


def is_refused_rightly(case, form, drop, said):
    if form == "mergekit" and any(sentence in said for sentence in RECIPE):
        return True
    return any(sentence in said and applies(case, drop) for sentence, applies in REFUSALS.items())


def check(case, program, source, form, drop, tokens):
    """Words about one written model, and whether all is well."""
    target = source.parent / form
    done = write(program, source, target, form, drop)
    if done.returncode:
        ok = is_refused_rightly(case, form, drop, done.stderr) and not target.exists()
        return f"refused: {done.stderr.strip()}", ok
    wrong, apart = differences(case, form, source, target, drop, tokens)
    return "; ".join(wrong) or f"logits {apart:.1e} apart", not wrong


def check_case(case, program, forms):
    """How many of its written models are wrong, and how many there are."""
    failed = total = 0
    with tempfile.TemporaryDirectory() as name:
        models = {}
        generator = np.random.default_rng(case.seed)
        for form in forms:
            if not targets.applies(form, case.family):
                continue
            config = targets.changed(case, form)
            key = json.dumps(config, sort_keys=True)
            if key not in models:
                source = Path(name) / f"{len(models)}" / "model"
                models[key] = source, make_model(dataclasses.replace(case, config=config), source)
            source, tokens = models[key]
            layers = layers_of(case, source)
            drop = draw_drop(form, case.family, layers, generator)
            if not drop:
                continue
            words, ok = check(case, program, source, form, drop, tokens)
            print(f"{case.family.model_type} {case.number} {layers} layers, {case.dtype}, {form} without "
                  f"{text_of(drop)}: {words}{'' if ok else '  FAILED'}", flush=True)
            failed += not ok
            total += 1
    return failed, total


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--drop", required=True, type=Path, help="the trace-drop program")
    parser.add_argument("--count", type=int, default=2, help="configurations a family (2)")
    parser.add_argument("--seed", type=int, default=1, help="of the random configurations (1)")
    parser.add_argument("--family", nargs="+", help="only these families, by their files' names")
    parser.add_argument("--forms", nargs="+", default=targets.FORMS, choices=targets.FORMS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    failed = total = 0
    for name, family in FAMILIES.items():
        if options.family and name not in options.family:
            continue
        for case in draw_cases(family, options.count, options.seed):
            case = dataclasses.replace(case, sequences=min(case.sequences, 3))
            wrong, checked = check_case(case, options.drop, options.forms)
            failed += wrong
            total += checked
    print(f"{total - failed} of {total} written models agree, or are refused as they have to be")
    sys.exit(1 if failed or not total else 0)


if __name__ == "__main__":
    main()

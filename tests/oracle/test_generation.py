# SPDX-License-Identifier: Apache-2.0
"""Continues random prompts with random models of every family through trace-eval's cache, and asks
transformers, without a cache and in float64, which token is the likeliest at every position.

    test_generation.py --eval build/release/bin/trace-eval [--count 2] [--tokens 256] [--family llama]

Each model continues seven prompts of unequal length, whole and without random sublayers, one at a
time and all together. A token whose logit is within 1e-4 of the largest is right and, where it is
another one than transformers', counted; so is, with its text from there on, one behind a router's
choice of experts that is a near tie. Where the rotation depends on the length of the text, every
length goes through transformers by itself, and texts are shorter.
"""
import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from transformers.utils import logging

from families import FAMILIES
from family import draw_cases
from reference import Taps, exemptions, load_model, make_model

TIE = 1e-4
LENGTHS = (9, 1, 40, 2, 17, 9, 30)
POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length",
             "seq_length", "model_max_length")


def longer(case, tokens):
    """The case with positions for its texts."""
    config = dict(case.config)
    for key in POSITIONS:
        if isinstance(config.get(key), int):
            config[key] = max(config[key], max(LENGTHS) + tokens)
    return dataclasses.replace(case, config=config)


def by_length(case):
    return (case.config.get("rope_parameters") or {}).get("rope_type") in ("dynamic", "longrope")


def generate(program, folder, prompts, tokens, batch, drop):
    path = folder / "prompts.jsonl"
    path.write_text("".join(json.dumps({"input_ids": ids, "max_gen_toks": tokens}) + "\n"
                            for ids in prompts))
    command = [program, folder / "model", "--generate", path, "--batch", batch, "--fresh", "-q",
               "--device", "cpu", "--max-length", max(LENGTHS) + tokens, "-o", folder / "eval.h5"]
    if drop:
        command += ["--drop", drop]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        raise ValueError(f"trace-eval ended with {done.returncode}: {done.stderr.strip()}")
    sets = ["."] + [entry.name for entry in (folder / "eval.h5.tasks/model").iterdir() if entry.is_dir()]
    return [[json.loads(line)["tokens"] for line in
             (folder / "eval.h5.tasks/model" / name / "prompts.texts.jsonl").read_text().splitlines()]
            for name in sets]


class Judge:
    """Counts near ties; says what is wrong."""

    def __init__(self, case, folder):
        self.case, self.folder = case, folder
        self.models = {}  # by what is left out
        self.tokens = self.ties = self.exempt = 0

    def logits(self, ids, drop):
        """[position, vocabulary], and where the first near tie of experts is."""
        if drop not in self.models:
            model = load_model(self.case.family, self.folder / "model", torch.float64)
            self.models[drop] = model, Taps(model, self.case.family, drop)
        model, taps = self.models[drop]
        ids = torch.tensor([ids])
        with torch.no_grad():
            logits = model(ids, use_cache=False).logits[0]
        layers = len(model.get_submodule(self.case.family.layers))
        exempt, _ = exemptions(taps, model.config, layers, ids.shape)
        near = exempt.any(axis=(0, 1))[0]
        return logits, int(near.argmax()) if near.any() else ids.shape[1]

    def compare(self, logits, near, tokens, first):
        """tokens[i] follows position first + i of the text that has these logits."""
        for i, token in enumerate(tokens):
            at = logits[first + i]
            if first + i >= near:
                self.exempt += len(tokens) - i
                return
            self.tokens += 1
            gap = (at.max() - at[token]).item()
            if not gap < TIE:
                raise ValueError(f"token {i} of {len(tokens)} behind {first + 1} is {token}, and "
                                 f"{int(at.argmax())} is likelier by {gap:.2e}")
            self.ties += int(at.argmax()) != token

    def check(self, prompt, tokens, drop):
        ends = [len(tokens)] if not by_length(self.case) else range(1, len(tokens) + 1)
        for end in ends:
            begin = 0 if end == len(tokens) and len(ends) == 1 else end - 1
            logits, near = self.logits(prompt + tokens[:end - 1], drop)
            self.compare(logits, near, tokens[begin:end], len(prompt) - 1 + begin)


def random_drop(case, layers):
    generator = np.random.default_rng(case.seed)
    everything = [(module, layer) for module in ("attn", "mlp") for layer in range(layers)]
    count = generator.integers(1, len(everything))
    return sorted(everything[i] for i in generator.permutation(len(everything))[:count])


def check(case, program, folder, tokens):
    case = longer(case, tokens)
    make_model(case, folder / "model")
    generator = np.random.default_rng(case.seed)
    tokens = min(tokens, 24) if by_length(case) else tokens
    config = json.loads((folder / "model/config.json").read_text())
    vocabulary = config.get("vocab_size", case.config["vocab_size"])
    # Token 0 ends a text, so the prompts have others; what is generated may have it as its last.
    prompts = [generator.integers(1, vocabulary, length).tolist() for length in LENGTHS]
    model = load_model(case.family, folder / "model", torch.float64)
    layers = len(model.get_submodule(case.family.layers))
    drop = random_drop(case, layers)
    text = " ".join(f"{module}:{layer}" for module, layer in drop)
    judge = Judge(case, folder)
    for batch, sets in ((len(LENGTHS), text), (1, None)):
        for texts, left_out in zip(generate(program, folder, prompts, tokens, batch, sets), ((), drop)):
            for prompt, found in zip(prompts, texts, strict=True):
                if not found or (len(found) < tokens and found[-1] != 0):
                    raise ValueError(f"{len(found)} tokens behind a prompt of {len(prompt)}")
                judge.check(prompt, found, tuple(left_out))
    return judge


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--eval", required=True, type=Path, help="the trace-eval program")
    parser.add_argument("--count", type=int, default=2, help="models a family (2)")
    parser.add_argument("--tokens", type=int, default=256, help="new tokens (256)")
    parser.add_argument("--seed", type=int, default=1, help="of the random models (1)")
    parser.add_argument("--family", nargs="*", help="only these")
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    failed = total = 0
    for family in FAMILIES.values():
        if options.family and family.model_type not in options.family:
            continue
        for case in draw_cases(family, options.count, options.seed):
            with tempfile.TemporaryDirectory() as folder:
                total += 1
                try:
                    judge = check(case, options.eval.resolve(), Path(folder), options.tokens)
                    print(f"{family.model_type} {case.number}: {judge.tokens} tokens, {judge.ties} near "
                          f"ties, {judge.exempt} behind near ties of experts", flush=True)
                except (ValueError, OSError) as problem:
                    failed += 1
                    print(f"{family.model_type} {case.number}: FAILED: {problem}", flush=True)
    print(f"{total - failed} of {total} models give the tokens of the run without a cache")
    sys.exit(1 if failed or not total else 0)


if __name__ == "__main__":
    main()

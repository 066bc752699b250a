# SPDX-License-Identifier: Apache-2.0
"""Perplexities of a text as a plain script with transformers computes them, in float32: packed rows,
and windows with a stride; whole and without sublayers. And how far the latter are from the whole model:
divergences, angle and agreement, as their definitions read.

    test_perplexity.py --eval build/release/bin/trace-eval
"""
import argparse
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401 (zstd)
import numpy as np
import torch
from transformers import AutoModelForCausalLM

SERIES = Path(__file__).resolve().parents[1] / "series"
RELATIVE, DISTANCE = 1e-6, 1e-5
CASES = (("demo", "step_6418", ("attn:6", "attn:1,2 mlp:4")), ("neox", "step_7697", ("attn:3",)))
LENGTH, STRIDES = 128, (128, 50)
TOKENS = 400


def without(model, drop):
    """Hooks that return zeros for the sublayers of a text form."""
    blocks = model.model.layers if hasattr(model, "model") else model.gpt_neox.layers

    def zero(module, inputs, output):
        if isinstance(output, tuple):
            return (torch.zeros_like(output[0]), *output[1:])
        return torch.zeros_like(output)

    handles = []
    for part in drop.split():
        module, layers = part.split(":")
        for layer in layers.split(","):
            block = blocks[int(layer)]
            attention = getattr(block, "self_attn", None) or getattr(block, "attention", None)
            handles.append((attention if module == "attn" else block.mlp).register_forward_hook(zero))
    return handles


@torch.no_grad()
def losses(model, ids, first):
    """Sum and number of the losses of the tokens from `first` on; the first has none."""
    logits = model(torch.tensor(ids)[None]).logits[0].float()
    first = max(first, 1)
    loss = torch.nn.functional.cross_entropy(logits[first - 1:-1], torch.tensor(ids[first:]),
                                             reduction="none")
    return loss.double().sum().item(), len(ids) - first


def packed(model, ids):
    sums = [losses(model, ids[i:i + LENGTH], 0) for i in range(0, TOKENS - LENGTH + 1, LENGTH)]
    return math.exp(sum(s for s, _ in sums) / sum(n for _, n in sums))


def strided(model, ids, stride):
    """As transformers' documentation on perplexity has it, each token counted once."""
    total, count, done = 0, 0, 0
    used = TOKENS // LENGTH * LENGTH  # whole rows
    for begin in range(0, used, stride):
        end = min(begin + LENGTH, used)
        s, n = losses(model, ids[begin:end], done - begin)
        total, count, done = total + s, count + n, end
        if end == used:
            break
    return math.exp(total / count)


@torch.no_grad()
def distances(model, ids, drop):
    """Means over packed rows of KL, Jensen-Shannon divergence, angle of the logits, agreement."""
    rows = torch.tensor(ids[:TOKENS // LENGTH * LENGTH]).reshape(-1, LENGTH)
    whole = model(rows).logits.double()
    handles = without(model, drop)
    other = model(rows).logits.double()
    for handle in handles:
        handle.remove()
    log_p, log_q = whole.log_softmax(-1), other.log_softmax(-1)
    log_m = torch.logaddexp(log_p, log_q) - math.log(2)
    js = (log_p.exp() * (log_p - log_m) + log_q.exp() * (log_q - log_m)).sum(-1) / 2
    return {"set_kl": (log_p.exp() * (log_p - log_q)).sum(-1).mean().item(), "set_js": js.mean().item(),
            "set_angle": torch.nn.functional.cosine_similarity(whole, other, -1).acos().mean().item(),
            "set_agree": (whole.argmax(-1) == other.argmax(-1)).double().mean().item()}


def compare_distances(model, ids, drops, stored):
    worst = 0
    for index, drop in enumerate(drops):
        for name, want in distances(model, ids, drop).items():
            worst = max(worst, abs(stored[name][index].mean() - want) / DISTANCE)
    return worst


def ours(program, folder, drops, stride, work):
    """{drop: (packed, strided)}, and what the store has of the sets"""
    out = work / "eval.h5"
    command = [program, folder, "--tokens", work / "ids.npy", "--seq-len", str(LENGTH), "--stride",
               str(stride), "--fresh", "-q", "--device", "cpu", "-o", out]
    subprocess.run([str(part) for part in command + [word for drop in drops for word in ("--drop", drop)]],
                   check=True, stdout=subprocess.DEVNULL)
    with h5py.File(out) as store:
        sets = [math.exp(np.mean(row)) for row in store["set_nll"][0]]
        stored = {name: store[name][0] for name in ("set_kl", "set_js", "set_angle", "set_agree")}
        found = {None: [math.exp(store["nll"][0].mean())]}
    found.update({drop: [value] for drop, value in zip(drops, sets)})
    for path in (work / "eval.h5.tasks").rglob("results.json"):
        value = json.loads(path.read_text())
        drop = next((d for d in drops if d == value["config"]["drop"]), None)
        found[drop].append(value["results"][f"text, stride {stride}"]["perplexity,none"])
    return found, stored


def compare(program, name, checkpoint, drops, work):
    folder = SERIES / name / checkpoint
    ids = np.load(SERIES / name / "tokens.npy").reshape(-1)[:TOKENS].astype(np.int32)
    np.save(work / "ids.npy", ids)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    worst = 0
    for stride in STRIDES:
        found, stored = ours(program, folder, drops, stride, work)
        for drop in (None, *drops):
            handles = without(model, drop or "")
            wanted = (packed(model, ids.tolist()), strided(model, ids.tolist(), stride))
            for handle in handles:
                handle.remove()
            for got, want in zip(found[drop], wanted, strict=True):
                worst = max(worst, abs(got / want - 1) / RELATIVE)
    far = compare_distances(model, ids.tolist(), drops, stored)
    good = worst <= 1 and far <= 1
    print(f"{name} {checkpoint}: perplexities within {worst:.3f}, distances within {far:.3f} of the "
          f"tolerance{'' if good else '  FAILED'}")
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--eval", required=True)
    program = Path(parser.parse_args().eval).resolve()
    torch.set_num_threads(1)
    good = True
    for name, checkpoint, drops in CASES:
        with tempfile.TemporaryDirectory() as work:
            good = compare(program, name, checkpoint, drops, Path(work)) and good
    return 0 if good else 1


sys.exit(main())

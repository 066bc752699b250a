# SPDX-License-Identifier: Apache-2.0
"""What leaving out each sublayer costs, computed on a GPU, beside transformers in the same type.

    check_gpu_costs.py trace-ckpts=PATH store_json=PATH series=tests/series [out=CSV]

The truth of loss and divergence is golden.json's drop_one, of Jensen-Shannon divergence and angle
transformers' logits in float64. f32 may be off by 1e-4; in bf16 and f16 the root mean square error
over sublayers may be at most that of transformers, whose logits are compared in f32. The noise
floor is printed: what transformers' own rounding makes of a model from which nothing was left out.
An angle's is high, and who is nearer far below it is chance: of angles alone, errors below a
twentieth of it are no fault. Exits with 77 when there is no GPU.
"""
import csv
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from transformers.utils import logging

from families import FAMILIES
from reference import run_model

TYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
MODULES = ("attn", "mlp")
F32_LIMIT = 1e-4
FLOOR_SHARE = 1 / 20


QUANTITIES = ("loss", "divergence", "js", "angle")


def store_of(programs, folder, tokens, dtype, work, layers):
    """One row of a store: every sublayer as a cost, and as a set of its own."""
    store, sets = work / "costs.h5", work / "sets.txt"
    sets.write_text("".join(f"{module}{layer}: {module}:{layer}\n"
                            for layer in range(layers) for module in MODULES))
    subprocess.run([programs["trace-ckpts"], "--ckpts", folder, "--tokens", tokens, "--fresh", "-q",
                    "--device", "cuda", "--dtype", dtype, "--cost", "attn,mlp", "--drop-sets", sets, "--set-distances",
                    "-o", store], check=True)
    said = subprocess.run([programs["store_json"], store, "-v", "drop_nll", "drop_kl", "set_kl",
                           "set_js", "set_angle"], check=True, capture_output=True, text=True).stdout
    whole, = json.loads(said)
    row, = whole["rows"]
    return row


def ours(programs, folder, tokens, dtype, work, layers):
    """{quantity: [layer, module]}, means over all rows."""
    row = store_of(programs, folder, tokens, dtype, work, layers)

    def means(name, modules):
        values = np.array([np.nan if value is None else value for value in row[name]], float)
        return values.reshape(layers, modules, -1).mean(-1)[:, :2]

    assert np.abs(means("set_kl", 2) - means("drop_kl", 3)).max() <= 1e-6, "sets are not the costs"
    return {"loss": means("drop_nll", 3), "divergence": means("drop_kl", 3),
            "js": means("set_js", 2), "angle": means("set_angle", 2)}


def logits_of(family, folder, tokens, dtype, drop):
    logits = run_model(family, folder, tokens, dtype, device="cuda", drop=drop)[2]
    return logits if dtype == torch.float64 else logits.float()


def compare(base, logits, ids):
    """{quantity: mean over rows}"""
    other, whole = logits.log_softmax(-1), base.log_softmax(-1)
    middle = torch.logaddexp(whole, other) - math.log(2)
    js = (whole.exp() * (whole - middle) + other.exp() * (other - middle)).sum(-1) / 2
    cosine = torch.nn.functional.cosine_similarity(base, logits, -1)
    return {"loss": -other[:, :-1].gather(2, ids[:, 1:, None]).mean().item(),
            "divergence": (whole.exp() * (whole - other)).sum(-1).mean().item(),
            "js": js.mean().item(), "angle": cosine.clamp(-1, 1).acos().mean().item()}


def theirs(folder, tokens, dtype, layers):
    """{quantity: [layer, module]}, and what rounding alone makes of each quantity"""
    config = json.loads((folder / "config.json").read_text())
    family, ids = FAMILIES[config["model_type"]], torch.as_tensor(tokens, dtype=torch.int64).cuda()
    base = logits_of(family, folder, tokens, dtype, ())
    found = {quantity: np.zeros((layers, 2)) for quantity in QUANTITIES}
    for layer in range(layers):
        for at, module in enumerate(MODULES):
            one = compare(base, logits_of(family, folder, tokens, dtype, [(module, layer)]), ids)
            for quantity, value in one.items():
                found[quantity][layer, at] = value
    exact = logits_of(family, folder, tokens, torch.float32, ())
    return found, compare(exact, base, ids)


def rms(found, truth):
    return float(np.sqrt(np.mean((found - truth) ** 2)))


def truths(folder, golden, tokens, layers):
    found = theirs(folder, tokens, torch.float64, layers)[0]
    for quantity, key in (("loss", "nll"), ("divergence", "kl")):
        found[quantity] = np.array([[one[key] for one in golden[module]] for module in MODULES]).T
    return found


def check(programs, folder, truth, dtype, work):
    """Rows of the table, one for each quantity."""
    tokens = folder.parent / "tokens.npy"
    layers = len(truth["loss"])
    found = ours(programs, folder, tokens, dtype, work, layers)
    reference, floor = theirs(folder, np.load(tokens), TYPES[dtype], layers)
    for quantity in QUANTITIES:
        error, other = (rms(side[quantity], truth[quantity]) for side in (found, reference))
        worst = float(np.abs(found[quantity] - truth[quantity]).max())
        least = 0 if quantity == "loss" else floor[quantity]
        limit = max(other, least * FLOOR_SHARE) if quantity == "angle" else other
        ok = worst <= F32_LIMIT if dtype == "f32" else error <= limit
        yield (folder.parent.name, dtype, quantity, f"{error:.2e}", f"{other:.2e}",
               f"{error / other:.3f}", f"{worst:.2e}", f"{least:.2e}", "ok" if ok else "FAILED")


def main():
    programs = dict(word.split("=", 1) for word in sys.argv[1:])
    if not os.path.exists("/dev/nvidiactl"):
        print("skipped: this machine has no GPU")
        return 77
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    header = ("model", "dtype", "quantity", "rms", "reference_rms", "ratio", "worst",
              "floor", "verdict")
    rows = []
    with tempfile.TemporaryDirectory() as work:
        for series in ("demo", "neox"):
            root = Path(programs["series"]) / series
            golden = json.loads((root / "golden.json").read_text())["checkpoints"]
            name, = [name for name, one in golden.items() if "drop_one" in one]
            drop_one = golden[name]["drop_one"]
            truth = truths(root / name, drop_one, np.load(root / "tokens.npy"), len(drop_one["attn"]))
            for dtype in TYPES:
                rows += check(programs, root / name, truth, dtype, Path(work))
    for row in (header, *rows):
        print("".join(f"{word:<18}" for word in row))
    if "out" in programs:
        with open(programs["out"], "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows((header, *rows))
    return any(row[-1] != "ok" for row in rows)


if __name__ == "__main__":
    sys.exit(main())

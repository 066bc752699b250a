# SPDX-License-Identifier: Apache-2.0
"""What leaving out each sublayer costs, computed on a GPU, beside transformers in the same type.

    check_gpu_costs.py trace-ckpts=PATH store_json=PATH series=tests/series [out=CSV]

The truth is golden.json's drop_one, from float64. f32 may be off by 1e-4 nats; in bf16 and f16 the
root mean square error over sublayers may be at most that of transformers, whose logits are compared
in f32. Of the divergence, the noise floor is printed: what transformers' own rounding makes of a
model from which nothing was left out. Exits with 77 when there is no GPU.
"""
import csv
import json
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


def ours(programs, folder, tokens, dtype, work):
    """{loss, divergence: [layer, module]}, means over all rows."""
    store = work / "costs.h5"
    subprocess.run([programs["trace-ckpts"], "--ckpts", folder, "--tokens", tokens, "--fresh", "-q",
                    "--device", "cuda", "--dtype", dtype, "--cost", "attn,mlp", "-o", store],
                   check=True)
    said = subprocess.run([programs["store_json"], store, "-v", "drop_nll", "drop_kl"], check=True,
                          capture_output=True, text=True).stdout
    whole, = json.loads(said)
    row, = whole["rows"]
    shape = whole["layers"], 3, -1

    def means(name):
        values = np.array([np.nan if value is None else value for value in row[name]], float)
        return values.reshape(shape).mean(-1)[:, :2]

    return {"loss": means("drop_nll"), "divergence": means("drop_kl")}


def logits_of(family, folder, tokens, dtype, drop):
    return run_model(family, folder, tokens, dtype, device="cuda", drop=drop)[2].float()


def compare(base, logits, ids):
    """(loss, divergence), means over rows."""
    ours, whole = logits.log_softmax(-1), base.log_softmax(-1)
    loss = -ours[:, :-1].gather(2, ids[:, 1:, None]).mean()
    return loss.item(), (whole.exp() * (whole - ours)).sum(-1).mean().item()


def theirs(folder, tokens, dtype, layers):
    config = json.loads((folder / "config.json").read_text())
    family, ids = FAMILIES[config["model_type"]], torch.as_tensor(tokens, dtype=torch.int64).cuda()
    base = logits_of(family, folder, tokens, dtype, ())
    found = {"loss": np.zeros((layers, 2)), "divergence": np.zeros((layers, 2))}
    for layer in range(layers):
        for at, module in enumerate(MODULES):
            loss, divergence = compare(
                base, logits_of(family, folder, tokens, dtype, [(module, layer)]), ids)
            found["loss"][layer, at], found["divergence"][layer, at] = loss, divergence
    exact = logits_of(family, folder, tokens, torch.float32, ())
    return found, compare(exact, base, ids)[1]


def rms(found, truth):
    return float(np.sqrt(np.mean((found - truth) ** 2)))


def check(programs, folder, golden, dtype, work):
    """Rows of the table, one for each quantity."""
    tokens = folder.parent / "tokens.npy"
    layers = len(golden["attn"])
    found = ours(programs, folder, tokens, dtype, work)
    reference, floor = theirs(folder, np.load(tokens), TYPES[dtype], layers)
    for quantity, key in (("loss", "nll"), ("divergence", "kl")):
        truth = np.array([[one[key] for one in golden[module]] for module in MODULES]).T
        error, other = rms(found[quantity], truth), rms(reference[quantity], truth)
        worst = float(np.abs(found[quantity] - truth).max())
        ok = worst <= F32_LIMIT if dtype == "f32" else error <= other
        yield (folder.parent.name, dtype, quantity, f"{error:.2e}", f"{other:.2e}",
               f"{error / other:.3f}", f"{worst:.2e}", f"{floor:.2e}", "ok" if ok else "FAILED")


def main():
    programs = dict(word.split("=", 1) for word in sys.argv[1:])
    if not os.path.exists("/dev/nvidiactl"):
        print("skipped: this machine has no GPU")
        return 77
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    header = ("model", "dtype", "quantity", "rms", "reference_rms", "ratio", "worst",
              "divergence_floor", "verdict")
    rows = []
    with tempfile.TemporaryDirectory() as work:
        for series in ("demo", "neox"):
            root = Path(programs["series"]) / series
            golden = json.loads((root / "golden.json").read_text())["checkpoints"]
            name, = [name for name, one in golden.items() if "drop_one" in one]
            for dtype in TYPES:
                rows += check(programs, root / name, golden[name]["drop_one"], dtype, Path(work))
    for row in (header, *rows):
        print("".join(f"{word:<18}" for word in row))
    if "out" in programs:
        with open(programs["out"], "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows((header, *rows))
    return any(row[-1] != "ok" for row in rows)


if __name__ == "__main__":
    sys.exit(main())

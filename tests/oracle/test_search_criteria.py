# SPDX-License-Identifier: Apache-2.0
"""What a greedy search goes by, against NumPy transcripts of the definitions over the logits that
transformers gives in float64 for the model without each set, of models with random weights.

    test_search_criteria.py --drop build/release/bin/trace-drop [--models llama-0 ...]
"""
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import h5py
import hdf5plugin  # noqa: F401  registers the zstd filter
import numpy as np
import torch
from transformers.utils import logging

import removal
from families import FAMILIES

MODELS = Path(__file__).resolve().parents[1] / "golden/forward"
ROUNDS = 2


def log_softmax(z):
    z = z - z.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def mixture(p, q):
    return np.log((np.exp(p) + np.exp(q)) / 2)


def nll(p, q, ids):
    return -np.take_along_axis(log_softmax(q)[:, :-1], ids[:, 1:, None], -1)[..., 0].mean(1)


def kl(p, q, ids):
    p, q = log_softmax(p), log_softmax(q)
    return (np.exp(p) * (p - q)).sum(-1).mean(1)


def js(p, q, ids):
    p, q = log_softmax(p), log_softmax(q)
    m = mixture(p, q)
    return (np.exp(p) * (p - m) + np.exp(q) * (q - m)).sum(-1).mean(1) / 2


def angle(p, q, ids):
    cosine = (p * q).sum(-1) / np.linalg.norm(p, axis=-1) / np.linalg.norm(q, axis=-1)
    return np.arccos(np.clip(cosine, -1, 1)).mean(1)


def euclid(p, q, ids):
    return np.linalg.norm(p - q, axis=-1).mean(1)


def finercut(p, q, ids):
    """kl_div(log p, m) and kl_div(log q, m), each with reduction="mean", which is by element; their
    mean. kl_div(input, target) is target * (log target - input)."""
    p, q = log_softmax(p), log_softmax(q)
    m = mixture(p, q)
    return ((np.exp(m) * (m - p)).mean((1, 2)) + (np.exp(m) * (m - q)).mean((1, 2))) / 2


CRITERIA = (nll, kl, js, angle, euclid, finercut)


def search(program, folder, by, out):
    subprocess.run([program, "search", folder, "--tokens", folder / "tokens.npy", "--by", by, "--count",
                    str(ROUNDS), "--device", "cpu", "--fresh", "-q", "-o", out], check=True,
                   stdout=subprocess.DEVNULL)
    with h5py.File(out) as store:
        candidates = [text.split(":") for text in store["candidate_drop"].asstr()]
        return ([(module, int(layer)) for module, layer in candidates], store["search_drop"][0],
                store["search_value"][0], store["search_value_seq"][0])


class Model:
    def __init__(self, folder):
        config = json.loads((folder / "config.json").read_text())
        self.folder, self.case = folder, SimpleNamespace(family=FAMILIES[config["model_type"]])
        self.ids = np.load(folder / "tokens.npy").astype(np.int64)
        self.known = {}
        self.base = self.logits(())

    def logits(self, drop):
        key = tuple(sorted(drop))
        if key not in self.known:
            logits, _ = removal.without(self.case, self.folder, self.ids.astype(np.int32), list(key))
            self.known[key] = logits.numpy().astype(np.float64)
        return self.known[key]


def check(program, model, criterion, out):
    """(largest error over its tolerance, whether each round's choice is the lowest)."""
    candidates, drop, value, each = search(program, model.folder, criterion.__name__, out)
    gone, worst, lowest = [], 0, True
    for number in range(ROUNDS):
        for index, candidate in enumerate(candidates):
            if candidate in gone:
                assert np.isnan(each[number, index]).all()
                continue
            truth = criterion(model.base, model.logits([*gone, candidate]), model.ids)
            error = np.abs(each[number, index] - truth) / (1e-7 + 5e-5 * np.abs(truth))
            worst = max(worst, error.max())
        np.testing.assert_allclose(value[number], each[number].mean(1), rtol=1e-12)
        lowest &= value[number][drop[number]] == np.nanmin(value[number])
        gone.append(candidates[drop[number]])
    return worst, lowest


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--drop", required=True, type=Path)
    parser.add_argument("--models", nargs="+", default=["llama-0", "gpt_neox-0"])
    options = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    failed = 0
    with tempfile.TemporaryDirectory() as work:
        for name in options.models:
            model = Model(MODELS / name)
            for criterion in CRITERIA:
                worst, lowest = check(options.drop, model, criterion, Path(work) / "search.h5")
                fine = worst <= 1 and lowest
                failed += not fine
                print(f"{name} {criterion.__name__}: {worst:.3f} of the tolerance"
                      f"{'' if fine else '  FAILED'}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

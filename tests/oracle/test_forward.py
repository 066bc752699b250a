# SPDX-License-Identifier: Apache-2.0
"""Traces random models of every family and compares each token with transformers in float64.

    test_forward.py --trace build/release/bin/trace-ckpts [--count 10] [--seed 1] [--family llama]

The last configuration of each family is traced once more without random sublayers (--drop) and
compared with a model in which those add nothing; what is left out must be NaN. Some random
sublayers of it (--singles, of every so many families: --every) are left out alone, too, and what
that costs (--cost) is compared. Families after --more are drawn once more from the next seed.

Per-token importance of attn, mlp and block must agree within 2e-5 relative + 1e-9, the loss of each
sequence within 1e-5 nats.
Where a router's choice of experts is a near tie, what follows from it is exempt and counted.
"""
import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  registers the zstd filter
import numpy as np
import torch
from transformers.utils import logging

import removal
from families import FAMILIES
from family import draw_cases
from reference import MODULES, compute_truth, make_model

RELATIVE, ABSOLUTE, NLL = 2e-5, 1e-9, 1e-5


def read_store(path):
    """(importance_token [layer, module, sequence, position], nll [sequence]) of the only row."""
    with h5py.File(path) as store:
        if store["status"][:].tolist() != [1]:
            raise ValueError(f"the row is not complete: {store['error'].asstr()[0]}")
        modules = store["module"].asstr()[:].tolist()
        order = [modules.index(module) for module in MODULES]
        return store["importance_token"][0][:, order], store["nll"][0]


def trace(program, folder, store, *options):
    tokens = () if "--tokens" in options else ("--tokens", folder / "tokens.npy")
    command = [program, "--ckpts", folder, *tokens, "--per-token", "--fresh", "-q", "-o", store,
               *options]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          env=os.environ | {"OMP_NUM_THREADS": "1"})
    if done.returncode != 0:
        raise ValueError(f"trace-ckpts ended with {done.returncode}: {done.stderr.strip()}")


def compare(found, truth):
    """(worst error over its tolerance, where, the worst errors in words)."""
    importance, nll = found
    if importance.shape != truth.importance.shape or nll.shape != truth.nll.shape:
        raise ValueError(f"the store has shape {importance.shape}, {nll.shape}, expected "
                         f"{truth.importance.shape}, {truth.nll.shape}")
    absent = np.isnan(truth.importance)
    error = np.abs(importance.astype(np.float64) - truth.importance)
    share = error / (RELATIVE * truth.importance + ABSOLUTE)
    share[absent != np.isnan(importance)] = np.inf
    share[absent & np.isnan(importance)] = 0
    share[np.isnan(share)] = np.inf
    share[truth.exempt] = 0
    nll = np.where(truth.exempt.any(axis=(0, 1, 3)), truth.nll, nll)
    at = np.unravel_index(np.argmax(share), share.shape)
    nll_error = np.abs(nll - truth.nll).max()
    nll_share = np.inf if np.isnan(nll_error) else nll_error / NLL
    where = f"layer {at[0]} {MODULES[at[1]]} sequence {at[2]} position {at[3]}"
    words = (f"importance {np.nanmin(truth.importance):.1e}..{np.nanmax(truth.importance):.1e}, off by "
             f"{error[at]:.1e} at {truth.importance[at]:.1e} ({where}); nll off by {nll_error:.1e}")
    if truth.ties:
        words += f"; {truth.ties} near ties of experts, {truth.exempt.mean():.1%} exempt"
    return max(share[at], nll_share), words


def describe(case):
    shards = "packed" if case.packed else "sharded" if case.shard_size != "1GB" else "single"
    keys = {key: value for key, value in case.config.items()
            if key not in ("bos_token_id", "eos_token_id", "rope_parameters")}
    keys |= case.config.get("rope_parameters") or {}
    text = " ".join(f"{key}={value}" for key, value in keys.items() if key != "rope_type")
    return (f"{case.family.model_type} {case.number}: {case.dtype} {shards}, config {case.config_style},"
            f" {case.sequences} x {case.seq_len} tokens\n    {text}")


def random_drops(case, layers):
    """Some sublayers of a model, at least one, never all: as (module, layer), sorted."""
    generator = np.random.default_rng(case.seed)
    absent = case.family.absent(case.config)
    all_of_them = [(module, layer) for module in ("attn", "mlp") for layer in range(layers)
                   if (module, layer) not in absent]
    count = generator.integers(1, max(2, len(all_of_them)))
    return sorted(all_of_them[i] for i in generator.permutation(len(all_of_them))[:count])


def check(case, program, folder, drops, singles):
    """Whether the case agrees, with `drops` without random sublayers, too, and without each of
    `singles`; says how well."""
    print(describe(case), flush=True)
    model = folder / "model"
    tokens = make_model(case, model)
    truth = compute_truth(case, model, tokens)
    ok = agree(program, model, folder / "trace.h5", truth)
    if drops:
        drop = random_drops(case, len(truth.importance))
        text = " ".join(f"{module}:{layer}" for module, layer in drop)
        print(f"    without {text}", flush=True)
        truth = compute_truth(case, model, tokens, drop)
        ok &= agree(program, model, folder / "drop.h5", truth, "--drop", text)
    if singles:
        ok &= costs_agree(case, program, model, folder / "costs.h5", tokens, len(truth.importance),
                          singles)
    return ok


def costs_agree(case, program, model, store, tokens, layers, count):
    """Whether leaving out `count` random sublayers, each alone, costs what it does in truth."""
    generator = np.random.default_rng(case.seed + 1)
    absent = case.family.absent(case.config)
    all_of_them = [(module, layer) for module in removal.MODULES for layer in range(layers)
                   if (module, layer) not in absent]
    singles = [all_of_them[i] for i in generator.permutation(len(all_of_them))[:count]]
    try:
        trace(program, model, store, "--cost", "attn,mlp", "--cost-samples", len(tokens))
        share, words = removal.compare(store, case, model, tokens, singles)
    except (ValueError, KeyError, OSError) as problem:
        print(f"    FAILED: {problem}", flush=True)
        return False
    ok = share <= 1
    print(f"    costs off by: {words}: {share:.3f} of the tolerance{'' if ok else '  FAILED'}",
          flush=True)
    return ok


def agree(program, model, store, truth, *options):
    """Whether what is traced is the truth; says how well."""
    try:
        trace(program, model, store, *options)
        share, words = compare(read_store(store), truth)
    except (ValueError, KeyError, OSError) as problem:
        print(f"    FAILED: {problem}", flush=True)
        return False
    ok = share <= 1
    print(f"    {words}: {share:.3f} of the tolerance{'' if ok else '  FAILED'}", flush=True)
    return ok


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trace", required=True, type=Path, help="the trace-ckpts program")
    parser.add_argument("--count", type=int, default=12, help="configurations a family (12)")
    parser.add_argument("--seed", type=int, default=1, help="of the random configurations (1)")
    parser.add_argument("--singles", type=int, default=3, help="sublayers left out alone (3)")
    parser.add_argument("--every", type=int, default=1, help="families, of which one has --singles (1)")
    names = sorted(row.model_type for row in FAMILIES.values())
    parser.add_argument("--family", choices=names, help="only this family")
    parser.add_argument("--more", choices=names, nargs="+", default=[], help="families with twice as many")
    options = parser.parse_args()
    torch.set_num_threads(1)  # models are tiny: threads would wait for each other
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    print(f"seed {options.seed}, {options.count} configurations a family, torch {torch.__version__}")

    failed, total = 0, 0
    chosen = [family for family in FAMILIES.values() if options.family in (None, family.model_type)]
    draws = [(family, options.seed) for family in chosen]
    draws += [(family, options.seed + 1) for family in chosen if family.model_type in options.more]
    for index, (family, seed) in enumerate(draws):
        cases = list(draw_cases(family, options.count, seed))
        for case in cases:
            last, alone = case is cases[-1], (index + options.seed) % options.every == 0
            with tempfile.TemporaryDirectory() as folder:
                failed += not check(case, options.trace, Path(folder), last,
                                    options.singles if last and alone else 0)
            total += 1
    print(f"{total - failed} of {total} configurations agree")
    sys.exit(1 if failed or not total else 0)


if __name__ == "__main__":
    main()

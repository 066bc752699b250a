# SPDX-License-Identifier: Apache-2.0
"""Makes small random models of every family with what they should give, for machines with a GPU.

    make_gpu_fixtures.py FOLDER [--seed 11] [--family llama]

FOLDER/FAMILY-N holds a checkpoint in the type its publishers use, tokens.npy, and truth.npz:

    importance  [layer, module, sequence, position], from float64, as in reference.py
    exempt      where float32 may differ, behind near ties between experts
    bf16, f16   transformers' own importance in that type
    exempt_low  where bf16 or f16 may differ: behind less near ties

check_gpu.py compares trace-ckpts with them; it needs neither transformers nor this folder's other
scripts.
"""
import argparse
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from transformers.utils import logging

from families import FAMILIES
from family import PER_LAYER, draw_cases
from reference import all_importances, exemptions, make_model, run_model

LAYERS, VOCABULARY, SEQUENCES, SEQ_LEN = 2, 97, 4, 64
EXPERT_SEQUENCES = 32  # a token that goes to another expert outweighs all others: chance needs many
LOW_MARGIN = 0.1  # of the mean probability: a router's logits in bf16 are off by some 2^-6
PUBLISHED = {"bloom": "float16", "falcon": "bfloat16", "gpt2": "float32", "gpt_neox": "float16",
             "olmo": "float32", "opt": "float16", "phi": "float16"}  # others: bfloat16


def compact(case):
    """The case in two layers and a small vocabulary, over tokens enough for a mean square."""
    config = case.config | {"num_hidden_layers": LAYERS, "vocab_size": VOCABULARY}
    config |= {key: (config[key] * LAYERS)[-LAYERS:] for key in PER_LAYER if key in config}
    sequences = EXPERT_SEQUENCES if any("experts" in key for key in config) else SEQUENCES
    return replace(case, config=config, sequences=sequences, seq_len=SEQ_LEN, shard_size="1GB",
                   dtype=PUBLISHED.get(case.family.model_type, "bfloat16"))


def all_exemptions(model, taps, shape):
    """Behind near ties: of float32, and of bf16 and f16."""
    experts = [logits.shape[-1] for (_, key), logits in taps.seen.items() if key == "router"]
    margins = (), (LOW_MARGIN / max(experts, default=1),)
    return (exemptions(taps, model.config, LAYERS, shape, *margin)[0] for margin in margins)


def make_fixture(case, folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tokens = make_model(case, folder)
    model, taps, _ = run_model(case.family, folder, tokens, torch.float64)
    found = {"importance": all_importances(model, case.family, taps)}
    found["exempt"], found["exempt_low"] = all_exemptions(model, taps, tokens.shape)
    for name, dtype in (("bf16", torch.bfloat16), ("f16", torch.float16)):
        low, taps, _ = run_model(case.family, folder, tokens, dtype)
        found[name] = all_importances(low, case.family, taps).astype(np.float32)
    np.savez_compressed(folder / "truth.npz", **found)
    return found


def describe(case, folder, found):
    size = sum(path.stat().st_size for path in folder.iterdir())
    kept = ~found["exempt_low"]
    errors = [np.sqrt(np.mean(np.square(found[name] - found["importance"])[kept]))
              for name in ("bf16", "f16")]
    return (f"{folder.name}: {case.dtype}, {size / 1e3:.0f} kB, importance "
            f"{found['importance'].min():.1e}..{found['importance'].max():.1e}, transformers off "
            f"by {errors[0]:.1e} in bf16, {errors[1]:.1e} in f16, {kept.mean():.0%} compared")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=11, help="of the random models (11)")
    parser.add_argument("--count", type=int, default=2, help="models a family (2)")
    parser.add_argument("--family", choices=sorted(row.model_type for row in FAMILIES.values()), help="only this family")
    options = parser.parse_args()
    torch.set_num_threads(2)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    for family in FAMILIES.values():
        if options.family in (None, family.model_type):
            for case in draw_cases(family, options.count, options.seed):
                case, folder = compact(case), options.folder / f"{family.model_type}-{case.number}"
                print(describe(case, folder, make_fixture(case, folder)), flush=True)


if __name__ == "__main__":
    main()

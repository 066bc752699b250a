# SPDX-License-Identifier: Apache-2.0
"""What leaving out each sublayer costs at every checkpoint of the trained series, against
transformers in float64 with that sublayer hooked to zero.

    test_series_costs.py --trace build/release/bin/trace-ckpts [--checkpoints 0] [--singles 0]
                         [--rows 0]

--checkpoints N, --singles N, --rows N: N random checkpoints of each series, N random sublayers of
each and the first N rows of tokens (0: all).
"""
import argparse
import json
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from transformers.utils import logging

import removal
from families import FAMILIES
from test_forward import trace

SERIES = Path(__file__).resolve().parents[1] / "series"


def some(items, count, generator):
    return [items[i] for i in sorted(generator.permutation(len(items))[:count or len(items)])]


def check(program, folder, ids, singles, work):
    config = json.loads((folder / "config.json").read_text())
    case = SimpleNamespace(family=FAMILIES[config["model_type"]])
    np.save(work / "ids.npy", ids)
    command = ["--tokens", work / "ids.npy", "--cost", "attn,mlp", "--cost-samples", "16"]
    trace(program, folder, work / "costs.h5", *command)
    share, words = removal.compare(work / "costs.h5", case, folder, ids, singles)
    print(f"{folder.parent.name} {folder.name}: {words}: {share:.3f} of the tolerance"
          f"{'' if share <= 1 else '  FAILED'}", flush=True)
    return share <= 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trace", required=True, type=Path)
    parser.add_argument("--checkpoints", type=int, default=0)
    parser.add_argument("--singles", type=int, default=0)
    parser.add_argument("--rows", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(2)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    generator, failed, total = np.random.default_rng(options.seed), 0, 0
    for series in ("demo", "neox"):
        folders = sorted(path for path in (SERIES / series).iterdir() if path.is_dir())
        layers = json.loads((folders[0] / "config.json").read_text())["num_hidden_layers"]
        ids = np.load(SERIES / series / "tokens.npy")
        ids = ids[:options.rows or len(ids)]
        all_of_them = [(module, layer) for module in removal.MODULES for layer in range(layers)]
        for folder in some(folders, options.checkpoints, generator):
            with tempfile.TemporaryDirectory() as work:
                singles = some(all_of_them, options.singles, generator)
                failed += not check(options.trace, folder, ids, singles, Path(work))
            total += 1
    print(f"{total - failed} of {total} checkpoints agree")
    sys.exit(1 if failed or not total else 0)


if __name__ == "__main__":
    main()

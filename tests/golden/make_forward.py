# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/forward/: four tiny random models a family, with the truth beside them.

    python3 tests/golden/make_forward.py [--seed 7] [--family llama]

The models come from the oracle's table (tests/oracle/families) and so does the truth; the folder
is committed, so that a machine without PyTorch checks the forward pass of every family too.
"""
import argparse
import json
import shutil
import sys
from pathlib import Path

import torch
import transformers
from transformers.utils import logging

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "oracle"))

from families import FAMILIES  # noqa: E402
from family import draw_cases  # noqa: E402
from mxfp4 import PLAIN  # noqa: E402
from reference import MODULES, compute_truth, make_model  # noqa: E402

CASES = 4


def reference(family):
    if family.model:
        return f"tests/oracle/ours/{family.model_type}.py, written from the published description"
    return f"transformers {transformers.__version__}, attn eager"


def expected(case, truth):
    return {
        "provenance": {
            "reference": f"{reference(case.family)}, torch {torch.__version__}, weights as saved, "
                         "computed in float64",
            "made_by": "tests/golden/make_forward.py",
            "weights": case.dtype,
            "config": case.config_style,
        },
        "importance_token": {
            module: rounded(truth.importance[:, index]) for index, module in enumerate(MODULES)
        },
        "nll_seq": rounded(truth.nll),
    }


def rounded(values):
    """As nested lists of ten significant digits, far finer than what is compared."""
    return [rounded(value) if value.ndim else float(f"{value:.10g}") for value in values]


def make_case(case, folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tokens = make_model(case, folder)
    truth = compute_truth(case, folder, tokens)
    shutil.rmtree(folder / PLAIN, ignore_errors=True)
    if truth.ties:
        raise ValueError(f"{folder}: a near tie of experts; take another seed")
    (folder / "expected.json").write_text(json.dumps(expected(case, truth)) + "\n")
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{folder.name}: {case.dtype}, config {case.config_style}, {size / 1e3:.0f} kB")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=7, help="of the random models (7)")
    parser.add_argument("--family", choices=sorted(row.model_type for row in FAMILIES.values()), help="only this family")
    options = parser.parse_args()
    logging.disable_progress_bar()
    for family in FAMILIES.values():
        if options.family in (None, family.model_type):
            for case in draw_cases(family, CASES, options.seed, small=True):
                make_case(case, HERE / "forward" / f"{family.model_type}-{case.number}")


if __name__ == "__main__":
    main()

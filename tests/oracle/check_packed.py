# SPDX-License-Identifier: Apache-2.0
"""Checkpoints in few bits that we write, read by the package that people read them with.

    check_packed.py --pack build/release/bin/pack_checkpoint --copy build/release/bin/copy_tensors
        [--source FOLDER] [--count N]

By hand: it needs compressed-tensors beside transformers. transformers loads each folder and
decompresses it; its weights must be our reader's, rounded to the type that it computes them in, to
the bit."""
import argparse
import importlib.util
import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import logging
from transformers.utils.quantization_config import CompressedTensorsConfig

ROOT = Path(__file__).resolve().parents[2]
KINDS = [("compressed-tensors", bits, group, kind, dtype)
         for bits, group, kind, dtype in itertools.product(
             (4, 8), (32, 16, -1), ("symmetric", "asymmetric"), ("F32", "BF16", "F16"))]


def plain(copy, folder, to):
    to.mkdir()
    subprocess.run([copy, folder, to, str(1 << 40)], check=True)
    with safe_open(to / "model.safetensors", "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}


def loaded(folder, dtype):
    config = AutoConfig.from_pretrained(folder)
    return AutoModelForCausalLM.from_pretrained(
        folder, config=config, dtype=dtype,
        quantization_config=CompressedTensorsConfig(run_compressed=False)).eval()


def compare(model, ours, scales):
    state = model.state_dict()
    packed = 0
    for name, tensor in ours.items():
        theirs = state[name]
        if tensor.dtype == torch.float32 and "proj" in name:
            tensor = tensor.to(scales).to(theirs.dtype)
            packed += 1
        if not torch.equal(theirs, tensor.to(theirs.dtype)):
            return f"{name} differs: {(theirs.float() - tensor.float()).abs().max()}"
    return None if packed else "nothing was packed"


def main():
    parser = argparse.ArgumentParser()
    for name in ("pack", "copy"):
        parser.add_argument("--" + name, type=Path, required=True)
    parser.add_argument("--source", type=Path, default=ROOT / "tests/series/demo/step_6418")
    parser.add_argument("--count", type=int, default=0, help="of the kinds; 0: all")
    args = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if not importlib.util.find_spec("compressed_tensors"):
        sys.exit("compressed-tensors is not installed")
    failed = 0
    for kind in KINDS[:args.count or None]:
        with tempfile.TemporaryDirectory() as work:
            work = Path(work)
            subprocess.run([args.pack, args.source, work / "packed", *map(str, kind)], check=True,
                           stdout=subprocess.DEVNULL)
            ours = plain(args.copy, work / "packed", work / "plain")
            dtype = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}[kind[4]]
            model = loaded(work / "packed", dtype)
            wrong = compare(model, ours, dtype)
            failed += wrong is not None
            print("FAILED" if wrong else "ok", *kind, wrong or "", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

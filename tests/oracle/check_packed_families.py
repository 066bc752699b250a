# SPDX-License-Identifier: Apache-2.0
"""Random models of several families, written in few bits, loaded by transformers.

    check_packed_families.py --pack build/release/bin/pack_checkpoint
        --trace build/release/bin/trace-ckpts --store-json build/release/bin/store_json
        [--family llama ...] [--seed 1]

By hand: it needs compressed-tensors beside transformers. transformers decompresses each folder and
runs it in float32; the mean loss of each row must be the traced one within 1e-5, and no tensor may be
missing or unexpected."""
import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging
from transformers.utils.quantization_config import CompressedTensorsConfig

from families import FAMILIES
from family import draw_cases
from reference import make_model

TEN = ["llama", "mistral", "qwen2", "qwen3", "gemma2", "olmo2", "gpt_neox", "phi3", "cohere", "stablelm"]


def traced(args, folder, tokens, work):
    path = work / "tokens.npy"
    np.save(path, tokens.astype(np.int32))
    subprocess.run([args.trace, "--ckpts", folder, "--tokens", path, "--dtype", "f32", "-o",
                    work / "out.h5", "-q"], check=True)
    told = subprocess.run([args.store_json, work / "out.h5", "-v", "nll"], check=True, text=True,
                          capture_output=True).stdout
    return np.ravel(json.loads(told)[0]["rows"][0]["nll"])


def loaded(family, folder, tokens):
    model, told = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation=family.attention, output_loading_info=True,
        quantization_config=CompressedTensorsConfig(dequantize=True))
    with torch.no_grad():
        ids = torch.as_tensor(tokens.astype(np.int64))
        logits = model.eval()(ids, use_cache=False).logits.double()
    losses = torch.nn.functional.cross_entropy(logits[:, :-1].transpose(1, 2), ids[:, 1:],
                                               reduction="none").mean(1).numpy()
    return losses, [sorted(map(str, told[key])) for key in ("missing_keys", "unexpected_keys")]


def run(args, case, work):
    case = dataclasses.replace(case, dtype="float32", own_head=False)
    source, packed = work / "source", work / "packed"
    source.mkdir()
    make_model(case, source)
    subprocess.run([args.pack, source, packed, "compressed-tensors", "4", "-1", "asymmetric", "F32"],
                   check=True, stdout=subprocess.DEVNULL)
    rows = np.random.default_rng(case.seed).integers(0, case.config["vocab_size"], (3, 24))
    losses, keys = loaded(case.family, packed, rows)
    difference = np.abs(losses - traced(args, packed, rows, work)).max()
    wrong = [key for key in keys[0] if "lm_head" not in key] + keys[1]
    return difference, wrong


def main():
    parser = argparse.ArgumentParser()
    for name in ("pack", "trace", "store-json"):
        parser.add_argument("--" + name, type=Path, required=True)
    parser.add_argument("--family", nargs="*", default=TEN)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    failed = 0
    for family in FAMILIES.values():
        if family.model_type not in args.family:
            continue
        with tempfile.TemporaryDirectory() as work:
            difference, wrong = run(args, draw_cases(family, 1, args.seed)[0], Path(work))
        good = difference <= 1e-5 and not wrong
        failed += not good
        print("ok" if good else "FAILED", family.model_type, f"{difference:.1e}", *wrong, flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

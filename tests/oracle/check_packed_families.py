# SPDX-License-Identifier: Apache-2.0
"""Random models of several families, written in few bits by trace-quant, loaded by transformers.

    check_packed_families.py --quant build/release/bin/trace-quant
        --decode build/release/bin/decode_losses [--family llama ...] [--seed 1]

By hand: it needs compressed-tensors beside transformers. transformers decompresses each folder and
runs it in float32. Its logits must be ours within what f16 rounds of the largest (2^-11), at every
position and of every token, and no tensor may be missing or unexpected. Ours are losses, one of each
token as the target, and so logits up to a number a position: both are taken less the logarithm of
their sum."""
import argparse
import dataclasses
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


def decoded(args, folder, tokens, vocabulary):
    """Log-probabilities [rows, positions, vocabulary] that our forward pass gives."""
    rows, length = tokens.shape
    ids = np.repeat(tokens[None], vocabulary, 0).reshape(-1, length)
    targets = np.repeat(np.arange(vocabulary), rows)[:, None].repeat(length, 1)
    said = subprocess.run([args.decode, folder, "cpu", "f32", str(len(ids)), str(length)], check=True,
                          input=ids.astype(np.int32).tobytes() + targets.astype(np.int32).tobytes(),
                          capture_output=True).stdout
    return -np.frombuffer(said).reshape(length, vocabulary, rows).transpose(2, 0, 1)


def loaded(family, folder, tokens):
    model, told = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation=family.attention, output_loading_info=True,
        quantization_config=CompressedTensorsConfig(dequantize=True))
    with torch.no_grad():
        ids = torch.as_tensor(tokens.astype(np.int64))
        logits = model.eval()(ids, use_cache=False).logits.double()
    return logits, [sorted(map(str, told[key])) for key in ("missing_keys", "unexpected_keys")]


def run(args, case, work):
    case = dataclasses.replace(case, dtype="float32", own_head=False)
    source, packed = work / "source", work / "packed"
    source.mkdir()
    make_model(case, source)
    rows = np.random.default_rng(case.seed).integers(0, case.config["vocab_size"], (3, 24))
    np.save(work / "tokens.npy", rows.astype(np.int32))
    subprocess.run([args.quant, source, "--tokens", work / "tokens.npy", "--device", "cpu", "--group", "row",
                    "--asymmetric", "-q", "-o", packed], check=True, stdout=subprocess.DEVNULL)
    logits, keys = loaded(case.family, packed, rows)
    ours = decoded(args, packed, rows, logits.shape[-1])
    difference = np.abs(torch.log_softmax(logits, -1).numpy() - ours).max()
    wrong = [key for key in keys[0] if "lm_head" not in key] + keys[1]
    return difference, float(logits.abs().max()) * 2 ** -11, wrong


def main():
    parser = argparse.ArgumentParser()
    for name in ("quant", "decode"):
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
            difference, most, wrong = run(args, draw_cases(family, 1, args.seed)[0], Path(work))
        good = difference <= most and not wrong
        failed += not good
        print("ok" if good else "FAILED", family.model_type, f"{difference:.1e} of {most:.1e}", *wrong, flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

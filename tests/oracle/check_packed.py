# SPDX-License-Identifier: Apache-2.0
"""Checkpoints in few bits that we write, read by the package that people read them with.

    check_packed.py --pack build/release/bin/pack_checkpoint --copy build/release/bin/copy_tensors
        [--source FOLDER] [--count N] [--layout NAME ...]

By hand: it needs compressed-tensors beside transformers, and gptqmodel for the other layouts, which
are passed by without it. transformers loads each folder of the first and decompresses it; of the
others gptqmodel's PyTorch modules hold the tensors and give their weights. They must be our reader's,
rounded to the type that they are computed in, to the bit."""
import argparse
import importlib.util
import os
import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")  # fewer than two are refused
HAS_GPTQMODEL = bool(importlib.util.find_spec("gptqmodel"))
if HAS_GPTQMODEL:  # before transformers, or it waits for itself
    from gptqmodel.nn_modules.qlinear.torch import TorchLinear
    from gptqmodel.quantization.awq.utils.packing_utils import dequantize_gemm
    from gptqmodel.utils.model import convert_gptq_v1_to_v2_format_module

import torch
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import logging
from transformers.utils.quantization_config import CompressedTensorsConfig

ROOT = Path(__file__).resolve().parents[2]
KINDS = [("compressed-tensors", bits, group, kind, dtype)
         for bits, group, kind, dtype in itertools.product(
             (4, 8), (32, 16, -1), ("symmetric", "asymmetric"), ("F32", "BF16", "F16"))]
OTHERS = [("gptq", 4, 32, "symmetric"), ("gptq", 8, 32, "symmetric"), ("gptq", 4, 32, "ordered"),
          ("gptq", 4, -1, "symmetric"), ("gptq", 4, 64, "symmetric"),  # demo's down has 160 inputs: an odd end
          ("gptq-v2", 4, 64, "asymmetric"), ("gptq-v2", 4, 32, "asymmetric"), ("gptq-v2", 4, 32, "symmetric"),
          ("gptq-v2", 8, -1, "asymmetric"), ("awq", 4, 32, "asymmetric"), ("awq", 4, 16, "symmetric")]


def plain(copy, folder, to):
    to.mkdir()
    subprocess.run([copy, folder, to, str(1 << 40)], check=True)
    with safe_open(to / "model.safetensors", "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}


def loaded(folder, dtype):
    config = AutoConfig.from_pretrained(folder)
    return AutoModelForCausalLM.from_pretrained(
        folder, config=config, dtype=dtype,
        quantization_config=CompressedTensorsConfig(dequantize=True)).eval()


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


def gptq_weight(tensors, said, module, shape):
    linear = TorchLinear(bits=said["bits"], group_size=said["group_size"], sym=said["sym"],
                         desc_act=said["desc_act"], in_features=shape[1], out_features=shape[0])
    for part in ("qweight", "qzeros", "scales", "g_idx"):
        setattr(linear, part, tensors[f"{module}.{part}"])
    if said["checkpoint_format"] == "gptq":
        convert_gptq_v1_to_v2_format_module(linear, said["bits"], torch.int32)
    linear.post_init()
    return linear.eval().dequantize_weight().T


def awq_weight(tensors, said, module, _):
    return dequantize_gemm(*(tensors[f"{module}.{part}"] for part in ("qweight", "qzeros", "scales")),
                           said["bits"], said["group_size"]).T


def compare_others(folder, ours):
    with safe_open(folder / "model.safetensors", "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    said = json.loads((folder / "config.json").read_text())["quantization_config"]
    theirs = {"gptq": gptq_weight, "awq": awq_weight}[said["quant_method"]]
    modules = [name[:-len(".qweight")] for name in tensors if name.endswith(".qweight")]
    for module in modules:
        weight = ours[module + ".weight"]
        found = theirs(tensors, said, module, weight.shape)
        if found.dtype != torch.float16 or not torch.equal(found, weight.half()):
            return f"{module} differs: {(found.float() - weight).abs().max()}"
    return None if modules else "nothing was packed"


def main():
    parser = argparse.ArgumentParser()
    for name in ("pack", "copy"):
        parser.add_argument("--" + name, type=Path, required=True)
    parser.add_argument("--source", type=Path, default=ROOT / "tests/series/demo/step_6418")
    parser.add_argument("--count", type=int, default=0, help="of the kinds; 0: all")
    parser.add_argument("--layout", nargs="*", help="of these alone")
    args = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if not importlib.util.find_spec("compressed_tensors"):
        sys.exit("compressed-tensors is not installed")
    failed = 0
    others = OTHERS if HAS_GPTQMODEL else []
    for kind in KINDS[:args.count or None] + [(*kind, "F16") for kind in others]:
        if args.layout and kind[0] not in args.layout:
            continue
        with tempfile.TemporaryDirectory() as work:
            work = Path(work)
            subprocess.run([args.pack, args.source, work / "packed", *map(str, kind)], check=True,
                           stdout=subprocess.DEVNULL)
            ours = plain(args.copy, work / "packed", work / "plain")
            if kind[0] == "compressed-tensors":
                dtype = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}[kind[4]]
                wrong = compare(loaded(work / "packed", dtype), ours, dtype)
            else:
                wrong = compare_others(work / "packed", ours)
            failed += wrong is not None
            print("FAILED" if wrong else "ok", *kind, wrong or "", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

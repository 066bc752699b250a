#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A large checkpoint of torch.distributed.checkpoint against the same weights in safetensors: values,
peak memory against the plan's, and speed, read from the page cache.

    bench_distributed.py --trace build/release/bin/trace-ckpts --same build/release/bin/same_store
                         [--layers 8 --hidden 1024 --ffn 2816 --vocabulary 8192 | --shape 7b]
                         [--dtype float32] [--ranks 8] [--rounds 10] [--tokens 64] [--work FOLDER]
                         [--device cpu]

So many processes write it with torch.distributed.checkpoint, the rows of each tensor cut over them as
FSDP2 does, and each writes its rows of the other form, too. The rounds alternate between both. With
few tokens reading counts most. Needs torch. Exit 1 when stores differ or, on the CPU, the plan's memory
is exceeded by more than 5 %."""
import argparse
import json
import os
import re
import statistics
import struct
import subprocess
import sys
import tempfile

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Shard

SHAPES = {"7b": {"layers": 32, "hidden": 4096, "ffn": 11008, "vocabulary": 32000}}  # Llama-2-7B
NAMES = {"float32": "F32", "bfloat16": "BF16"}


def shapes(options):
    d, f, v = options.hidden, options.ffn, options.vocabulary
    found = {"model.embed_tokens.weight": (v, d), "lm_head.weight": (v, d), "model.norm.weight": (d,)}
    for layer in range(options.layers):
        at = f"model.layers.{layer}."
        found |= {at + f"self_attn.{name}_proj.weight": (d, d) for name in "qkvo"}
        found |= {at + f"mlp.{name}_proj.weight": (f, d) for name in ("gate", "up")}
        found |= {at + "mlp.down_proj.weight": (d, f), at + "input_layernorm.weight": (d,),
                  at + "post_attention_layernorm.weight": (d,)}
    return found


def config(options):
    return {"model_type": "llama", "hidden_size": options.hidden, "intermediate_size": options.ffn,
            "num_hidden_layers": options.layers, "num_attention_heads": options.hidden // 64,
            "num_key_value_heads": options.hidden // 64, "vocab_size": options.vocabulary,
            "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "max_position_embeddings": 4096,
            "hidden_act": "silu", "tie_word_embeddings": False}


def safetensors_header(options):
    """The bytes before the data, and where each tensor's begin."""
    header, places, at = {}, {}, 0
    for name, shape in shapes(options).items():
        end = at + getattr(torch, options.dtype).itemsize * torch.Size(shape).numel()
        header[name] = {"dtype": NAMES[options.dtype], "shape": shape, "data_offsets": (at, end)}
        places[name], at = at, end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text, places


def rows_of(name, shape, rank, options):
    """What this rank has of a tensor, random."""
    rows = shape[0] // options.ranks
    torch.manual_seed(hash((name, rank)))
    return torch.randn(rows, *shape[1:], dtype=getattr(torch, options.dtype)) * 0.02


def write(rank, options, work):
    """One process of those that write both forms."""
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // options.ranks))
    dist.init_process_group("gloo", init_method=f"file://{work}/rendezvous", rank=rank,
                            world_size=options.ranks)
    mesh = init_device_mesh("cpu", (options.ranks,))
    header, places = safetensors_header(options)
    state = {}
    with open(os.path.join(work, "whole", "model.safetensors"), "r+b") as file:
        if not rank:
            file.write(header)
        for name, shape in shapes(options).items():
            part = rows_of(name, shape, rank, options)
            file.seek(len(header) + places[name] + rank * part.nbytes)
            file.write(memoryview(part.view(torch.uint8).numpy().reshape(-1)))
            state[name] = DTensor.from_local(part, mesh, [Shard(0)])
    dcp.save(state, checkpoint_id=os.path.join(work, "sharded"))
    dist.destroy_process_group()


def make(options, work):
    for shape in shapes(options).values():
        if shape[0] % options.ranks:
            raise SystemExit(f"{shape[0]} rows cannot be cut over {options.ranks} processes")
    folders = [os.path.join(work, name) for name in ("sharded", "whole")]
    for folder in folders:
        os.makedirs(folder)
        with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
            json.dump(config(options), file)
    with open(os.path.join(folders[1], "model.safetensors"), "wb"):
        pass
    # Without a network the name of a machine may lead nowhere.
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.multiprocessing.spawn(write, (options, work), options.ranks)
    os.sync()  # so that nothing is written back while reading is timed
    return folders


# A process of its own, for a child counts the memory of what it was forked from.
WATCH = """import os, resource, sys, time
began = time.perf_counter()
code = os.spawnv(os.P_WAIT, sys.argv[1], sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)
sys.exit(code)"""


def run(words):
    """(wall seconds, processor seconds, peak bytes, what it said)"""
    done = subprocess.run([sys.executable, "-ISc", WATCH, *words], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    said, _, figures = done.stdout.rstrip().rpartition("\n")
    return (*map(float, figures.split()), said)


def command(options, work, folder, out, *more):
    return [options.trace, "--ckpts", folder, "--tokens", os.path.join(work, "tokens.u16"), "--seq-len",
            str(options.tokens), "--samples", "1", "--no-nll", "--device", options.device, "-o", out,
            *more]


def bytes_of(text):
    number, unit = re.search(r"peak memory +([\d.]+) ([kMGT]?)B", text).groups()
    return float(number) * 1000 ** " kMGT".index(unit or " ")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--trace", required=True, type=os.path.abspath)
    parser.add_argument("--same", required=True, type=os.path.abspath)
    parser.add_argument("--work")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dtype", choices=sorted(NAMES), default="float32")
    parser.add_argument("--shape", choices=sorted(SHAPES))
    for name, value in (("layers", 8), ("hidden", 1024), ("ffn", 2816), ("vocabulary", 8192),
                        ("ranks", 8), ("rounds", 10), ("tokens", 64)):
        parser.add_argument("--" + name, type=int, default=value)
    options = parser.parse_args()
    vars(options).update(SHAPES.get(options.shape, {}))
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        folders = make(options, work)
        with open(os.path.join(work, "tokens.u16"), "wb") as file:
            file.write(b"".join(struct.pack("<H", i % 1000) for i in range(options.tokens)))
        outs = [folder + ".h5" for folder in folders]
        if options.device == "cpu":
            planned = bytes_of(run(command(options, work, folders[0], outs[0], "--dry-run"))[3])
        taken = [[], []]
        for _ in range(options.rounds):
            for side, folder in enumerate(folders):
                taken[side].append(run(command(options, work, folder, outs[side], "--fresh", "-q"))[:3])
        differing = run_same(options, outs)
        stored = sum(entry.stat().st_size for entry in os.scandir(folders[0]))
    peak = max(row[2] for row in taken[0])
    print(f"stored {stored / 1e6:.0f} MB in {options.ranks} files; stores differ in {sorted(differing)}")
    if options.device == "cpu":
        print(f"peak {peak / 1e6:.1f} MB, planned {planned / 1e6:.1f} MB: {peak / planned:.3f}")
    print("rounds, sharded and safetensors, wall seconds:",
          " ".join(f"{a[0]:.3f}/{b[0]:.3f}" for a, b in zip(*taken)))
    for place, what in enumerate(("wall", "processor")):
        sides = [[row[place] for row in side] for side in taken]
        least = min(sides[1]) / min(sides[0])
        middle = statistics.median(sides[1]) / statistics.median(sides[0])
        print(f"{what} seconds: sharded min {min(sides[0]):.3f} median {statistics.median(sides[0]):.3f}, "
              f"safetensors min {min(sides[1]):.3f} median {statistics.median(sides[1]):.3f}; speed "
              f"{least:.3f} of it by the minimum, {middle:.3f} by the median")
    allowed = {"name", "identity", "row_digest"}
    return not differing <= allowed or (options.device == "cpu" and peak > 1.05 * planned)


def run_same(options, outs):
    told = os.popen(f"{options.same} {outs[0]} {outs[1]}").read()
    return {line.split(" differs")[0] for line in told.splitlines()}


if __name__ == "__main__":
    sys.exit(main())

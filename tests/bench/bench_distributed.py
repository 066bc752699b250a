#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A large checkpoint of torch.distributed.checkpoint against the same weights in safetensors: values,
peak memory against the plan's, and speed, read from the page cache.

    bench_distributed.py --trace build/release/bin/trace-ckpts --same build/release/bin/same_store
                         [--layers 8 --hidden 1024 --ffn 2816 --vocabulary 8192] [--ranks 8]
                         [--rounds 10] [--tokens 64] [--work FOLDER]

Chunks are as FSDP2 cuts them, the rows of each tensor over the ranks; each is written by torch.save,
.metadata by torch's own classes. The rounds alternate between both. With few tokens reading counts
most. Needs torch. Exit 1 when stores differ or the plan's memory is exceeded by more than 5 %."""
import argparse
import io
import json
import os
import pickle
import re
import statistics
import struct
import subprocess
import sys
import tempfile

import torch
from torch.distributed.checkpoint import filesystem, metadata


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


class Sharded:
    """Writes what so many ranks would, a file each."""

    def __init__(self, folder, ranks):
        os.makedirs(folder)
        self.folder, self.tensors, self.places = folder, {}, {}
        self.files = [open(os.path.join(folder, f"__{rank}_0.distcp"), "wb") for rank in range(ranks)]

    def add(self, name, tensor):
        chunks, row = [], 0
        for rank, part in enumerate(tensor.chunk(len(self.files))):
            offsets = torch.Size([row] + [0] * (tensor.dim() - 1))
            chunks.append(metadata.ChunkStorageMetadata(offsets, part.size()))
            data = io.BytesIO()
            torch.save(part.clone(), data)
            file = self.files[rank]
            self.places[metadata.MetadataIndex(name, offsets)] = filesystem._StorageInfo(
                f"__{rank}_0.distcp", file.tell(), len(data.getvalue()))
            file.write(data.getvalue())
            row += part.shape[0]
        self.tensors[name] = metadata.TensorStorageMetadata(
            metadata.TensorProperties(dtype=tensor.dtype), tensor.size(), chunks)

    def close(self):
        for file in self.files:
            file.close()
        with open(os.path.join(self.folder, ".metadata"), "wb") as file:
            pickle.dump(metadata.Metadata(self.tensors, None, self.places), file)


class Safetensors:
    def __init__(self, folder, wanted):
        os.makedirs(folder)
        header, at = {}, 0
        for name, shape in wanted.items():
            end = at + 4 * torch.Size(shape).numel()
            header[name] = {"dtype": "F32", "shape": shape, "data_offsets": (at, end)}
            at = end
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        self.file = open(os.path.join(folder, "model.safetensors"), "wb")
        self.file.write(struct.pack("<Q", len(text)) + text)

    def add(self, _, tensor):
        self.file.write(tensor.numpy().tobytes())

    def close(self):
        self.file.close()


def make(options, work):
    torch.manual_seed(1)
    folders = [os.path.join(work, name) for name in ("sharded", "whole")]
    wanted = shapes(options)
    writers = Sharded(folders[0], options.ranks), Safetensors(folders[1], wanted)
    for name, shape in wanted.items():
        tensor = torch.randn(shape) * 0.02
        for writer in writers:
            writer.add(name, tensor)
    for writer, folder in zip(writers, folders):
        writer.close()
        with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
            json.dump(config(options), file)
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
            str(options.tokens), "--samples", "1", "--no-nll", "-o", out, *more]


def bytes_of(text):
    number, unit = re.search(r"peak memory +([\d.]+) ([kMGT]?)B", text).groups()
    return float(number) * 1000 ** " kMGT".index(unit or " ")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--trace", required=True, type=os.path.abspath)
    parser.add_argument("--same", required=True, type=os.path.abspath)
    parser.add_argument("--work")
    for name, value in (("layers", 8), ("hidden", 1024), ("ffn", 2816), ("vocabulary", 8192),
                        ("ranks", 8), ("rounds", 10), ("tokens", 64)):
        parser.add_argument("--" + name, type=int, default=value)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        folders = make(options, work)
        with open(os.path.join(work, "tokens.u16"), "wb") as file:
            file.write(b"".join(struct.pack("<H", i % 1000) for i in range(options.tokens)))
        outs = [folder + ".h5" for folder in folders]
        planned = bytes_of(run(command(options, work, folders[0], outs[0], "--dry-run"))[3])
        taken = [[], []]
        for _ in range(options.rounds):
            for side, folder in enumerate(folders):
                taken[side].append(run(command(options, work, folder, outs[side], "--fresh", "-q"))[:3])
        differing = run_same(options, outs)
        stored = sum(entry.stat().st_size for entry in os.scandir(folders[0]))
    peak = max(row[2] for row in taken[0])
    print(f"stored {stored / 1e6:.0f} MB in {options.ranks} files; stores differ in {sorted(differing)}")
    print(f"peak {peak / 1e6:.1f} MB, planned {planned / 1e6:.1f} MB: {peak / planned:.3f}")
    for place, what in enumerate(("wall", "processor")):
        sides = [[row[place] for row in side] for side in taken]
        least = min(sides[1]) / min(sides[0])
        middle = statistics.median(sides[1]) / statistics.median(sides[0])
        print(f"{what} seconds: sharded min {min(sides[0]):.3f} median {statistics.median(sides[0]):.3f}, "
              f"safetensors min {min(sides[1]):.3f} median {statistics.median(sides[1]):.3f}; speed "
              f"{least:.3f} of it by the minimum, {middle:.3f} by the median")
    allowed = {"name", "identity", "row_digest"}
    return not differing <= allowed or peak > 1.05 * planned


def run_same(options, outs):
    told = os.popen(f"{options.same} {outs[0]} {outs[1]}").read()
    return {line.split(" differs")[0] for line in told.splitlines()}


if __name__ == "__main__":
    sys.exit(main())

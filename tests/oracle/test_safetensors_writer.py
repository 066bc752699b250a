# SPDX-License-Identifier: Apache-2.0
"""Copies checkpoints with our writer and has the public library read them.

    python tests/oracle/test_safetensors_writer.py COPY_TENSORS

A file must come out as the library wrote it, byte for byte; shards must hold the same tensors, be
no larger than asked for and load into transformers.
"""
import json
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

import torch
from safetensors import deserialize, safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

ROOT = pathlib.Path(__file__).resolve().parents[2]
DTYPES = ["uint64", "int64", "float64", "complex64", "float32", "uint32", "int32", "bfloat16",
          "float16", "uint16", "int16", "float8_e5m2fnuz", "float8_e4m3fnuz", "float8_e8m0fnu",
          "float8_e4m3fn", "float8_e5m2", "int8", "uint8", "bool"]
SHAPES = [(), (1,), (5,), (0,), (0, 7), (3, 0, 2), (1, 1, 1), (4, 6), (3, 5, 7), (2,) * 8]
NAMES = ["w", "model.layers.{}.mlp.up_proj.weight", "with space", "quote\"", "back\\slash",
         "tab\tand\x01control", "Gewicht.ä", "重み", "emoji😀", "/", "\x7f"]


def tensor(dtype, shape, generator):
    kind = getattr(torch, dtype)
    count = torch.Size(shape).numel()
    if dtype == "bool":
        return torch.randint(0, 2, (count,), generator=generator).bool().reshape(shape)
    size = torch.empty((), dtype=kind).element_size()
    raw = torch.randint(0, 256, (count * size,), generator=generator, dtype=torch.uint8)
    return raw.view(kind).reshape(shape)


def checkpoint(seed):
    """Tensors of all types and shapes in random order, under names that JSON must escape."""
    generator = torch.Generator().manual_seed(seed)
    pick = random.Random(seed)
    cases = [(dtype, shape) for dtype in DTYPES for shape in SHAPES]
    pick.shuffle(cases)
    return {f"{pick.choice(NAMES)}.{i}": tensor(*case, generator)
            for i, case in enumerate(cases[:pick.randint(1, len(cases))])}


def same(a, b):
    return (a.dtype == b.dtype and a.shape == b.shape
            and a.contiguous().reshape(-1).view(torch.uint8).equal(
                b.contiguous().reshape(-1).view(torch.uint8)))


def copy(program, source, target, shard_bytes=2 ** 62):
    target.mkdir()
    subprocess.run([program, source, target, str(shard_bytes)], check=True)
    return target


def check_file(program, folder, tensors):
    source = folder / "library"
    source.mkdir()
    (source / "config.json").write_text("{}")
    save_file(tensors, source / "model.safetensors", metadata={"format": "pt"})
    written = copy(program, source, folder / "ours") / "model.safetensors"
    assert written.read_bytes() == (source / "model.safetensors").read_bytes()
    read = load_file(written)
    assert read.keys() == tensors.keys()
    assert all(same(read[name], tensors[name]) for name in tensors)
    return source


def check_six_bits(program, folder):
    """Types that PyTorch does not have, among others; the library only parses them."""
    entries = {"a": ("F6_E2M3", [4, 3]), "b": ("F6_E3M2", [8]), "c": ("F4", [2, 3]),
               "d": ("F8_E8M0", [5])}
    bits = {"F6_E2M3": 6, "F6_E3M2": 6, "F4": 4, "F8_E8M0": 8}
    header, data = {}, b""
    for name, (dtype, shape) in entries.items():
        size = torch.Size(shape).numel() * bits[dtype] // 8
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [len(data), len(data) + size]}
        data += random.Random(name).randbytes(size)
    text = json.dumps(header).encode()
    source = folder / "six"
    source.mkdir()
    (source / "config.json").write_text("{}")
    (source / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data)
    written = copy(program, source, folder / "six_ours") / "model.safetensors"
    before = dict(deserialize((source / "model.safetensors").read_bytes()))
    after = dict(deserialize(written.read_bytes()))
    assert before == after and len(after) == len(entries)


def read_shards(folder, limit):
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    read = {}
    for shard in sorted(set(index["weight_map"].values())):
        with safe_open(folder / shard, "pt") as opened:
            assert opened.metadata() == {"format": "pt"}
            held = {name: opened.get_tensor(name) for name in opened.keys()}
        sizes = [t.numel() * t.element_size() for t in held.values()]
        assert sum(sizes) <= limit or sum(size > 0 for size in sizes) == 1, shard
        assert all(index["weight_map"][name] == shard for name in held)
        read.update(held)
    assert read.keys() == index["weight_map"].keys()
    assert index["metadata"]["total_size"] == sum(t.numel() * t.element_size()
                                                  for t in read.values())
    return read


def check_shards(program, source, folder, tensors):
    for limit in (1, 1000, 5000):
        written = copy(program, source, folder / f"shards{limit}", limit)
        if (written / "model.safetensors").exists():
            assert sum(t.numel() * t.element_size() for t in tensors.values()) <= limit
            continue
        read = read_shards(written, limit)
        assert read.keys() == tensors.keys()
        assert all(same(read[name], tensors[name]) for name in tensors)


def check_model(program, folder, series):
    """transformers finds every tensor of a model in its shards."""
    source = ROOT / "tests" / "series" / series
    whole = copy(program, source, folder / (series.replace("/", "_") + "_whole"))
    shards = copy(program, source, folder / series.replace("/", "_"), 100000)
    assert ((whole / "model.safetensors").read_bytes()
            == (source / "model.safetensors").read_bytes())
    shutil.copy(source / "config.json", shards)
    want = AutoModelForCausalLM.from_pretrained(source, dtype="auto").state_dict()
    got, report = AutoModelForCausalLM.from_pretrained(shards, dtype="auto",
                                                       output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"], report
    got = got.state_dict()
    assert got.keys() == want.keys() and all(same(got[name], want[name]) for name in want)


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as scratch:
        for seed in range(12):
            folder = pathlib.Path(scratch) / str(seed)
            folder.mkdir()
            tensors = checkpoint(seed)
            check_shards(program, check_file(program, folder, tensors), folder, tensors)
            print(f"{len(tensors)} tensors: the library's bytes, and in shards", flush=True)
        check_six_bits(program, pathlib.Path(scratch))
        for series in ("demo/step_512", "neox/step_512"):
            check_model(program, pathlib.Path(scratch), series)
            print(f"{series}: loads from shards", flush=True)


if __name__ == "__main__":
    main()

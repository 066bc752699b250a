#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Cuts quantized models that other libraries wrote down to what tests need:

    trim_packed.py FOLDER...

Of each folder of that form (config.json and model.safetensors) the first block or two, the first
rows of the embedding, the norm and the whole configuration go to fixtures/packed/NAME. The files
were written by llmcompressor 0.14 with compressed-tensors 0.19 and by GPTQModel 7.6 from the last
checkpoint of tests/series/demo, 4 bits in groups of 32; awq-gemm-repacked has the codes, zeros and
scales of an llmcompressor file in the words of AutoAWQ's layout, whose own dequantize_gemm reads it."""
import json
import pathlib
import struct
import sys

ROWS = 96  # of the embedding
LAYERS = {"llmcompressor-gptq": 2}  # else 1
HERE = pathlib.Path(__file__).resolve().parent / "fixtures" / "packed"


def read(path):
    """Name -> (dtype, shape, bytes)."""
    data = path.read_bytes()
    size, = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    return {name: (entry["dtype"], entry["shape"],
                   data[8 + size:][slice(*entry["data_offsets"])]) for name, entry in header.items()}


def write(path, tensors):
    header, at = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(t[2] for t in tensors.values()))


def trim(folder):
    layers = LAYERS.get(folder.name, 1)
    config = json.loads((folder / "config.json").read_text())
    kept = {}
    for name, (dtype, shape, data) in read(folder / "model.safetensors").items():
        number = name.split("layers.")[1].split(".")[0] if "layers." in name else None
        if number is not None and int(number) >= layers:
            continue
        if name == "model.embed_tokens.weight":
            shape, data = [ROWS, shape[1]], data[:len(data) // shape[0] * ROWS]
        kept[name] = dtype, shape, data
    config.update(vocab_size=ROWS, num_hidden_layers=layers)
    (HERE / folder.name).mkdir(parents=True, exist_ok=True)
    (HERE / folder.name / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    write(HERE / folder.name / "model.safetensors", kept)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        trim(pathlib.Path(argument))

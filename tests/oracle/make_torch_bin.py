# SPDX-License-Identifier: Apache-2.0
"""Checkpoints that torch.save writes, every kind of view and name in them.

    python tests/oracle/make_torch_bin.py FOLDER [CASE...]

Makes FOLDER/CASE/pytorch_model.bin (or its shards and index, or model.pt) for each case, and the
same tensors as FOLDER/CASE-safetensors/model.safetensors, written here byte by byte. Needs PyTorch
and NumPy only, of any version since 1.6; seeded.
"""
import collections
import json
import pathlib
import struct
import sys

import torch

DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8",
    torch.uint8: "U8", torch.bool: "BOOL",
}


def raw(tensor):
    """The row-major bytes of a tensor."""
    flat = tensor.detach().contiguous().view(-1)
    return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""


def random(*shape, dtype=torch.float32):
    count = int(torch.tensor(shape).prod())
    if dtype == torch.bool:
        return torch.randint(0, 2, shape, dtype=torch.uint8).bool()
    size = torch.empty((), dtype=dtype).element_size()
    return torch.randint(0, 256, (count * size,), dtype=torch.uint8).view(dtype).view(shape)


def dtypes():
    return {f"{name}.{kind}": made
            for dtype, name in DTYPES.items()
            for kind, made in {
                "scalar": random(1, dtype=dtype)[0], "vector": random(5, dtype=dtype),
                "transposed": random(5, 4, dtype=dtype).t(),
                "empty": torch.empty(0, 3, dtype=dtype),
            }.items()}


def small():
    base, cube = random(6, 10), random(2, 3, 4, dtype=torch.bfloat16)
    return {
        "whole": base, "same": base, "rows": base[2:5], "columns": base[:, 3:9],
        "strided": base[1::2, ::3], "transposed": base.t(), "part_transposed": base[1:4, 2:9].t(),
        "expanded": base[0].expand(4, 10), "expanded_scalar": base[2, 3].expand(3, 2),
        "scalar": base[4, 4], "empty": base[3:3], "permuted": cube.permute(2, 0, 1),
    }


def views():
    base = random(40, 60)
    cube = random(5, 6, 7, 8, dtype=torch.bfloat16)
    return {
        "whole": base, "same": base, "flat": base.view(-1), "reshaped": base.view(20, 120),
        "rows": base[7:21], "columns": base[:, 11:44], "block": base[3:9, 5:50],
        "every_third_row": base[1::3], "every_second_column": base[:, ::2],
        "transposed": base.t(), "part_transposed": base[5:30, 10:50].t(), "diagonal": base.diag(),
        "expanded": base[0].expand(4, 60), "expanded_inside": base[:3, :1].expand(3, 9),
        "expanded_scalar": base[2, 3].expand(5, 6), "one_row": base[13:14], "element": base[4, 4],
        "unfolded": base.view(-1)[:50].unfold(0, 8, 3), "slice_empty": base[3:3],
        "cube": cube, "permuted": cube.permute(3, 1, 0, 2), "cube_slice": cube[1:4, ::2, :, 3:],
        "heads": cube.transpose(1, 2), "last_of_cube": cube[..., -1],
        "eight": random(2, 1, 3, 1, 2, 2, 1, 3).permute(7, 0, 6, 2, 5, 1, 4, 3),
        "large_transposed": random(301, 517, dtype=torch.float16).t(),
        "large_strided": random(257, 700)[::2, ::5], "large_sparse": random(3000, 61)[:, 7],
        "long_rows": random(3, 50000)[:, 1:-1],
        "interleaved": random(64, 33, 2).permute(0, 2, 1),
    }


def module_dict():
    """A state dict with _metadata, as a module gives it, its parameters and buffers."""
    torch.manual_seed(7)
    module = torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.BatchNorm1d(6))
    return module.state_dict()


def parameters():
    plain = torch.nn.Parameter(random(4, 3))
    marked = random(3, 5)
    marked.tensor_model_parallel = True
    return {"parameter": plain, "attribute": marked,
            "frozen": torch.nn.Parameter(random(2, 2), requires_grad=False)}


def write_safetensors(path, tensors):
    header, at = {}, 0
    for name, tensor in tensors.items():
        end = at + len(raw(tensor))
        header[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape),
                        "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(map(raw, tensors.values())))


def new_folder(folder, name):
    where = folder / name
    where.mkdir(parents=True)
    (where / "config.json").write_text("{}\n")
    return where


def save(where, shards, options):
    """The shards [{name: tensor}] and their index."""
    places = {}
    for i, shard in enumerate(shards):
        file = f"pytorch_model-{i + 1:05d}-of-{len(shards):05d}.bin"
        places.update(dict.fromkeys(shard, file))
        torch.save(shard, where / file, **options)
    (where / "pytorch_model.bin.index.json").write_text(
        json.dumps({"metadata": {"total_size": 0}, "weight_map": places}))


def sharded():
    return {f"layers.{i}.weight": random(6, 5).t() for i in range(10)}


def split(tensors, count, prefix):
    names = list(tensors)
    return [{prefix + name: tensors[name] for name in names[i::count]} for i in range(count)]


def training(model):
    """What a training script saves: the weights are one thing of many."""
    parameter = torch.nn.Parameter(random(3, 3))
    optimizer = torch.optim.AdamW([parameter])
    parameter.sum().backward()
    optimizer.step()
    return {"epoch": 3, "loss": 1.25, "name": "run \N{SNOWMAN}", "flags": [True, None, -70000],
            "rng": torch.get_rng_state(), "tokens": 299892736000, "state_dict": model,
            "optimizer": optimizer.state_dict()}


def prefixed(prefix):
    return lambda model: collections.OrderedDict((prefix + k, v) for k, v in model.items())


# Case: the tensors, the file or the number of shards, what is saved of them.
CASES = {
    "dtypes": (dtypes, "pytorch_model.bin", dict),
    "small": (small, "pytorch_model.bin", dict),
    "views": (views, "pytorch_model.bin", dict),
    "module": (module_dict, "pytorch_model.bin", lambda model: model),
    "parameters": (parameters, "pytorch_model.bin", dict),
    "training": (module_dict, "model.pt", training),
    "wrapped": (module_dict, "pytorch_model.bin", lambda model: {"module": {"model": model}}),
    "parallel": (module_dict, "pytorch_model.bin", prefixed("module.")),
    "compiled": (module_dict, "pytorch_model.bin", prefixed("_orig_mod.")),
    "both": (module_dict, "pytorch_model.bin", prefixed("module._orig_mod.module.")),
    "sharded": (sharded, 3, ""),
    "sharded_prefixed": (sharded, 2, "module."),
}
# The same in the stream of pickles that was written before 1.6.
CASES.update({name + "_stream": case for name, case in CASES.items()})


def main():
    folder = pathlib.Path(sys.argv[1])
    for name in sys.argv[2:] or CASES:
        torch.manual_seed(20260131)
        make, file, wrap = CASES[name]
        tensors, where = make(), new_folder(folder, name)
        options = {"_use_new_zipfile_serialization": not name.endswith("_stream")}
        if isinstance(file, int):
            save(where, split(tensors, file, wrap), options)
        else:
            torch.save(wrap(tensors), where / file, **options)
        write_safetensors(new_folder(folder, name + "-safetensors") / "model.safetensors", tensors)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Quantized weights in the layouts of docs/quantized-layouts.md, from the formulas alone: what a test
writes and what it expects. Needs nothing but Python."""
import json
import struct

AWQ_NIBBLES = (0, 4, 1, 5, 2, 6, 3, 7)  # of outputs 8c ... 8c + 7
ENDINGS = {
    "compressed-tensors": (".weight_packed", ".weight_zero_point", ".weight_scale", ".weight_g_idx"),
    "gptq": (".qweight", ".qzeros", ".scales", ".g_idx"),
    "gptq-v2": (".qweight", ".qzeros", ".scales", ".g_idx"),
    "awq": (".qweight", ".qzeros", ".scales", None),
}


# ---- safetensors -------------------------------------------------------------------------------


def read_tensors(path):
    """Name -> (dtype, shape, bytes)."""
    with open(path, "rb") as file:
        size, = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        data = file.read()
    header.pop("__metadata__", None)
    return {name: (entry["dtype"], entry["shape"], data[slice(*entry["data_offsets"])])
            for name, entry in header.items()}


def write_tensors(path, tensors):
    header, at = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(t[2] for t in tensors.values()))


def numbers(tensor):
    dtype, shape, data = tensor
    if dtype == "BF16":
        halves = struct.unpack(f"<{len(data) // 2}H", data)
        return struct.unpack(f"<{len(halves)}f", struct.pack(f"<{len(halves)}I", *(h << 16 for h in halves)))
    letter, size = {"F32": ("f", 4), "F16": ("e", 2), "I32": ("i", 4), "I64": ("q", 8)}[dtype]
    return struct.unpack(f"<{len(data) // size}{letter}", data)


def tensor_of(dtype, shape, values):
    values = list(values)
    if dtype == "BF16":  # values that have no more bits
        words = struct.unpack(f"<{len(values)}I", struct.pack(f"<{len(values)}f", *values))
        return dtype, shape, struct.pack(f"<{len(values)}H", *(word >> 16 for word in words))
    letter = {"F32": "f", "F16": "e", "I32": "I", "I64": "q"}[dtype]
    return dtype, shape, struct.pack(f"<{len(values)}{letter}", *values)


# ---- words -------------------------------------------------------------------------------------


def pack(values, bits, turned, along_out, nibbles=None, less=0):
    """An I32 tensor of the matrix values[out][n]."""
    each = 32 // bits
    out, n = len(values), len(values[0])
    rows, cols = (-(-out // each), n) if along_out else (out, -(-n // each))
    words = [[0] * cols for _ in range(rows)]
    for o in range(out):
        for x in range(n):
            k = (o if along_out else x) % each
            at = nibbles[k] if nibbles else k
            row, col = (o // each, x) if along_out else (o, x // each)
            words[row][col] |= values[o][x] << bits * at
    words = [[(word - less) & 0xffffffff for word in row] for row in words]
    if turned:
        words = [list(row) for row in zip(*words)]
    return tensor_of("I32", [len(words), len(words[0])], (word for row in words for word in row))


def unpack(tensor, out, n, bits, turned, along_out, nibbles=None, less=0):
    each = 32 // bits
    width = tensor[1][1]
    words = [(word + less) & 0xffffffff for word in numbers(tensor)]
    values = []
    for o in range(out):
        row = []
        for x in range(n):
            k = (o if along_out else x) % each
            at = nibbles[k] if nibbles else k
            i, j = (o // each, x) if along_out else (o, x // each)
            row.append(words[j * width + i if turned else i * width + j] >> bits * at & (1 << bits) - 1)
        values.append(row)
    return values


# ---- weights -----------------------------------------------------------------------------------


def forms(layout, bits):
    """Arguments of pack for codes and for zeros."""
    less = {4: 0x11111111, 8: 0x01010101}[bits] if layout == "gptq" else 0
    if layout == "compressed-tensors":
        return (False, False), (False, True)
    if layout == "awq":
        return (True, True, AWQ_NIBBLES), (True, True, AWQ_NIBBLES)
    return (True, False), (True, True, None, less)


def store(layout, module, bits, codes, zeros, scales, group_of=None, dtype="F16"):
    """The tensors of a weight: codes[out][in], zeros[out][groups] (None: symmetric), scales."""
    of_codes, of_zeros = forms(layout, bits)
    names = [ending and module + ending for ending in ENDINGS[layout]]
    tensors = {names[0]: pack(codes, bits, *of_codes)}
    if zeros is None and layout != "compressed-tensors":
        zeros = [[1 << bits - 1] * len(scales[0])] * len(scales)
    if zeros is not None:
        tensors[names[1]] = pack(zeros, bits, *of_zeros)
    rows = scales if layout == "compressed-tensors" else list(zip(*scales))
    tensors[names[2]] = tensor_of(dtype, [len(rows), len(rows[0])], (s for row in rows for s in row))
    if group_of is not None:
        tensors[names[3]] = tensor_of("I32", [len(group_of)], group_of)
    if layout == "compressed-tensors":
        tensors[module + ".weight_shape"] = tensor_of("I64", [2], [len(codes), len(codes[0])])
    return tensors


def value_bytes(codes, zeros, scales, group_of):
    """f32 of scale * (code - zero), rounded once."""
    return b"".join(struct.pack(f"<{len(row)}f", *(scales[o][g] * (code - zeros[o][g])
                                                   for code, g in zip(row, group_of)))
                    for o, row in enumerate(codes))


def modules(tensors, layout):
    ending = ENDINGS[layout][0]
    return [name[:-len(ending)] for name in tensors if name.endswith(ending)]


def load(tensors, module, layout, bits, group):
    """(codes, zeros, scales, group of each input) of a stored weight; group -1: one a row."""
    of_codes, of_zeros = forms(layout, bits)
    names = [ending and module + ending for ending in ENDINGS[layout]]
    scales = tensors[names[2]]
    ordered = layout != "compressed-tensors"
    out, groups = scales[1][::-1] if ordered else scales[1]
    flat = numbers(scales)
    scales = [[flat[g * out + o if ordered else o * groups + g] for g in range(groups)]
              for o in range(out)]
    group_of = tensors.get(names[3])
    if module + ".weight_shape" in tensors:
        n = numbers(tensors[module + ".weight_shape"])[1]
    elif group_of:
        n = group_of[1][0]
    else:
        n = tensors[names[0]][1][0] * (1 if layout == "awq" else 32 // bits)
    group_of = numbers(group_of) if group_of else [i // group if group > 0 else 0 for i in range(n)]
    codes = unpack(tensors[names[0]], out, n, bits, *of_codes)
    zeros = (unpack(tensors[names[1]], out, groups, bits, *of_zeros) if names[1] in tensors
             else [[1 << bits - 1] * groups] * out)
    return codes, zeros, scales, group_of


def scheme_of(config):
    """(layout, bits, group) that a config.json says."""
    said = config["quantization_config"]
    if said["quant_method"] == "compressed-tensors":
        weights = next(iter(said["config_groups"].values()))["weights"]
        return "compressed-tensors", weights["num_bits"], weights["group_size"] or -1
    version = "-v2" if said.get("checkpoint_format") == "gptq_v2" else ""
    return said["quant_method"] + version, said["bits"], said["group_size"]

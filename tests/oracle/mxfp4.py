# SPDX-License-Identifier: Apache-2.0
"""Experts of a saved model as gpt-oss is published: floats of 4 bits in blocks of 32 that share a
power of two. What the model is afterwards, transformers says: its own function makes plain weights of
them, in a folder within the folder, which the truth is computed from."""
import json
import shutil

import torch
from safetensors.torch import load_file, save_file
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

MAGNITUDES = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6], dtype=torch.float64)
PLAIN = "plain"
EXPERTS = ("gate_up_proj", "down_proj")


def packed(weight):
    """(blocks, scales) of a weight [experts, in, out], whose rows are the outputs."""
    rows = weight.double().transpose(1, 2)
    rows = rows.reshape(*rows.shape[:2], -1, 32)
    power = torch.floor(torch.log2(rows.abs().amax(dim=-1))) - 2
    scaled = rows / 2.0 ** power[..., None]
    code = (scaled.abs()[..., None] - MAGNITUDES).abs().argmin(dim=-1) + 8 * (scaled < 0)
    code = code.to(torch.uint8)
    return code[..., 0::2] | code[..., 1::2] << 4, (power + 127).to(torch.uint8)


def pack_experts(folder):
    path, plain = folder / "model.safetensors", folder / PLAIN
    plain.mkdir()
    shutil.copy(folder / "config.json", plain)
    tensors = load_file(path)
    values = dict(tensors)
    for name in [name for name in tensors if name.endswith(EXPERTS)]:
        blocks, scales = packed(tensors.pop(name))
        tensors |= {f"{name}_blocks": blocks.contiguous(), f"{name}_scales": scales.contiguous()}
        values[name] = convert_moe_packed_tensors(blocks, scales, dtype=torch.bfloat16).contiguous()
    save_file(values, plain / path.name, {"format": "pt"})
    save_file(tensors, path, {"format": "pt"})
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["quantization_config"] = {
        "quant_method": "mxfp4",
        "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router",
                                   "model.embed_tokens", "lm_head"]}
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")

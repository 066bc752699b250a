# SPDX-License-Identifier: Apache-2.0
"""What the references of ours share: the part of transformers' interface that the oracle uses, norms,
rotary tables, attention and the gated MLP."""
import json
from pathlib import Path
from types import SimpleNamespace

import torch
from huggingface_hub import load_torch_model, save_torch_state_dict
from torch import nn
from torch.nn.functional import softmax


class Model(nn.Module):
    """A causal LM built from config.json's keys; DEFAULTS are those of the published class, ALIASES
    its names of keys that the oracle calls otherwise."""

    DEFAULTS = {}
    ALIASES = {}
    MODEL_TYPE = ""

    def __init__(self, config):
        super().__init__()
        self.given = {self.ALIASES.get(key, key): value for key, value in config.items()}
        keys = self.DEFAULTS | self.given
        if keys.get("num_key_value_heads", 1) is None:
            keys["num_key_value_heads"] = keys["num_attention_heads"]
        keys |= {alias: keys[name] for alias, name in self.ALIASES.items()}
        self.config = SimpleNamespace(**keys)
        self.build(self.config)

    def save_pretrained(self, folder, max_shard_size):
        Path(folder).mkdir(parents=True, exist_ok=True)
        config = {"model_type": self.MODEL_TYPE} | self.DEFAULTS | self.given
        (Path(folder) / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        save_torch_state_dict(self.state_dict(), folder, max_shard_size=max_shard_size)

    @classmethod
    def from_pretrained(cls, folder, dtype):
        model = cls(json.loads((Path(folder) / "config.json").read_text())).to(dtype)
        load_torch_model(model, folder, strict=True)
        return model

    def forward(self, ids, use_cache=False):
        return SimpleNamespace(logits=self.logits(ids))


def at_least_f32(dtype):
    """What the published models compute norms and softmax in, whatever their weights' type."""
    return torch.promote_types(dtype, torch.float32)


class RMSNorm(nn.Module):
    def __init__(self, size, epsilon):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.epsilon = epsilon

    def forward(self, x):
        wide = x.to(at_least_f32(x.dtype))
        wide = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.epsilon)
        return wide.to(x.dtype) * self.weight


def rotary_tables(length, dim, theta, scaling=None, positions=None):
    """cos and sin [length, dim / 2] in float32, with the linear or dynamic scaling of llama's kin."""
    scaling = scaling or {"type": "none", "factor": 1.0}
    factor = scaling["factor"]
    if scaling["type"] == "dynamic" and length > positions:
        theta *= (factor * length / positions - (factor - 1)) ** (dim / (dim - 2))
    frequency = 1.0 / theta ** (torch.arange(0, dim, 2, dtype=torch.float32) / dim)
    at = torch.arange(length, dtype=torch.float32)
    if scaling["type"] == "linear":
        at = at / factor
    angles = torch.outer(at, frequency)
    return angles.cos(), angles.sin()


def rotate_halves(x, cos, sin):
    """x [..., length, dim]: entry i turns with entry i + dim / 2."""
    first, second = x.chunk(2, dim=-1)
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def rotate_neighbours(x, cos, sin):
    """x [..., length, dim]: entry 2 i turns with entry 2 i + 1."""
    first, second = x[..., ::2], x[..., 1::2]
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    return torch.stack([first * cos - second * sin, second * cos + first * sin], dim=-1).flatten(-2)


def split_heads(x, heads):
    """[sequence, position, heads * dim] -> [sequence, head, position, dim]."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def attend(q, k, v, scale, bias=None):
    """Causal attention; key head g serves the g-th group of query heads. Heads come out joined."""
    group, length = q.shape[1] // k.shape[1], q.shape[2]
    k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
    scores = q @ k.transpose(-1, -2) * scale
    if bias is not None:
        scores = scores + bias
    future = torch.ones(length, length, dtype=torch.bool).triu(1)
    scores = scores.masked_fill(future, -torch.inf)
    mixed = softmax(scores, dim=-1, dtype=at_least_f32(scores.dtype)).to(v.dtype) @ v
    return mixed.transpose(1, 2).flatten(-2)


def linear(rows_in, rows_out, bias=False):
    return nn.Linear(rows_in, rows_out, bias=bias)

# SPDX-License-Identifier: Apache-2.0
"""Baichuan 1 and 2 (Yang et al. 2023, arXiv 2309.10305, sections 2.3 and 2.5): llama's block with one
matrix for queries, keys and values; 7B turns them, 13B has ALiBi (Press et al. 2022) instead. Only
7B's files have max_position_embeddings. Baichuan 2, told by its vocabulary of 125696, compares the
stream with rows of the head that are scaled to length 1 (NormHead)."""
import math

import torch
from torch import nn
from torch.nn.functional import normalize, silu

from ours.base import (Model, RMSNorm, attend, linear, rotary_tables, rotate_halves, split_heads)


def slopes(heads):
    """A geometric sequence for a power of two; further heads take every other one of the next."""
    power = 2 ** math.floor(math.log2(heads))
    first = [2 ** (-8 * (i + 1) / power) for i in range(power)]
    finer = [2 ** (-4 * (i + 1) / power) for i in range(2 * power)]
    return torch.tensor(first + finer[::2][:heads - power], dtype=torch.float32)


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads = c.num_attention_heads
        self.dim = c.hidden_size // self.heads
        self.rotary = c.max_position_embeddings is not None
        self.W_pack = linear(c.hidden_size, 3 * c.hidden_size)
        self.o_proj = linear(c.hidden_size, c.hidden_size)

    def forward(self, x):
        q, k, v = (split_heads(part, self.heads) for part in self.W_pack(x).chunk(3, dim=-1))
        length, bias = x.shape[1], None
        if self.rotary:
            cos, sin = rotary_tables(length, self.dim, 10000.0)
            q, k = rotate_halves(q, cos, sin), rotate_halves(k, cos, sin)
        else:
            at = torch.arange(length)
            bias = slopes(self.heads)[:, None, None] * (at[None] - at[:, None])
        return self.o_proj(attend(q, k, v, self.dim ** -0.5, bias))


class MLP(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.gate_proj = linear(c.hidden_size, c.intermediate_size)
        self.up_proj = linear(c.hidden_size, c.intermediate_size)
        self.down_proj = linear(c.intermediate_size, c.hidden_size)

    def forward(self, x):
        return self.down_proj(silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.input_layernorm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.self_attn = Attention(c)
        self.post_attention_layernorm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.mlp = MLP(c)

    def forward(self, x):
        x = x + self.self_attn(self.input_layernorm(x))
        return x + self.mlp(self.post_attention_layernorm(x))


class Baichuan(Model):
    MODEL_TYPE = "baichuan"
    DEFAULTS = {"hidden_act": "silu", "max_position_embeddings": None, "rms_norm_eps": 1e-6,
                "tie_word_embeddings": False}

    def build(self, c):
        self.model = nn.Module()
        self.model.embed_tokens = nn.Embedding(c.vocab_size, c.hidden_size)
        self.model.layers = nn.ModuleList(Layer(c) for _ in range(c.num_hidden_layers))
        self.model.norm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.lm_head = linear(c.hidden_size, c.vocab_size)

    def logits(self, ids):
        x = self.model.embed_tokens(ids)
        for layer in self.model.layers:
            x = layer(x)
        head = self.lm_head.weight
        return self.model.norm(x) @ (normalize(head) if self.config.vocab_size == 125696 else head).T

# SPDX-License-Identifier: Apache-2.0
"""Ling (Ling Team 2025, arXiv 2503.05139; Ling 2.0, arXiv 2510.22115; the configuration and the names of
tensors as they published them): llama's attention with one tensor for queries, keys and values; past
the first dense layers experts and a shared one. The first class routes by softmax; the second by
sigmoids with a bias, limited to the best groups of experts, norms queries and keys, and turns a part
of a head."""
import torch
from torch import nn
from torch.nn.functional import linear as product

from ours.base import (Model, RMSNorm, attend, linear, rotary_tables, rotate_halves, split_heads)
from ours.deepseek import MLP


def rotate_part(x, cos, sin):
    turned = 2 * cos.shape[-1]
    return torch.cat([rotate_halves(x[..., :turned], cos, sin), x[..., turned:]], dim=-1)


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c, self.dim = c, c.head_dim
        self.heads = [c.num_attention_heads, c.num_key_value_heads, c.num_key_value_heads]
        self.query_key_value = linear(c.hidden_size, sum(self.heads) * self.dim, c.use_qkv_bias)
        self.dense = linear(c.num_attention_heads * self.dim, c.hidden_size, c.use_bias)
        if c.use_qk_norm:
            self.query_layernorm = RMSNorm(self.dim, c.rms_norm_eps)
            self.key_layernorm = RMSNorm(self.dim, c.rms_norm_eps)

    def forward(self, x):
        c = self.c
        q, k, v = split_heads(self.query_key_value(x), sum(self.heads)).split(self.heads, dim=1)
        if c.use_qk_norm:
            q, k = self.query_layernorm(q), self.key_layernorm(k)
        cos, sin = rotary_tables(x.shape[1], int(self.dim * c.partial_rotary_factor), c.rope_theta,
                                 c.rope_scaling, c.max_position_embeddings)
        q, k = rotate_part(q, cos, sin), rotate_part(k, cos, sin)
        return self.dense(attend(q, k, v, self.dim ** -0.5))


class Router(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(c.num_experts, c.hidden_size))
        if c.n_group:
            self.register_buffer("expert_bias", torch.zeros(c.num_experts))

    def forward(self, x):
        return product(x, self.weight)


class Experts(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        inner = c.moe_intermediate_size
        self.gate = Router(c)
        self.experts = nn.ModuleList(MLP(c.hidden_size, inner) for _ in range(c.num_experts))
        if c.num_shared_experts:
            self.shared_experts = MLP(c.hidden_size, inner * c.num_shared_experts)

    def limited(self, scores):
        members = scores.unflatten(-1, (self.c.n_group, -1))
        best = members.topk(2, dim=-1).values.sum(-1).topk(self.c.topk_group).indices
        kept = torch.zeros_like(members[..., 0]).scatter(-1, best, 1).bool()
        return members.masked_fill(~kept[..., None], -torch.inf).flatten(-2)

    def forward(self, x):
        logits = self.gate(x)
        shares = logits.sigmoid() if self.c.n_group else logits.softmax(-1)
        scores = self.limited(shares + self.gate.expert_bias) if self.c.n_group else shares
        chosen = scores.topk(self.c.num_experts_per_tok).indices
        share = shares.gather(-1, chosen)
        if self.c.norm_topk_prob:
            share = share / share.sum(-1, keepdim=True)
        weights = torch.zeros_like(shares).scatter(-1, chosen, share * self.c.routed_scaling_factor)
        y = sum(weights[..., i:i + 1] * expert(x) for i, expert in enumerate(self.experts))
        return y + self.shared_experts(x) if self.c.num_shared_experts else y


class Layer(nn.Module):
    def __init__(self, c, index):
        super().__init__()
        self.input_layernorm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.attention = Attention(c)
        self.post_attention_layernorm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        dense = index < c.first_k_dense_replace
        self.mlp = MLP(c.hidden_size, c.intermediate_size) if dense else Experts(c)

    def forward(self, x):
        x = x + self.attention(self.input_layernorm(x))
        return x + self.mlp(self.post_attention_layernorm(x))


class BailingMoe(Model):
    """The second class where the configuration has groups."""

    MODEL_TYPE = "bailing_moe"
    DEFAULTS = {"hidden_act": "silu", "tie_word_embeddings": False, "use_qkv_bias": False}
    FIRST = {"max_position_embeddings": 16384, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
             "rope_scaling": None, "use_bias": True, "num_experts": 16, "num_shared_experts": 0,
             "norm_topk_prob": True, "first_k_dense_replace": 0}
    SECOND = {"max_position_embeddings": 32768, "head_dim": 128, "rms_norm_eps": 1e-6,
              "rope_theta": 600000.0, "rope_scaling": None, "use_bias": False, "use_qk_norm": True,
              "num_experts": 256, "num_shared_experts": 1, "norm_topk_prob": True,
              "routed_scaling_factor": 1.0, "first_k_dense_replace": 1}

    def __init__(self, config):
        super().__init__((self.SECOND if "n_group" in config else self.FIRST) | config)

    def build(self, c):
        first = {"n_group": None, "use_qk_norm": False, "partial_rotary_factor": 1.0,
                 "routed_scaling_factor": 1.0, "head_dim": c.hidden_size // c.num_attention_heads}
        if getattr(c, "rotary_dim", None):
            c.partial_rotary_factor = c.rotary_dim / c.head_dim
        for key, value in first.items():
            if not hasattr(c, key):
                setattr(c, key, value)
        self.model = nn.Module()
        self.model.word_embeddings = nn.Embedding(c.vocab_size, c.hidden_size)
        self.model.layers = nn.ModuleList(Layer(c, i) for i in range(c.num_hidden_layers))
        self.model.norm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.lm_head = linear(c.hidden_size, c.vocab_size)

    def logits(self, ids):
        x = self.model.word_embeddings(ids)
        for layer in self.model.layers:
            x = layer(x)
        return self.lm_head(self.model.norm(x))

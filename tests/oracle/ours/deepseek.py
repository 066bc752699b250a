# SPDX-License-Identifier: Apache-2.0
"""DeepSeekMoE (Dai et al. 2024, arXiv 2401.06066, section 3): llama's attention; past the first dense
layers the MLP is many narrow experts, of which the router's softmax chooses top-k, and a shared one
as wide as several that every token meets."""
import torch
from torch import nn
from torch.nn.functional import linear as product
from torch.nn.functional import silu

from ours.base import (Model, RMSNorm, attend, linear, rotary_tables, rotate_halves, split_heads)


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.dim = c.hidden_size // c.num_attention_heads
        self.key_heads = c.num_key_value_heads
        keys, bias = self.key_heads * self.dim, c.attention_bias
        self.q_proj = linear(c.hidden_size, c.hidden_size, bias)
        self.k_proj = linear(c.hidden_size, keys, bias)
        self.v_proj = linear(c.hidden_size, keys, bias)
        self.o_proj = linear(c.hidden_size, c.hidden_size, bias)

    def forward(self, x):
        c = self.c
        q = split_heads(self.q_proj(x), c.num_attention_heads)
        k, v = split_heads(self.k_proj(x), self.key_heads), split_heads(self.v_proj(x), self.key_heads)
        cos, sin = rotary_tables(x.shape[1], self.dim, c.rope_theta, c.rope_scaling,
                                 c.max_position_embeddings)
        q, k = rotate_halves(q, cos, sin), rotate_halves(k, cos, sin)
        return self.o_proj(attend(q, k, v, self.dim ** -0.5))


class MLP(nn.Module):
    def __init__(self, hidden, inner):
        super().__init__()
        self.gate_proj = linear(hidden, inner)
        self.up_proj = linear(hidden, inner)
        self.down_proj = linear(inner, hidden)

    def forward(self, x):
        return self.down_proj(silu(self.gate_proj(x)) * self.up_proj(x))


class Router(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(c.n_routed_experts, c.hidden_size))

    def forward(self, x):
        return product(x, self.weight)


class Experts(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        inner = c.moe_intermediate_size
        self.gate = Router(c)
        self.experts = nn.ModuleList(MLP(c.hidden_size, inner) for _ in range(c.n_routed_experts))
        if c.n_shared_experts:
            self.shared_experts = MLP(c.hidden_size, inner * c.n_shared_experts)

    def forward(self, x):
        probabilities = self.gate(x).softmax(-1)
        share, chosen = probabilities.topk(self.c.num_experts_per_tok)
        if self.c.norm_topk_prob:
            share = share / share.sum(-1, keepdim=True)
        weights = torch.zeros_like(probabilities).scatter(-1, chosen, share)
        y = sum(weights[..., i:i + 1] * expert(x) for i, expert in enumerate(self.experts))
        return y + self.shared_experts(x) if self.c.n_shared_experts else y


class Layer(nn.Module):
    def __init__(self, c, index):
        super().__init__()
        sparse = (c.n_routed_experts is not None and index >= c.first_k_dense_replace
                  and index % c.moe_layer_freq == 0)
        self.input_layernorm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.self_attn = Attention(c)
        self.post_attention_layernorm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.mlp = Experts(c) if sparse else MLP(c.hidden_size, c.intermediate_size)

    def forward(self, x):
        x = x + self.self_attn(self.input_layernorm(x))
        return x + self.mlp(self.post_attention_layernorm(x))


class DeepSeek(Model):
    MODEL_TYPE = "deepseek"
    DEFAULTS = {"vocab_size": 102400, "hidden_size": 4096, "intermediate_size": 11008,
                "moe_intermediate_size": 1407, "num_hidden_layers": 30, "num_attention_heads": 32,
                "num_key_value_heads": None, "n_shared_experts": None, "n_routed_experts": None,
                "num_experts_per_tok": None, "moe_layer_freq": 1, "first_k_dense_replace": 0,
                "norm_topk_prob": False, "scoring_func": "softmax", "hidden_act": "silu",
                "max_position_embeddings": 2048, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
                "rope_scaling": None, "attention_bias": False, "tie_word_embeddings": False}

    def build(self, c):
        self.model = nn.Module()
        self.model.embed_tokens = nn.Embedding(c.vocab_size, c.hidden_size)
        self.model.layers = nn.ModuleList(Layer(c, i) for i in range(c.num_hidden_layers))
        self.model.norm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.lm_head = linear(c.hidden_size, c.vocab_size)

    def logits(self, ids):
        x = self.model.embed_tokens(ids)
        for layer in self.model.layers:
            x = layer(x)
        return self.lm_head(self.model.norm(x))

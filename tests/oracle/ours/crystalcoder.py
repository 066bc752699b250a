# SPDX-License-Identifier: Apache-2.0
"""CrystalCoder (Liu et al. 2023, arXiv 2312.06550, section 4.2; the configuration and the names of
tensors as LLM360 published them): GPT-2's layout with rotary positions on a part of each head, a
gated MLP, and the maximal update parametrization's multipliers on embedding, scores and logits."""
import torch
from torch import nn
from torch.nn.functional import silu

from ours.base import Model, attend, rotary_tables, rotate_neighbours, split_heads


class Conv1D(nn.Module):
    """A linear layer whose weight is stored [in, out]."""

    def __init__(self, rows_in, rows_out):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(rows_in, rows_out))
        self.bias = nn.Parameter(torch.empty(rows_out))

    def forward(self, x):
        return x @ self.weight + self.bias


class Attention(nn.Module):
    def __init__(self, c, index):
        super().__init__()
        self.c = c
        self.dim = c.n_embd // c.n_head
        self.scale = 1 / self.dim
        if c.scale_attn_by_inverse_layer_idx:
            self.scale /= index + 1
        self.c_attn = Conv1D(c.n_embd, 3 * c.n_embd)
        self.c_proj = Conv1D(c.n_embd, c.n_embd)

    def turn(self, x):
        cos, sin = rotary_tables(x.shape[-2], self.c.rotary_dim, 10000.0)
        turning, still = x[..., :self.c.rotary_dim], x[..., self.c.rotary_dim:]
        return torch.cat([rotate_neighbours(turning, cos, sin), still], dim=-1)

    def forward(self, x):
        q, k, v = (split_heads(part, self.c.n_head) for part in self.c_attn(x).chunk(3, dim=-1))
        return self.c_proj(attend(self.turn(q), self.turn(k), v, self.scale))


class MLP(nn.Module):
    def __init__(self, c):
        super().__init__()
        inner = c.n_inner or 4 * c.n_embd
        self.c_fc = Conv1D(c.n_embd, inner)
        self.c_fc2 = Conv1D(c.n_embd, inner)
        self.c_proj = Conv1D(inner, c.n_embd)

    def forward(self, x):
        return self.c_proj(silu(self.c_fc2(x)) * self.c_fc(x))


class Layer(nn.Module):
    def __init__(self, c, index):
        super().__init__()
        self.ln_1 = nn.LayerNorm(c.n_embd, eps=c.layer_norm_epsilon)
        self.attn = Attention(c, index)
        self.ln_2 = nn.LayerNorm(c.n_embd, eps=c.layer_norm_epsilon)
        self.mlp = MLP(c)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class CrystalCoder(Model):
    MODEL_TYPE = "crystalcoder"
    ALIASES = {"num_hidden_layers": "n_layer", "max_position_embeddings": "n_positions"}
    DEFAULTS = {"n_positions": 2048, "n_inner": None, "activation_function": "swiglu", "layer_norm_epsilon": 1e-5,
                "position_embedding_type": "rotary", "scale_attn_weights": True,
                "scale_attn_by_inverse_layer_idx": False, "mup_scale_qk_dot_by_d": True,
                "mup_embeddings_scale": 1.0, "mup_output_alpha": 1.0, "mup_width_scale": 1.0,
                "tie_word_embeddings": True}

    def build(self, c):
        self.transformer = nn.Module()
        self.transformer.wte = nn.Embedding(c.vocab_size, c.n_embd)
        self.transformer.h = nn.ModuleList(Layer(c, i) for i in range(c.n_layer))
        self.transformer.ln_f = nn.LayerNorm(c.n_embd, eps=c.layer_norm_epsilon)
        if not c.tie_word_embeddings:
            self.lm_head = nn.Linear(c.n_embd, c.vocab_size, bias=False)

    def logits(self, ids):
        c = self.config
        x = self.transformer.wte(ids) * c.mup_embeddings_scale
        for layer in self.transformer.h:
            x = layer(x)
        head = (self.transformer.wte if c.tie_word_embeddings else self.lm_head).weight
        return self.transformer.ln_f(x) @ head.T * (c.mup_output_alpha * c.mup_width_scale)

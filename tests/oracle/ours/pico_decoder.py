# SPDX-License-Identifier: Apache-2.0
"""Pico's decoder (its authors' description of the architecture; the configuration and the names of
tensors as they publish them): llama's block, in which neighbours turn."""
from torch import nn
from torch.nn.functional import silu

from ours.base import Model, RMSNorm, attend, linear, rotary_tables, rotate_neighbours, split_heads


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.dim = c.d_model // c.attention_n_heads
        self.q_proj = linear(c.d_model, c.attention_n_heads * self.dim)
        self.k_proj = linear(c.d_model, c.attention_n_kv_heads * self.dim)
        self.v_proj = linear(c.d_model, c.attention_n_kv_heads * self.dim)
        self.o_proj = linear(c.attention_n_heads * self.dim, c.d_model)

    def forward(self, x):
        c = self.c
        cos, sin = rotary_tables(x.shape[1], self.dim, c.position_emb_theta)
        q = rotate_neighbours(split_heads(self.q_proj(x), c.attention_n_heads), cos, sin)
        k = rotate_neighbours(split_heads(self.k_proj(x), c.attention_n_kv_heads), cos, sin)
        v = split_heads(self.v_proj(x), c.attention_n_kv_heads)
        return self.o_proj(attend(q, k, v, self.dim ** -0.5))


class SwiGLU(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.w_0 = linear(c.d_model, c.activation_hidden_dim)
        self.w_1 = linear(c.d_model, c.activation_hidden_dim)
        self.w_2 = linear(c.activation_hidden_dim, c.d_model)

    def forward(self, x):
        return self.w_2(silu(self.w_0(x)) * self.w_1(x))


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.attention_norm = RMSNorm(c.d_model, c.norm_eps)
        self.attention = Attention(c)
        self.swiglu_norm = RMSNorm(c.d_model, c.norm_eps)
        self.swiglu = SwiGLU(c)

    def forward(self, x):
        x = x + self.attention(self.attention_norm(x))
        return x + self.swiglu(self.swiglu_norm(x))


class PicoDecoder(Model):
    MODEL_TYPE = "pico_decoder"
    ALIASES = {"num_hidden_layers": "n_layers", "max_position_embeddings": "max_seq_len"}

    def build(self, c):
        self.pico_decoder = parts = nn.Module()
        parts.embedding_proj = nn.Embedding(c.vocab_size, c.d_model)
        parts.layers = nn.ModuleList(Layer(c) for _ in range(c.n_layers))
        parts.output_norm = RMSNorm(c.d_model, c.norm_eps)
        parts.de_embedding_proj = linear(c.d_model, c.vocab_size)

    def logits(self, ids):
        parts = self.pico_decoder
        x = parts.embedding_proj(ids)
        for layer in parts.layers:
            x = layer(x)
        return parts.de_embedding_proj(parts.output_norm(x))

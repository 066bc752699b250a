# SPDX-License-Identifier: Apache-2.0
"""MiniCPM (Hu et al. 2024, arXiv 2404.06395, appendix A; the configuration and the names of tensors as
OpenBMB published them): llama's block, the embedding times scale_emb, what a sublayer adds times
scale_depth over the root of the number of layers, the logits over hidden_size / dim_model_base."""
from torch import nn
from torch.nn.functional import gelu, silu

from ours.base import (Model, RMSNorm, attend, linear, rotary_tables, rotate_halves, split_heads)


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.dim = c.hidden_size // c.num_attention_heads
        for name, heads in (("q_proj", c.num_attention_heads), ("k_proj", c.num_key_value_heads),
                            ("v_proj", c.num_key_value_heads)):
            self.add_module(name, linear(c.hidden_size, heads * self.dim, c.attention_bias))
        self.o_proj = linear(c.hidden_size, c.hidden_size, c.attention_bias)

    def forward(self, x):
        c = self.c
        q = split_heads(self.q_proj(x), c.num_attention_heads)
        k, v = (split_heads(project(x), c.num_key_value_heads) for project in (self.k_proj, self.v_proj))
        cos, sin = rotary_tables(x.shape[1], self.dim, c.rope_theta, c.rope_scaling,
                                 c.max_position_embeddings)
        q, k = rotate_halves(q, cos, sin), rotate_halves(k, cos, sin)
        return self.o_proj(attend(q, k, v, self.dim ** -0.5))


class MLP(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.activation = {"silu": silu, "gelu": gelu}[c.hidden_act]
        self.gate_proj = linear(c.hidden_size, c.intermediate_size)
        self.up_proj = linear(c.hidden_size, c.intermediate_size)
        self.down_proj = linear(c.intermediate_size, c.hidden_size)

    def forward(self, x):
        return self.down_proj(self.activation(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.scale = c.scale_depth / c.num_hidden_layers ** 0.5
        self.input_layernorm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.self_attn = Attention(c)
        self.post_attention_layernorm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.mlp = MLP(c)

    def forward(self, x):
        x = x + self.self_attn(self.input_layernorm(x)) * self.scale
        return x + self.mlp(self.post_attention_layernorm(x)) * self.scale


class MiniCPM(Model):
    MODEL_TYPE = "minicpm"
    DEFAULTS = {"hidden_act": "silu", "max_position_embeddings": 2048, "rms_norm_eps": 1e-6,
                "num_key_value_heads": None, "attention_bias": False, "rope_theta": 10000.0,
                "rope_scaling": None, "scale_emb": 1, "scale_depth": 1, "dim_model_base": 1,
                "tie_word_embeddings": True}

    def build(self, c):
        self.model = nn.Module()
        self.model.embed_tokens = nn.Embedding(c.vocab_size, c.hidden_size)
        self.model.layers = nn.ModuleList(Layer(c) for _ in range(c.num_hidden_layers))
        self.model.norm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        if not c.tie_word_embeddings:
            self.lm_head = linear(c.hidden_size, c.vocab_size)

    def logits(self, ids):
        c = self.config
        x = self.model.embed_tokens(ids) * c.scale_emb
        for layer in self.model.layers:
            x = layer(x)
        head = (self.model.embed_tokens if c.tie_word_embeddings else self.lm_head).weight
        return (self.model.norm(x) / (c.hidden_size / c.dim_model_base)) @ head.T

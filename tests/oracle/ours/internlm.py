# SPDX-License-Identifier: Apache-2.0
"""InternLM of 2023 (InternLM Team 2023; the configuration and the names of tensors as they published
them): llama's block with biases in attention, as many key heads as heads."""
from torch import nn

from ours.base import Model, RMSNorm, attend, linear, rotary_tables, rotate_halves, split_heads
from ours.minicpm import MLP


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.dim = c.hidden_size // c.num_attention_heads
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            self.add_module(name, linear(c.hidden_size, c.hidden_size, c.bias))

    def forward(self, x):
        q, k, v = (split_heads(project(x), self.c.num_attention_heads)
                   for project in (self.q_proj, self.k_proj, self.v_proj))
        cos, sin = rotary_tables(x.shape[1], self.dim, self.c.rotary["base"])
        q, k = rotate_halves(q, cos, sin), rotate_halves(k, cos, sin)
        return self.o_proj(attend(q, k, v, self.dim ** -0.5))


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


class InternLM(Model):
    MODEL_TYPE = "internlm"
    DEFAULTS = {"hidden_act": "silu", "max_position_embeddings": 2048, "rms_norm_eps": 1e-6, "bias": True,
                "rotary": {"base": 10000, "type": "dynamic"}, "tie_word_embeddings": False}

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
        return self.lm_head(self.model.norm(x))

# SPDX-License-Identifier: Apache-2.0
"""InternLM2 (Cai et al. 2024, arXiv 2403.17297, section 2.3): llama's block with queries, keys and
values in one matrix, grouped by key head so that tensor parallelism may split it anywhere."""
from torch import nn
from torch.nn.functional import silu

from ours.base import Model, RMSNorm, attend, linear, rotary_tables, rotate_halves


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.dim = c.hidden_size // c.num_attention_heads
        self.groups = c.num_key_value_heads
        self.in_group = c.num_attention_heads // self.groups + 2
        self.wqkv = linear(c.hidden_size, self.groups * self.in_group * self.dim, c.bias)
        self.wo = linear(c.hidden_size, c.hidden_size, c.bias)

    def forward(self, x):
        # [sequence, group, head of the group: its queries, key, value; position, dim]
        heads = self.wqkv(x).unflatten(-1, (self.groups, self.in_group, self.dim)).permute(0, 2, 3, 1, 4)
        q, k, v = heads[:, :, :-2].flatten(1, 2), heads[:, :, -2], heads[:, :, -1]
        c = self.c
        cos, sin = rotary_tables(x.shape[1], self.dim, c.rope_theta, c.rope_scaling,
                                 c.max_position_embeddings)
        q, k = rotate_halves(q, cos, sin), rotate_halves(k, cos, sin)
        return self.wo(attend(q, k, v, self.dim ** -0.5))


class FeedForward(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.w1 = linear(c.hidden_size, c.intermediate_size)
        self.w3 = linear(c.hidden_size, c.intermediate_size)
        self.w2 = linear(c.intermediate_size, c.hidden_size)

    def forward(self, x):
        return self.w2(silu(self.w1(x)) * self.w3(x))


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.attention_norm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.attention = Attention(c)
        self.ffn_norm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.feed_forward = FeedForward(c)

    def forward(self, x):
        x = x + self.attention(self.attention_norm(x))
        return x + self.feed_forward(self.ffn_norm(x))


class InternLM2(Model):
    MODEL_TYPE = "internlm2"
    DEFAULTS = {"vocab_size": 103168, "hidden_size": 4096, "intermediate_size": 11008,
                "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": None,
                "hidden_act": "silu", "max_position_embeddings": 2048, "rms_norm_eps": 1e-6,
                "bias": True, "rope_theta": 10000.0, "rope_scaling": None,
                "tie_word_embeddings": False}

    def build(self, c):
        self.model = nn.Module()
        self.model.tok_embeddings = nn.Embedding(c.vocab_size, c.hidden_size)
        self.model.layers = nn.ModuleList(Layer(c) for _ in range(c.num_hidden_layers))
        self.model.norm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.output = linear(c.hidden_size, c.vocab_size)

    def logits(self, ids):
        x = self.model.tok_embeddings(ids)
        for layer in self.model.layers:
            x = layer(x)
        return self.output(self.model.norm(x))

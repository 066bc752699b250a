# SPDX-License-Identifier: Apache-2.0
"""YuLan-Mini in the middle of its training (Hu et al. 2024, arXiv 2412.17743, section 3.2; names and
defaults as in its published training code): llama's block with muP's multipliers, and a learned one
behind each product and norm."""
import math

import torch
from torch import nn
from torch.nn.functional import silu

from ours.base import Model, RMSNorm, attend, linear, rotary_tables, rotate_halves, split_heads


def learned(wanted, shape):
    return nn.Parameter(torch.ones(shape)) if wanted else 1.0


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c, self.dim = c, c.hidden_size // c.num_attention_heads
        for name, heads in (("q", c.num_attention_heads), ("k", c.num_key_value_heads),
                            ("v", c.num_key_value_heads)):
            self.add_module(f"{name}_proj", linear(c.hidden_size, heads * self.dim, c.attention_bias))
        self.o_proj = linear(c.hidden_size, c.hidden_size)
        for name in "qkvo":
            setattr(self, f"{name}_proj_alpha", learned(c.wesar_weights, [1]))

    def forward(self, x):
        c = self.c
        q = split_heads(self.q_proj(x) * self.q_proj_alpha, c.num_attention_heads)
        k = split_heads(self.k_proj(x) * self.k_proj_alpha, c.num_key_value_heads)
        v = split_heads(self.v_proj(x) * self.v_proj_alpha, c.num_key_value_heads)
        tables = rotary_tables(x.shape[1], self.dim, c.rope_theta, c.rope_scaling,
                               c.max_position_embeddings)
        base = c.dim_model_base_attn or self.dim
        mixed = attend(rotate_halves(q, *tables), rotate_halves(k, *tables), v,
                       math.sqrt(base) / self.dim)
        return self.o_proj(mixed) * self.o_proj_alpha


class MLP(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.gate_proj, self.up_proj = (linear(c.hidden_size, c.intermediate_size) for _ in range(2))
        self.down_proj = linear(c.intermediate_size, c.hidden_size)

    def forward(self, x):
        return self.down_proj(silu(self.gate_proj(x)) * self.up_proj(x))


class Added(nn.Module):
    """What reaches the stream."""

    def forward(self, x):
        return x


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        norms = c.wesar_weights and c.use_norm_alpha
        self.shrink = c.hidden_states_shrink if 0 <= c.hidden_states_shrink < 1 else 1
        self.self_attn, self.mlp = Attention(c), MLP(c)
        self.input_layernorm, self.post_attention_layernorm = (
            RMSNorm(c.hidden_size, c.rms_norm_eps) for _ in range(2))
        self.input_layernorm_alpha = learned(norms, [])
        self.post_attention_layernorm_alpha = learned(norms, [])
        self.gate_up_proj_alpha = learned(c.wesar_weights, [])
        self.down_proj_alpha = learned(c.wesar_weights, [])
        self.attention_added, self.mlp_added = Added(), Added()

    def forward(self, x):
        normed = self.input_layernorm(x) * self.input_layernorm_alpha
        x = x + self.attention_added(self.self_attn(normed) * self.shrink)
        normed = self.post_attention_layernorm(x) * self.post_attention_layernorm_alpha
        added = self.mlp(normed * self.gate_up_proj_alpha) * self.down_proj_alpha
        return x + self.mlp_added(added * self.shrink)


class YuLanMini(Model):
    MODEL_TYPE = "yulanmini"
    DEFAULTS = {"hidden_act": "silu", "max_position_embeddings": 4096, "num_key_value_heads": 6,
                "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "rope_scaling": None,
                "attention_bias": True, "tie_word_embeddings": False, "hidden_states_shrink": 1,
                "dim_model_base_attn": None, "dim_model_base_logits": None, "scale_emb": 1,
                "wesar_weights": True, "use_norm_alpha": True, "rms_type": "llama"}

    def build(self, c):
        self.model = nn.Module()
        self.model.embed_tokens = nn.Embedding(c.vocab_size, c.hidden_size)
        self.model.layers = nn.ModuleList(Layer(c) for _ in range(c.num_hidden_layers))
        self.model.norm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.model.norm_alpha = learned(c.wesar_weights and c.use_norm_alpha, [])
        self.lm_head = linear(c.hidden_size, c.vocab_size)
        self.lm_head_alpha = learned(c.wesar_weights, [])

    def logits(self, ids):
        c = self.config
        x = self.model.embed_tokens(ids) * c.scale_emb
        for layer in self.model.layers:
            x = layer(x)
        x = self.model.norm(x) * self.model.norm_alpha
        base = c.dim_model_base_logits or c.hidden_size
        return self.lm_head(x / (c.hidden_size / base) * self.lm_head_alpha)

# SPDX-License-Identifier: Apache-2.0
"""OLMo as its own library spells it (Groeneveld et al. 2024, arXiv 2402.00838, section 2.1; the
configuration and the names of tensors as published with OLMo 1B and 7B and with DataDecide, Magnusson
et al. 2025, arXiv 2504.11393): one matrix for queries, keys and values, one for the MLP's up rows and
then its gate rows, layer norms without weights or RMS norms with them."""
from torch import nn
from torch.nn.functional import layer_norm, silu

from ours.base import (Model, RMSNorm, at_least_f32, attend, linear, rotary_tables, rotate_halves,
                       split_heads)


class PlainNorm(nn.Module):
    """A layer norm without weights."""

    def __init__(self, size, epsilon):
        super().__init__()
        self.size, self.epsilon = size, epsilon

    def forward(self, x):
        wide = x.to(at_least_f32(x.dtype))
        return layer_norm(wide, (self.size,), eps=self.epsilon).to(x.dtype)


def norm(c):
    return (RMSNorm if c.layer_norm_with_affine else PlainNorm)(c.d_model, c.layer_norm_eps)


def inner_width(c):
    """Of up and gate together."""
    return c.mlp_hidden_size or c.mlp_ratio * c.d_model


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.dim = c.d_model // c.n_heads
        self.key_heads = c.n_kv_heads or c.n_heads
        self.att_proj = linear(c.d_model, (c.n_heads + 2 * self.key_heads) * self.dim)
        self.attn_out = linear(c.d_model, c.d_model)
        self.ff_proj = linear(c.d_model, inner_width(c))
        self.ff_out = linear(inner_width(c) // 2, c.d_model)
        self.attn_norm, self.ff_norm = norm(c), norm(c)

    def attention(self, x):
        c, keys = self.c, self.key_heads * self.dim
        qkv = self.att_proj(x)
        if c.clip_qkv is not None:
            qkv = qkv.clamp(-c.clip_qkv, c.clip_qkv)
        parts = qkv.split([c.d_model, keys, keys], dim=-1)
        q, k, v = (split_heads(part, part.shape[-1] // self.dim) for part in parts)
        cos, sin = rotary_tables(x.shape[1], self.dim, c.rope_theta)
        mixed = attend(rotate_halves(q, cos, sin), rotate_halves(k, cos, sin), v, self.dim ** -0.5)
        return self.attn_out(mixed)

    def mlp(self, x):
        up, gate = self.ff_proj(x).chunk(2, dim=-1)
        return self.ff_out(silu(gate) * up)

    def forward(self, x):
        x = x + self.attention(self.attn_norm(x))
        return x + self.mlp(self.ff_norm(x))


class HfOlmo(Model):
    MODEL_TYPE = "hf_olmo"
    ALIASES = {"num_hidden_layers": "n_layers", "max_position_embeddings": "max_sequence_length",
               "tie_word_embeddings": "weight_tying"}
    DEFAULTS = {"d_model": 768, "n_heads": 12, "n_kv_heads": None, "n_layers": 12, "mlp_ratio": 4,
                "mlp_hidden_size": None, "activation_type": "swiglu", "block_type": "sequential",
                "alibi": False, "rope": True, "rope_theta": 10000, "clip_qkv": None,
                "multi_query_attention": None, "attention_layer_norm": False,
                "layer_norm_type": "default", "layer_norm_with_affine": False,
                "layer_norm_eps": 1e-5, "max_sequence_length": 1024, "include_bias": False,
                "bias_for_layer_norm": None, "scale_logits": False, "norm_after": False,
                "vocab_size": 50257, "embedding_size": 50304, "weight_tying": True}

    def build(self, c):
        rows = c.embedding_size or c.vocab_size
        parts = {"wte": nn.Embedding(rows, c.d_model),
                 "blocks": nn.ModuleList(Block(c) for _ in range(c.n_layers)), "ln_f": norm(c)}
        if not c.weight_tying:
            parts["ff_out"] = linear(c.d_model, rows)
        self.model = nn.Module()
        self.model.transformer = nn.ModuleDict(parts)

    def logits(self, ids):
        parts = self.model.transformer
        x = parts["wte"](ids)
        for block in parts["blocks"]:
            x = block(x)
        head = parts["wte" if self.config.weight_tying else "ff_out"].weight
        return parts["ln_f"](x) @ head.T

# SPDX-License-Identifier: Apache-2.0
"""The first Qwen (Bai et al. 2023, arXiv 2309.16609; the configuration and the names of tensors as they
published them): llama's block with biases of queries, keys and values, which are one tensor."""
from torch import nn
from torch.nn.functional import silu

from ours.bailing_moe import rotate_part
from ours.base import Model, RMSNorm, attend, linear, rotary_tables, split_heads


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        width = c.kv_channels * c.num_attention_heads
        self.c_attn = linear(c.hidden_size, 3 * width, True)
        self.c_proj = linear(width, c.hidden_size)

    def forward(self, x):
        c = self.c
        q, k, v = (split_heads(part, c.num_attention_heads) for part in self.c_attn(x).chunk(3, dim=-1))
        turned = int(c.kv_channels * c.rotary_pct)
        cos, sin = rotary_tables(x.shape[1], turned, c.rotary_emb_base)
        q, k = rotate_part(q, cos, sin), rotate_part(k, cos, sin)
        return self.c_proj(attend(q, k, v, c.kv_channels ** -0.5))


class MLP(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.w1 = linear(c.hidden_size, c.intermediate_size // 2)
        self.w2 = linear(c.hidden_size, c.intermediate_size // 2)
        self.c_proj = linear(c.intermediate_size // 2, c.hidden_size)

    def forward(self, x):
        return self.c_proj(self.w1(x) * silu(self.w2(x)))


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.ln_1 = RMSNorm(c.hidden_size, c.layer_norm_epsilon)
        self.attn = Attention(c)
        self.ln_2 = RMSNorm(c.hidden_size, c.layer_norm_epsilon)
        self.mlp = MLP(c)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Qwen(Model):
    MODEL_TYPE = "qwen"
    DEFAULTS = {"kv_channels": 128, "rotary_pct": 1.0, "rotary_emb_base": 10000,
                "layer_norm_epsilon": 1e-6, "no_bias": True, "use_dynamic_ntk": True,
                "use_logn_attn": True, "scale_attn_weights": True, "tie_word_embeddings": False}

    def build(self, c):
        self.transformer = nn.Module()
        self.transformer.wte = nn.Embedding(c.vocab_size, c.hidden_size)
        self.transformer.h = nn.ModuleList(Layer(c) for _ in range(c.num_hidden_layers))
        self.transformer.ln_f = RMSNorm(c.hidden_size, c.layer_norm_epsilon)
        self.lm_head = linear(c.hidden_size, c.vocab_size)

    def logits(self, ids):
        x = self.transformer.wte(ids)
        for layer in self.transformer.h:
            x = layer(x)
        return self.lm_head(self.transformer.ln_f(x))

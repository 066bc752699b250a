# SPDX-License-Identifier: Apache-2.0
"""Nemotron-NAS (Bercovich et al. 2024, arXiv 2411.19146; sizes of blocks as vLLM's nemotron_nas.py reads
them): llama's sublayers, here transformers' own, of which each block has its own sizes or lacks one."""
import torch
from torch import nn
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaMLP, LlamaRotaryEmbedding

from ours.base import Model, RMSNorm, linear


def width_of(ffn, hidden):
    if ffn.get("ffn_mult") is None:
        return ffn["intermediate_size"]
    return -(-int(2 * ffn["ffn_mult"] * hidden / 3) // 256) * 256


class Absent(nn.Module):
    def forward(self, x):
        return torch.zeros_like(x)


class Attention(LlamaAttention):
    """Of whole sequences alone."""

    def forward(self, x):
        length = x.shape[1]
        future = torch.full((length, length), -torch.inf, dtype=x.dtype).triu(1)
        return super().forward(x, self.rotary(x, torch.arange(length)[None]), future[None, None])[0]


class Block(nn.Module):
    def __init__(self, c, block, index):
        super().__init__()
        attention, ffn = block["attention"], block["ffn"]
        left = ("block_configs", "model_type", "intermediate_size", "num_key_value_heads")
        keys = {key: value for key, value in vars(c).items() if key not in left}
        if attention.get("no_op"):
            self.self_attn = Absent()
        else:
            group = attention.get("n_heads_in_group") or c.num_attention_heads // c.num_key_value_heads
            keys["num_key_value_heads"] = c.num_attention_heads // group
            config = LlamaConfig(**keys, attn_implementation="eager")
            self.self_attn = Attention(config, index)
            self.self_attn.rotary = LlamaRotaryEmbedding(config)
            self.input_layernorm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        if ffn.get("no_op"):
            self.mlp = Absent()
        else:
            keys["intermediate_size"] = width_of(ffn, c.hidden_size)
            self.mlp = LlamaMLP(LlamaConfig(**keys))
            self.post_attention_layernorm = RMSNorm(c.hidden_size, c.rms_norm_eps)

    def forward(self, x):
        norm, other = (getattr(self, name, nn.Identity())
                       for name in ("input_layernorm", "post_attention_layernorm"))
        x = x + self.self_attn(norm(x))
        return x + self.mlp(other(x))


class NemotronNas(Model):
    MODEL_TYPE = "nemotron-nas"
    DEFAULTS = {"hidden_act": "silu", "max_position_embeddings": 2048, "num_key_value_heads": None,
                "intermediate_size": None, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
                "rope_scaling": None, "attention_bias": False, "mlp_bias": False,
                "tie_word_embeddings": False}

    def build(self, c):
        self.model = nn.Module()
        self.model.embed_tokens = nn.Embedding(c.vocab_size, c.hidden_size)
        self.model.layers = nn.ModuleList(
            Block(c, block, index) for index, block in enumerate(c.block_configs))
        self.model.norm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.lm_head = linear(c.hidden_size, c.vocab_size)

    def logits(self, ids):
        x = self.model.embed_tokens(ids)
        for layer in self.model.layers:
            x = layer(x)
        return self.lm_head(self.model.norm(x))

# SPDX-License-Identifier: Apache-2.0
"""Yi as first published (01.AI 2024, arXiv 2403.04652) and Skywork-13B (Wei et al. 2023, arXiv
2310.19341), each with the names of tensors that they published: llama's block."""
from torch import nn

from ours.base import Model, RMSNorm, linear
from ours.deepseek import MLP, Attention


class Layer(nn.Module):
    def __init__(self, c, names):
        super().__init__()
        self.names = names
        for name in names:
            self.add_module(name, RMSNorm(c.hidden_size, c.rms_norm_eps))
        self.self_attn = Attention(c)
        self.mlp = MLP(c.hidden_size, c.intermediate_size)

    def forward(self, x):
        before, after = (self.get_submodule(name) for name in self.names)
        x = x + self.self_attn(before(x))
        return x + self.mlp(after(x))


class Yi(Model):
    MODEL_TYPE = "Yi"
    NORMS = ("ln1", "ln2")
    DEFAULTS = {"hidden_act": "silu", "max_position_embeddings": 4096, "num_key_value_heads": 4,
                "rms_norm_eps": 1e-5, "rope_theta": 5000000.0, "tie_word_embeddings": False}

    def build(self, c):
        c.attention_bias, c.rope_scaling = False, None
        self.model = nn.Module()
        self.model.embed_tokens = nn.Embedding(c.vocab_size, c.hidden_size)
        self.model.layers = nn.ModuleList(Layer(c, self.NORMS) for _ in range(c.num_hidden_layers))
        self.model.norm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.lm_head = linear(c.hidden_size, c.vocab_size)

    def logits(self, ids):
        x = self.model.embed_tokens(ids)
        for layer in self.model.layers:
            x = layer(x)
        return self.lm_head(self.model.norm(x))


class Skywork(Yi):
    MODEL_TYPE = "skywork"
    NORMS = ("input_layernorm", "post_attention_layernorm")
    DEFAULTS = {"hidden_act": "silu", "max_position_embeddings": 4096, "num_key_value_heads": None,
                "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "tie_word_embeddings": False}

# SPDX-License-Identifier: Apache-2.0
"""Shapes of published models, and random checkpoints of them written in seconds.

No weight is zero, norms are near one, and a sublayer adds a moderate amount to the stream, so that
timing sees ordinary numbers: products of zeros draw less power and run faster.
"""
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch

SHARD_BYTES = 1 << 29
WRITERS = 8


@dataclass(frozen=True)
class Shape:
    """A model's sizes and the products of its forward pass."""

    model_type: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    ffn: int  # of one expert where there are experts
    vocabulary: int
    experts: int = 0
    used: int = 0  # experts a token
    head: int = 0  # width of a head; 0: their share of the hidden size

    @property
    def head_dim(self):
        return self.head or self.hidden // self.heads

    @property
    def gated(self):
        return self.model_type != "gpt_neox"

    def products(self):
        """(rows, columns, share of the tokens that meet it) of a layer's weight matrices in model
        order, as few as can be: queries, keys and values are one, gate and up are one."""
        d, mixed = self.hidden, self.heads * self.head_dim
        qkv = mixed + 2 * self.kv_heads * self.head_dim
        share = self.used / self.experts if self.experts else 1
        mlp = [(self.ffn * (2 if self.gated else 1), d, share), (d, self.ffn, share)]
        router = [(self.experts, d, 1)] if self.experts else []
        return [(qkv, d, 1), (d, mixed, 1), *router, *(mlp * max(1, self.experts))]

    def product_flops(self, head):
        """FLOPs a token of the products with weights."""
        weights = self.layers * sum(m * k * share for m, k, share in self.products())
        return 2 * (weights + (self.vocabulary * self.hidden if head else 0))

    def attention_flops(self, seq_len):
        """FLOPs a token of attention over the keys that a token sees on average."""
        return 4 * self.layers * self.heads * self.head_dim * (seq_len + 1) / 2

    def tiny(self):
        """The same family, small enough for any machine."""
        return replace(self, layers=2, hidden=64, heads=4, kv_heads=2 if self.kv_heads < self.heads
                       else 4, ffn=160, vocabulary=256, experts=min(self.experts, 8),
                       used=min(self.used, 2), head=self.head and 32)


SHAPES = {
    #                     layers hidden heads kv   ffn  vocabulary
    "7b": Shape("llama", 32, 4096, 32, 32, 11008, 32000),  # Llama-2-7B
    "8b": Shape("llama", 32, 4096, 32, 8, 14336, 128256),  # Llama-3-8B
    "1.4b": Shape("gpt_neox", 24, 2048, 16, 16, 8192, 50304),  # Pythia-1.4B
    "160m": Shape("gpt_neox", 12, 768, 12, 12, 3072, 50304),  # Pythia-160m
    "70b": Shape("llama", 80, 8192, 64, 8, 28672, 32000),  # Llama-2-70B
    "olmoe": Shape("olmoe", 16, 2048, 16, 16, 1024, 50304, 64, 8),  # OLMoE-1B-7B
    "qwen3-30b": Shape("qwen3_moe", 48, 2048, 32, 4, 768, 151936, 128, 8, 128),  # Qwen3-30B-A3B
}


def config(shape):
    common = {
        "model_type": shape.model_type,
        "num_hidden_layers": shape.layers,
        "hidden_size": shape.hidden,
        "num_attention_heads": shape.heads,
        "intermediate_size": shape.ffn,
        "vocab_size": shape.vocabulary,
        "max_position_embeddings": 32768,  # prompts of any length are timed
        "tie_word_embeddings": False,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "dtype": "bfloat16",
    }
    if shape.gated:
        common |= {"architectures": ["LlamaForCausalLM"], "num_key_value_heads": shape.kv_heads,
                   "hidden_act": "silu", "rms_norm_eps": 1e-5, "rope_theta": 10000.0}
    if shape.experts:
        common |= {"architectures": ["OlmoeForCausalLM"], "num_experts": shape.experts,
                   "num_experts_per_tok": shape.used, "norm_topk_prob": False}
    if shape.model_type == "qwen3_moe":
        common |= {"architectures": ["Qwen3MoeForCausalLM"], "head_dim": shape.head_dim,
                   "moe_intermediate_size": shape.ffn, "norm_topk_prob": True}
    if shape.gated:
        return common
    return common | {"architectures": ["GPTNeoXForCausalLM"], "hidden_act": "gelu",
                     "layer_norm_eps": 1e-5, "rotary_pct": 0.25, "rotary_emb_base": 10000,
                     "use_parallel_residual": True}


# ---- tensors -----------------------------------------------------------------------------------


def llama_layer(shape):
    d, q, kv = shape.hidden, shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    yield "input_layernorm.weight", (d,)
    for name, rows, cols in (("q", q, d), ("k", kv, d), ("v", kv, d), ("o", d, q)):
        yield f"self_attn.{name}_proj.weight", (rows, cols)
    yield "post_attention_layernorm.weight", (d,)
    if shape.experts:
        by_head = shape.model_type == "qwen3_moe"
        yield "self_attn.q_norm.weight", (shape.head_dim if by_head else q,)
        yield "self_attn.k_norm.weight", (shape.head_dim if by_head else kv,)
        yield "mlp.gate.weight", (shape.experts, d)
    for mlp in [f"mlp.experts.{e}" for e in range(shape.experts)] or ["mlp"]:
        for name in ("gate", "up"):
            yield f"{mlp}.{name}_proj.weight", (shape.ffn, d)
        yield f"{mlp}.down_proj.weight", (d, shape.ffn)


def neox_layer(shape):
    d = shape.hidden
    for norm in ("input_layernorm", "post_attention_layernorm"):
        yield f"{norm}.weight", (d,)
        yield f"{norm}.bias", (d,)
    for name, rows, cols in (("attention.query_key_value", 3 * d, d), ("attention.dense", d, d),
                             ("mlp.dense_h_to_4h", shape.ffn, d),
                             ("mlp.dense_4h_to_h", d, shape.ffn)):
        yield f"{name}.weight", (rows, cols)
        yield f"{name}.bias", (rows,)


def layer_tensors(shape):
    """(name below the layer, dimensions)."""
    return list(llama_layer(shape) if shape.gated else neox_layer(shape))


def layer_prefix(shape, index):
    return f"model.layers.{index}." if shape.gated else f"gpt_neox.layers.{index}."


def outer_tensors(shape):
    """(name, dimensions) of what is not in a layer."""
    table, d = (shape.vocabulary, shape.hidden), shape.hidden
    if shape.gated:
        return [("model.embed_tokens.weight", table), ("model.norm.weight", (d,)),
                ("lm_head.weight", table)]
    return [("gpt_neox.embed_in.weight", table), ("gpt_neox.final_layer_norm.weight", (d,)),
            ("gpt_neox.final_layer_norm.bias", (d,)), ("embed_out.weight", table)]


def tensors(shape):
    return outer_tensors(shape) + [
        (layer_prefix(shape, index) + name, dims)
        for index in range(shape.layers) for name, dims in layer_tensors(shape)]


def values(name, dims, device):
    value = torch.randn(dims, device=device, dtype=torch.bfloat16)
    if "embed_in" in name or "embed_tokens" in name:
        value *= 0.5
    elif len(dims) == 2:
        value *= 0.5 / dims[1] ** 0.5
    elif name.endswith("norm.weight"):
        value = 1 + 0.1 * value
    else:
        value *= 0.1
    return value.masked_fill_(value == 0, 1e-3).cpu()


# ---- folders -----------------------------------------------------------------------------------


def write_shard(path, named, device):
    """One safetensors file of random tensors (name, dimensions)."""
    entries, offset = {}, 0
    for name, dims in named:
        end = offset + 2 * int(np.prod(dims))
        entries[name] = {"dtype": "BF16", "shape": list(dims), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, dims in named:
            file.write(values(name, dims, device).view(torch.uint8).numpy())


def cut_shards(named):
    """Lists of tensors of about SHARD_BYTES each."""
    shards, room = [], 0
    for name, dims in named:
        if room <= 0:
            shards.append([])
            room = SHARD_BYTES
        shards[-1].append((name, dims))
        room -= 2 * int(np.prod(dims))
    return shards


def write_config(shape, folder):
    (folder / "config.json").write_text(json.dumps(config(shape), indent=2) + "\n")


def start_folder(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def make(shape, folder, device):
    """A folder with random weights, every layer its own, in shards."""
    start_folder(folder)
    shards = cut_shards(tensors(shape))
    names = [f"model-{i + 1:05d}-of-{len(shards):05d}.safetensors" for i in range(len(shards))]
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(lambda pair: write_shard(folder / pair[0], pair[1], device),
                      zip(names, shards)))
    places = {tensor: name for name, shard in zip(names, shards) for tensor, _ in shard}
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": places}) + "\n")
    write_config(shape, folder)


def make_repeated(shape, folder, device):
    """The same where all layers have one random layer's weights, stored once: what torch.save
    writes for tensors that share their storage, as tied ones do."""
    start_folder(folder)
    state = {name: values(name, dims, device) for name, dims in outer_tensors(shape)}
    layer = [(name, values(name, dims, device)) for name, dims in layer_tensors(shape)]
    for index in range(shape.layers):
        state |= {layer_prefix(shape, index) + name: value for name, value in layer}
    torch.save(state, folder / "pytorch_model.bin")
    write_config(shape, folder)


def link_series(checkpoint, folder, count):
    """`count` folders step1, step2 ... whose files are links to one checkpoint's."""
    folders = [folder / f"step{index}" for index in range(1, count + 1)]
    for step in folders:
        step.mkdir(parents=True, exist_ok=True)
        for file in checkpoint.iterdir():
            link = step / file.name
            link.unlink(missing_ok=True)
            link.symlink_to(file.resolve())
    return folders


def write_tokens(path, rows, seq_len, vocabulary):
    tokens = np.random.default_rng(2).integers(vocabulary, size=(rows, seq_len), dtype=np.int32)
    np.save(path, tokens)
    return tokens

# SPDX-License-Identifier: Apache-2.0
"""Tiny model checkpoints written with the standard library alone: llama or gpt_neox, random weights
from a seed, safetensors in one file or in shards, a byte-level tokenizer. And the pieces tests need
to break them: headers as dicts, files as bytes."""

import json
import os
import random
import struct

CONFIGS = {
    "llama": {"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 16,
              "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 24,
              "vocab_size": 260, "max_position_embeddings": 32, "rms_norm_eps": 1e-6,
              "hidden_act": "silu", "tie_word_embeddings": False, "eos_token_id": 256},
    "gpt_neox": {"model_type": "gpt_neox", "num_hidden_layers": 2, "hidden_size": 16,
                 "num_attention_heads": 2, "intermediate_size": 64, "vocab_size": 260,
                 "max_position_embeddings": 32, "layer_norm_eps": 1e-5, "hidden_act": "gelu",
                 "rotary_pct": 0.25, "use_parallel_residual": True,
                 "tie_word_embeddings": False, "eos_token_id": 256},
}


def config_of(family, **changes):
    config = dict(CONFIGS[family], **changes)
    return {key: value for key, value in config.items() if value is not None}


def shapes_of(config):
    """Name -> shape of every tensor of the model."""
    hidden, ffn, vocabulary = (config[key] for key in
                               ("hidden_size", "intermediate_size", "vocab_size"))
    shapes = {}
    if config["model_type"] == "llama":
        head = config.get("head_dim") or hidden // config["num_attention_heads"]
        queries = config["num_attention_heads"] * head
        keys = config.get("num_key_value_heads", config["num_attention_heads"]) * head
        shapes["model.embed_tokens.weight"] = [vocabulary, hidden]
        for layer in range(config["num_hidden_layers"]):
            at = f"model.layers.{layer}."
            shapes.update({
                at + "input_layernorm.weight": [hidden],
                at + "self_attn.q_proj.weight": [queries, hidden],
                at + "self_attn.k_proj.weight": [keys, hidden],
                at + "self_attn.v_proj.weight": [keys, hidden],
                at + "self_attn.o_proj.weight": [hidden, queries],
                at + "post_attention_layernorm.weight": [hidden],
                at + "mlp.gate_proj.weight": [ffn, hidden],
                at + "mlp.up_proj.weight": [ffn, hidden],
                at + "mlp.down_proj.weight": [hidden, ffn]})
        shapes["model.norm.weight"] = [hidden]
        if not config["tie_word_embeddings"]:
            shapes["lm_head.weight"] = [vocabulary, hidden]
        return shapes
    shapes["gpt_neox.embed_in.weight"] = [vocabulary, hidden]
    for layer in range(config["num_hidden_layers"]):
        at = f"gpt_neox.layers.{layer}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            shapes[at + norm + ".weight"] = shapes[at + norm + ".bias"] = [hidden]
        for name, rows, columns in (("attention.query_key_value", 3 * hidden, hidden),
                                    ("attention.dense", hidden, hidden),
                                    ("mlp.dense_h_to_4h", ffn, hidden),
                                    ("mlp.dense_4h_to_h", hidden, ffn)):
            shapes[at + name + ".weight"] = [rows, columns]
            shapes[at + name + ".bias"] = [rows]
    shapes["gpt_neox.final_layer_norm.weight"] = shapes["gpt_neox.final_layer_norm.bias"] = [hidden]
    shapes["embed_out.weight"] = [vocabulary, hidden]
    return shapes


def size_of(shape):
    size = 1
    for extent in shape:
        size *= extent
    return size


def encode(values, dtype):
    """Little-endian bytes of a list of floats in a safetensors dtype."""
    if dtype == "BF16":
        single = struct.pack(f"<{len(values)}f", *values)
        return b"".join(single[i + 2:i + 4] for i in range(0, len(single), 4))
    return struct.pack(f"<{len(values)}" + {"F64": "d", "F32": "f", "F16": "e"}[dtype], *values)


def random_tensors(config, seed, dtype="F32"):
    """Name -> (dtype, shape, bytes): norms around 1, everything else around 0."""
    draw = random.Random(seed).random
    tensors = {}
    for name, shape in shapes_of(config).items():
        center = 1.0 if "norm" in name and name.endswith("weight") else 0.0
        values = [center + 0.4 * (draw() - 0.5) for _ in range(size_of(shape))]
        tensors[name] = (dtype, shape, encode(values, dtype))
    return tensors


def safetensors(tensors, metadata=None):
    """The bytes of a safetensors file."""
    header, data = {}, []
    if metadata is not None:
        header["__metadata__"] = metadata
    offset = 0
    for name, (dtype, shape, values) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [offset, offset + len(values)]}
        offset += len(values)
        data.append(values)
    return join_header(json.dumps(header), b"".join(data))


def join_header(text, data):
    encoded = text.encode() if isinstance(text, str) else text
    encoded += b" " * (-len(encoded) % 8)
    return struct.pack("<Q", len(encoded)) + encoded + data


def split_header(content):
    """(header as dict, data) of a safetensors file's bytes."""
    length, = struct.unpack("<Q", content[:8])
    return json.loads(content[8:8 + length]), content[8 + length:]


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, content):
    with open(path, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)


def byte_tokenizer():
    """A byte-level BPE without merges: one token a byte, and <|endoftext|> as 256."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in visible]
    letters = {byte: chr(byte) for byte in visible}
    letters.update({byte: chr(256 + i) for i, byte in enumerate(others)})
    vocabulary = {letters[byte]: byte for byte in range(256)}
    vocabulary["<|endoftext|>"] = 256
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
             "use_regex": True}
    added = {"id": 256, "content": "<|endoftext|>", "single_word": False, "lstrip": False,
             "rstrip": False, "normalized": False, "special": True}
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
             "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
             "ignore_merges": False, "vocab": vocabulary, "merges": []}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [added],
            "normalizer": None, "pre_tokenizer": level, "post_processor": None, "decoder": level,
            "model": model}


def write_shards(folder, tensors, count):
    """model-0000i-of-0000n.safetensors and their index; tensors dealt out in turn."""
    places = {}
    for shard in range(count):
        name = f"model-{shard + 1:05d}-of-{count:05d}.safetensors"
        part = dict(list(tensors.items())[shard::count])
        write(os.path.join(folder, name), safetensors(part))
        places.update({tensor: name for tensor in part})
    index = {"metadata": {"total_size": sum(len(values) for _, _, values in tensors.values())},
             "weight_map": places}
    write(os.path.join(folder, "model.safetensors.index.json"), json.dumps(index))


def write_checkpoint(folder, family="llama", seed=0, dtype="F32", shards=1, tokenizer=True,
                     **changes):
    """A whole checkpoint; `changes` override config keys. Returns its config."""
    os.makedirs(folder)
    config = config_of(family, **changes)
    tensors = random_tensors(config, seed, dtype)
    if shards > 1:
        write_shards(folder, tensors, shards)
    else:
        write(os.path.join(folder, "model.safetensors"), safetensors(tensors, {"format": "pt"}))
    write(os.path.join(folder, "config.json"), json.dumps(config))
    if tokenizer:
        write(os.path.join(folder, "tokenizer.json"), json.dumps(byte_tokenizer()))
    return config


def write_series(root, count, step=100, **options):
    """Checkpoints root/step_<i * step>, each from its own seed; their folders in order."""
    folders = [os.path.join(root, f"step_{i * step}") for i in range(count)]
    for seed, folder in enumerate(folders):
        write_checkpoint(folder, seed=seed, **options)
    return folders


def write_tokens(path, rows, seq_len, vocabulary=256, seed=0):
    """Token ids as jsonl, rows of equal length."""
    draw = random.Random(seed)
    with open(path, "w") as file:
        for _ in range(rows):
            ids = [draw.randrange(vocabulary) for _ in range(seq_len)]
            file.write(json.dumps({"input_ids": ids}) + "\n")

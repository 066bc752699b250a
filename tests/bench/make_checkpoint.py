# SPDX-License-Identifier: Apache-2.0
"""Writes a Hugging Face folder with random weights of a published shape, tensor by tensor.

    make_checkpoint.py pythia-160m FOLDER [--dtype F32] [--seed 1]

No weight is zero, norms are near one, and a sublayer adds a moderate amount to the stream, so that
timing sees ordinary numbers. Needs numpy only, and memory for one tensor.
"""
import argparse
import json
import sys
from pathlib import Path

import numpy as np

SHAPES = {  # layers, hidden, heads, ffn, vocabulary
    "pythia-160m": (12, 768, 12, 3072, 50304),
    "pythia-1.4b": (24, 2048, 16, 8192, 50304),
    "tiny": (2, 64, 4, 256, 512),
}
DTYPES = {"F32": (4, "float32"), "F16": (2, "float16"), "BF16": (2, "bfloat16")}


def tensors(shape):
    """(name, shape) of every tensor in the order of the forward pass."""
    layers, d, _, ffn, vocabulary = shape
    yield "gpt_neox.embed_in.weight", (vocabulary, d)
    for index in range(layers):
        layer = f"gpt_neox.layers.{index}"
        for norm in ("input_layernorm", "post_attention_layernorm"):
            yield f"{layer}.{norm}.weight", (d,)
            yield f"{layer}.{norm}.bias", (d,)
        for name, rows, cols in (("attention.query_key_value", 3 * d, d),
                                 ("attention.dense", d, d),
                                 ("mlp.dense_h_to_4h", ffn, d), ("mlp.dense_4h_to_h", d, ffn)):
            yield f"{layer}.{name}.weight", (rows, cols)
            yield f"{layer}.{name}.bias", (rows,)
    yield "gpt_neox.final_layer_norm.weight", (d,)
    yield "gpt_neox.final_layer_norm.bias", (d,)
    yield "embed_out.weight", (vocabulary, d)


def config(shape, dtype):
    layers, d, heads, ffn, vocabulary = shape
    return {
        "architectures": ["GPTNeoXForCausalLM"],
        "model_type": "gpt_neox",
        "hidden_size": d,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": ffn,
        "vocab_size": vocabulary,
        "max_position_embeddings": 2048,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-5,
        "rotary_pct": 0.25,
        "rotary_emb_base": 10000,
        "use_parallel_residual": True,
        "tie_word_embeddings": False,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "torch_dtype": DTYPES[dtype][1],
    }


def values(name, shape, rng):
    value = rng.standard_normal(shape, dtype=np.float32)
    if len(shape) == 2:
        value *= 0.5 / np.sqrt(shape[1]) if "embed_in" not in name else 0.5
    elif name.endswith("norm.weight"):
        value = 1 + np.float32(0.1) * value
    else:
        value *= np.float32(0.1)
    value[value == 0] = np.float32(1e-3)
    return value


def encode(value, dtype):
    if dtype == "F32":
        return value.tobytes()
    if dtype == "F16":
        return value.astype(np.float16).tobytes()
    return (value.view(np.uint32) >> 16).astype(np.uint16).tobytes()


def header(shape, dtype):
    entries, offset = {}, 0
    for name, dims in tensors(shape):
        end = offset + int(np.prod(dims)) * DTYPES[dtype][0]
        entries[name] = {"dtype": dtype, "shape": list(dims), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % 8)


def make(name, folder, dtype, seed=1):
    """Writes config.json and model.safetensors; a folder that already has both is left as it is."""
    folder = Path(folder)
    if (folder / "config.json").exists():
        return folder
    shape = SHAPES[name]
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "model.safetensors", "wb") as file:
        text = header(shape, dtype)
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor, dims in tensors(shape):
            file.write(encode(values(tensor, dims, rng), dtype))
    (folder / "config.json").write_text(json.dumps(config(shape, dtype), indent=2) + "\n")
    return folder


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shape", choices=sorted(SHAPES))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dtype", choices=sorted(DTYPES), default="F32", help="F32")
    parser.add_argument("--seed", type=int, default=1, help="1")
    options = parser.parse_args()
    make(options.shape, options.folder, options.dtype, options.seed)
    size = (options.folder / "model.safetensors").stat().st_size
    print(f"{options.folder}: {size / 1e9:.2f} GB", file=sys.stderr)


if __name__ == "__main__":
    main()

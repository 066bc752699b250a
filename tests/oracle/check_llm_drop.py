# SPDX-License-Identifier: Apache-2.0
"""Does LLM-Drop's own model code load what trace-drop write --as llm-drop writes?

    check_llm_drop.py write PROGRAM CHECKPOINT TOKENS.npy WORK     any transformers
    check_llm_drop.py load MODELS WORK                             transformers of the code

Two steps, because the authors' code runs with transformers of its time (at their commit 28b5dd1
one with StaticCache, which 4.37 lacks): `write` writes some sets and
the logits of the original in which those sublayers are hooked to add nothing; `load` puts the files
of MODELS, src/llmtuner/compression/prune/models of a checkout of CASE-Lab-UMD/LLM-Drop, beside each
and compares logits within 1e-5, and 32 greedy tokens with and without the cache. Run by hand: the
code is read where it is and is no part of this project.
"""
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM

SETS = ("attn:1", "mlp:7", "attn:0,6,7 mlp:3", "block:6,7")
TOLERANCE, NEW_TOKENS, ROWS = 1e-5, 32, 2


def members(drop):
    for word in drop.split():
        module, layers = word.split(":")
        for layer in layers.split(","):
            for one in ("attn", "mlp") if module == "block" else (module,):
                yield one, int(layer)


def add_nothing(module, inputs, output):
    return (torch.zeros_like(output[0]), *output[1:]) if isinstance(output, tuple) else output * 0


def write(program, checkpoint, tokens, work):
    ids = torch.as_tensor(np.load(tokens)[:ROWS].astype(np.int64))
    np.save(work / "ids.npy", ids.numpy())
    for index, drop in enumerate(SETS):
        out = work / str(index)
        subprocess.run([program, "write", checkpoint, "--drop", drop, "--as", "llm-drop", "-o", out],
                       check=True)
        model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
        for module, layer in members(drop):
            block = model.model.layers[layer]
            (block.self_attn if module == "attn" else block.mlp).register_forward_hook(add_nothing)
        with torch.no_grad():
            np.save(work / f"{index}.npy", model(ids, use_cache=False).logits.numpy())


def greedy(model, ids, cache):
    tokens = ids
    for _ in range(NEW_TOKENS):
        with torch.no_grad():
            logits = model(tokens, use_cache=False).logits
        tokens = torch.cat([tokens, logits[:, -1:].argmax(-1)], 1)
    if cache:
        tokens = model.generate(ids, max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS,
                                do_sample=False, use_cache=True, pad_token_id=0)
    return tokens[:, ids.shape[1]:]


def load(models, work):
    ids, worst = torch.as_tensor(np.load(work / "ids.npy")), 0.0
    for index, drop in enumerate(SETS):
        folder = work / str(index)
        for name in json.loads((folder / "config.json").read_text())["auto_map"].values():
            shutil.copy(models / (name.split(".")[0] + ".py"), folder)
        model = AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32,
                                                     trust_remote_code=True,
                                                     attn_implementation="eager").eval()
        with torch.no_grad():
            found = model(ids, use_cache=False).logits.numpy()
        error = float(np.abs(found - np.load(work / f"{index}.npy")).max())
        short = ids[:1, :16]
        same = bool((greedy(model, short, True) == greedy(model, short, False)).all())
        print(f"{drop}: logits within {error:.1e}, {NEW_TOKENS} greedy tokens with the cache "
              f"{'are the same' if same else 'DIFFER'}")
        worst = max(worst, error if same else np.inf)
    return 0 if worst < TOLERANCE else 1


if __name__ == "__main__":
    if sys.argv[1] == "write":
        Path(sys.argv[5]).mkdir()
        write(*sys.argv[2:5], Path(sys.argv[5]))
    else:
        sys.exit(load(Path(sys.argv[2]), Path(sys.argv[3])))

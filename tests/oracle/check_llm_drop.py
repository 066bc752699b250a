# SPDX-License-Identifier: Apache-2.0
"""Does LLM-Drop's own model code load what trace-drop write --as llm-drop writes?

    check_llm_drop.py write PROGRAM CHECKPOINT TOKENS.npy WORK [COUNT]  any transformers
    check_llm_drop.py load MODELS WORK                                  transformers of the code

Two steps, because the authors' code runs with transformers of its time (at their commit 28b5dd1 one
with StaticCache, before 4.46; tried with 4.44.2): `write` writes some sets of the checkpoint, a Llama,
and one of each of COUNT (8) random models of every family that they have code for, with the logits of
the original in which those sublayers are hooked to add nothing; `load` puts the files of MODELS,
src/llmtuner/compression/prune/models of a checkout of CASE-Lab-UMD/LLM-Drop, beside each and compares
logits, within 1e-5 of the largest, and 32 greedy tokens with and without the cache. Run by hand: the
code is read where it is and is no part of this project.
"""
import dataclasses
import importlib.machinery
import json
import shutil
import sys
import types
from pathlib import Path

import numpy as np
import torch
from transformers.utils import logging

SETS = ("attn:1", "mlp:7", "attn:0,6,7 mlp:3", "block:6,7")
TOLERANCE, NEW_TOKENS, ROWS, PROMPT = 1e-5, 32, 2, 5


# ---- write --------------------------------------------------------------------------------------


def members(drop):
    return [(one, int(layer)) for module, layers in (word.split(":") for word in drop.split())
            for layer in layers.split(",") for one in (("attn", "mlp") if module == "block" else (module,))]


def write_trained(program, checkpoint, tokens, work):
    from families import FAMILIES
    import test_drop_write as written

    for index, drop in enumerate(SETS):
        keep(program, Path(checkpoint), work / f"llama-trained-{index}", FAMILIES["llama"],
             members(drop), np.load(tokens)[:ROWS], written)


def write_random(program, work, count):
    from family import draw_cases
    from families import FAMILIES
    from reference import make_model
    import targets
    import test_drop_write as written

    generator = np.random.default_rng(1)
    for name in sorted(targets.FAMILIES["llm-drop"]):
        for case in draw_cases(FAMILIES[name], count, 1):
            source = work / "original" / f"{name}-{case.number}"
            tokens = make_model(dataclasses.replace(case, sequences=ROWS), source)
            drop = written.draw_drop("llm-drop", written.layers_of(case, source), generator)
            keep(program, source, work / f"{name}-{case.number}", case.family, drop, tokens, written, case)


def keep(program, source, target, family, drop, tokens, written, case=None):
    """Writes a model, and the logits that it has to have."""
    done = written.write(program, source, target, "llm-drop", drop)
    if done.returncode:
        rightly = case and written.is_refused_rightly(case, "llm-drop", drop, done.stderr)
        print(f"{target.name}: refused{'' if rightly else ' WRONGLY'}: {done.stderr.strip()}")
        return
    done = written.write(program, source, target.parent / "zeroed" / target.name, "zeroed", drop)
    assert not done.returncode, done.stderr
    model, _ = written.load_f32(family, source)
    written.hook(model, family, drop)
    np.save(target / "ids.npy", np.asarray(tokens, np.int64))
    np.save(target / "logits.npy", written.logits_of(model, tokens).numpy())
    (target / "drop.txt").write_text(written.text_of(drop))


# ---- load ---------------------------------------------------------------------------------------


def seem_to_have(package):
    """DeepSeek's code asks by name for a package that it needs on a GPU alone."""
    module = types.ModuleType(package)
    module.__spec__ = importlib.machinery.ModuleSpec(package, None)
    sys.modules.setdefault(package, module)


def greedy(model, ids, cache):
    tokens = ids
    for _ in range(NEW_TOKENS):
        with torch.no_grad():
            logits = model(tokens, use_cache=False).logits
        tokens = torch.cat([tokens, logits[:, -1:].argmax(-1)], 1)
    if cache:
        tokens = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW_TOKENS,
                                min_new_tokens=NEW_TOKENS, do_sample=False, use_cache=True, pad_token_id=0)
    return tokens[:, ids.shape[1]:]


def load_code(folder):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32, trust_remote_code=True,
                                                attn_implementation="eager").eval()


def zeroed(folder):
    """The same model, of which the code leaves nothing out: those sublayers are zeroed."""
    whole = folder.parent / "zeroed" / folder.name
    config = json.loads((folder / "config.json").read_text()) | {"drop_attn_list": [], "drop_mlp_list": []}
    (whole / "config.json").write_text(json.dumps(config))
    for path in folder.glob("*.py"):
        shutil.copy(path, whole)
    return whole


def generates(folder, prompt):
    """What its cache makes of greedy decoding."""
    model = load_code(folder)
    try:
        same = bool((greedy(model, prompt, True) == greedy(model, prompt, False)).all())
    except Exception as error:  # of whatever kind, it is what the code makes of the model
        return f"{type(error).__name__}: {error}"
    return "are the same" if same else "DIFFER"


def check(models, folder):
    """Words about one written model, and whether all is well. Where that version's cache gives other
    tokens though nothing is left out, it says nothing of those that are."""
    ids = torch.as_tensor(np.load(folder / "ids.npy"))
    expected = np.load(folder / "logits.npy")
    for name in json.loads((folder / "config.json").read_text())["auto_map"].values():
        shutil.copy(models / (name.split(".")[0] + ".py"), folder)
    (folder / "quantizer.py").touch()  # Baichuan's folders have it, and the code asks for it by name
    with torch.no_grad():
        found = load_code(folder)(ids, use_cache=False).logits.numpy()
    apart = float(np.abs(found - expected).max()) / max(1.0, float(np.abs(expected).max()))
    prompt = ids[:1, :PROMPT]
    tokens = generates(folder, prompt)
    sound = tokens == "are the same" or generates(zeroed(folder), prompt) == "are the same"
    return (f"logits {apart:.1e} apart, {NEW_TOKENS} greedy tokens with the cache {tokens}"
            f"{'' if sound else ', and so with zeroed ones in place of dropped'}",
            apart <= TOLERANCE and (tokens == "are the same" or not sound))


def load(models, work):
    right = total = 0
    seem_to_have("flash_attn")
    for folder in sorted(path.parent for path in work.glob("*/drop.txt")):
        try:
            words, well = check(models, folder)
        except Exception as error:
            words, well = f"{type(error).__name__}: {error}", False
        drop = (folder / "drop.txt").read_text()
        print(f"{folder.name} without {drop}: {words}{'' if well else '  FAILED'}", flush=True)
        right += well
        total += 1
    print(f"{right} of {total} written models agree")
    return 0 if total and right == total else 1


if __name__ == "__main__":
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    if sys.argv[1] == "write":
        scratch = Path(sys.argv[5])
        (scratch / "zeroed").mkdir(parents=True)
        write_trained(sys.argv[2], *sys.argv[3:5], scratch)
        write_random(sys.argv[2], scratch, int((sys.argv[6:] or [8])[0]))
    else:
        sys.exit(load(Path(sys.argv[2]), Path(sys.argv[3])))

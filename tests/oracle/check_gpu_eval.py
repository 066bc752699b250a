# SPDX-License-Identifier: Apache-2.0
"""trace-eval on a GPU in bf16 and f16: no further from the truth than transformers in the same type.

    check_gpu_eval.py decode_losses=PROGRAM trace-eval=PROGRAM series=FOLDER [out=CSV] [device=cpu]

decode: losses of targets behind every token of a text, each a step of decoding through a cache, of 1
and of 7 texts, by the last checkpoint of both series; transformers steps through its own cache.
tasks: log-likelihoods of requests as the harness scores them, against the same sums of
transformers' logits with softmax in f32 (the harness's softmax_dtype=float32). The truth is
transformers in float64. What counts is the root of the mean square of errors, against the better
of eager attention and sdpa. device=cpu tries the script: all is f32 there. Exits with 77 when there
is no GPU.
"""
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache
from transformers.utils import logging

TYPES = {"bf16": torch.bfloat16, "f16": torch.float16}
ATTENTIONS = ("eager", "sdpa")
LENGTH, TARGETS, REQUESTS = 128, 8, 200
COLUMNS = ("model", "what", "dtype", "texts", "rms", "reference_rms", "ratio", "verdict")


def rms(error):
    return float(np.sqrt(np.mean(np.square(error))))


class Model:
    """A checkpoint, and transformers' model of it in one type at a time."""

    def __init__(self, folder, device):
        self.folder, self.device = folder, device

    def load(self, dtype, attention="eager"):
        return AutoModelForCausalLM.from_pretrained(
            self.folder, dtype=dtype, attn_implementation=attention).to(self.device).eval()


def losses_of(logits, targets):
    """[...]: -log p of targets [..., TARGETS], summed in float64 from logits as they are."""
    logs = torch.log_softmax(logits.double(), dim=-1)
    return -logs.gather(-1, targets).cpu().numpy()


def stepped(model, ids, targets):
    """[length, texts, TARGETS]: each token a step through transformers' cache."""
    cache, found = DynamicCache(), []
    with torch.no_grad():
        for t in range(ids.shape[1]):
            out = model(ids[:, t:t + 1], past_key_values=cache, use_cache=True)
            found.append(losses_of(out.logits[:, 0], targets[:, t]))
    return np.stack(found)


def ours_stepped(program, folder, device, dtype, ids, targets):
    """The same of ours, each of the targets behind a pass of its own."""
    data = np.concatenate([ids[None], targets.transpose(2, 0, 1)]).astype(np.int32).tobytes()
    done = subprocess.run([program, folder, device, dtype, *map(str, ids.shape), str(TARGETS)],
                          input=data, stdout=subprocess.PIPE, check=True)
    return np.frombuffer(done.stdout).reshape(TARGETS, *ids.shape[::-1]).transpose(1, 2, 0)


class Table:
    def __init__(self, path):
        self.file = open(path, "w", newline="") if path else None
        self.failed, self.path = 0, path
        self.write(COLUMNS)

    def write(self, row):
        print(*row, sep=",", flush=True)
        if self.file:
            csv.writer(self.file, lineterminator="\n").writerow(row)
            self.file.flush()

    def add(self, model, what, dtype, texts, error, reference):
        good = error <= reference or (dtype == "f32" and error < 1e-5)
        self.failed += not good
        self.write((model, what, dtype, texts, f"{error:.3e}", f"{reference:.3e}",
                    f"{error / reference:.3f}" if reference else "", "ok" if good else "FAILED"))


def check_decode(table, programs, name, model, tokens, types):
    generator = np.random.default_rng(1)
    for texts in (1, 7):
        ids = tokens[:texts, :LENGTH].astype(np.int64)
        truth_model = model.load(torch.float64)
        targets = generator.integers(0, truth_model.config.vocab_size, (*ids.shape, TARGETS))
        targets[:, :-1, 0] = ids[:, 1:]
        there = torch.tensor(ids, device=model.device), torch.tensor(targets, device=model.device)
        with torch.no_grad():
            truth = losses_of(truth_model(there[0]).logits, there[1]).transpose(1, 0, 2)
        for dtype, torch_type in types.items():
            ours = ours_stepped(programs["decode_losses"], model.folder, model.device, dtype, ids, targets)
            reference = min(rms(stepped(model.load(torch_type, a), *there) - truth) for a in ATTENTIONS)
            table.add(name, "decode", dtype, texts, rms(ours - truth), reference)


# ---- tasks -------------------------------------------------------------------------------------


def draw_requests(tokenizer, tokens):
    """Stretches of the calibration text cut in two: (context, continuation)."""
    generator = np.random.default_rng(2)
    requests = []
    while len(requests) < REQUESTS:
        row = tokens[generator.integers(len(tokens))]
        begin, cut = generator.integers(len(row) - 80), generator.integers(5, 60)
        words = tokenizer.decode(row[begin:begin + cut + generator.integers(2, 20)]).split(" ")
        at = max(1, int(len(words) * cut / (cut + 10)))
        context, continuation = " ".join(words[:at]), " " + " ".join(words[at:])
        if context.strip() == context != "" and continuation.strip():
            requests.append((context, continuation))
    return requests


def summed(model, tokenizer, requests, device):
    found = []
    with torch.no_grad():
        for context, continuation in requests:
            whole = tokenizer.encode(context + continuation)
            after = torch.tensor(whole[len(tokenizer.encode(context)):], device=device)
            logits = model(torch.tensor([whole[:-1]], device=device)).logits[0, -len(after):]
            wide = logits if logits.dtype == torch.float64 else logits.float()
            found.append(torch.log_softmax(wide, -1).gather(1, after[:, None]).sum().item())
    return np.array(found)


def check_tasks(table, programs, name, model, tokens, types):
    tokenizer = AutoTokenizer.from_pretrained(model.folder)
    requests = draw_requests(tokenizer, tokens)
    truth = summed(model.load(torch.float64), tokenizer, requests, model.device)
    with tempfile.TemporaryDirectory() as work:
        path = Path(work) / "pairs.jsonl"
        path.write_text("".join(
            json.dumps({"task": "pairs", "doc_id": i, "type": "loglikelihood",
                        "requests": [{"context": c, "continuation": k}]}) + "\n"
            for i, (c, k) in enumerate(requests)))
        for dtype, torch_type in types.items():
            low = [] if model.device == "cpu" else ["--dtype", dtype]
            subprocess.run([programs["trace-eval"], model.folder, "--tasks", path, "--device", model.device,
                            *low, "-q", "--fresh", "-o", f"{work}/eval.h5"], check=True, stdout=subprocess.DEVNULL)
            scores, = Path(work).glob("eval.h5.tasks/*/pairs.scores.json")
            ours = np.array(json.loads(scores.read_text())["likelihoods"][0])
            reference = min(rms(summed(model.load(torch_type, a), tokenizer, requests, model.device) - truth)
                            for a in ATTENTIONS)
            table.add(name, "tasks", dtype, len(requests), rms(ours - truth), reference)


def main():
    options = dict(argument.split("=", 1) for argument in sys.argv[1:])
    device = options.get("device", "cuda")
    if device == "cuda" and not torch.cuda.is_available():
        return 77
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    types = TYPES if device == "cuda" else {"f32": torch.float32}
    table = Table(options.get("out"))
    for name in ("demo", "neox"):
        folder = Path(options["series"]) / name
        last = max((path for path in folder.glob("step_*")), key=lambda path: int(path.name[5:]))
        tokens = np.load(folder / "tokens.npy")
        model = Model(last, device)
        check_decode(table, options, name, model, tokens, types)
        check_tasks(table, options, name, model, tokens, types)
    return table.failed > 0


if __name__ == "__main__":
    sys.exit(main())

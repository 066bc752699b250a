# SPDX-License-Identifier: Apache-2.0
"""Times what it takes to leave out every attention and every MLP in turn: trace-ckpts --cost beside
two careful PyTorch users, in one run.

    bench_costs.py --trace build/cuda/bin/trace-ckpts --shape 7b --rows 32 --out results

    masks    a forward pass a candidate, whose hook puts zeros in place of the sublayer's output
    skips    a forward pass a candidate that does not compute the sublayer
    prefix   the same from the candidate's layer on, with the whole model's streams kept

All get loss, divergence and agreement with the whole model's logits on the device. The PyTorch
users run a sample of the candidates on a batch of rows; trace-ckpts runs all. Rates are tokens of
candidates a second. Each stage adds rows to OUT/MACHINE-costs.csv. --tiny --device cpu tries it
anywhere; --quick of bench_gpu.py has no meaning here.
"""
import argparse
import csv
import re
import subprocess
from pathlib import Path

import torch
from torch.nn.functional import log_softmax
from transformers import AutoModelForCausalLM
from transformers.utils import logging

import gpu_models
from bench_gpu import default_work, machine_name, memory_watch
from gpu_ceilings import Clock

COLUMNS = ("shape", "dtype", "program", "candidates", "rows", "seq_len", "seconds",
           "candidate_tokens_per_s", "detail")
KINDS = ("attn", "mlp")


class Peer:
    """transformers' model with its head, and what a user of hooks does with it."""

    def __init__(self, folder, ids, device):
        self.dtype = torch.bfloat16 if device == "cuda" else torch.float32
        self.model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=self.dtype, attn_implementation="sdpa").to(device).eval()
        self.body = self.model.base_model
        self.head = self.model.get_output_embeddings()
        self.norm = getattr(self.body, "final_layer_norm", None) or self.body.norm
        self.ids = torch.as_tensor(ids, dtype=torch.int64, device=device)
        self.zeros = None

    def sublayer(self, kind, layer):
        block = self.body.layers[layer]
        if kind == "mlp":
            return block.mlp
        return block.attention if hasattr(block, "attention") else block.self_attn

    def logits(self, hidden):
        return self.head(self.norm(hidden))

    def blocks(self, hidden, first):
        """The stream behind the last block, from the one that enters block `first`."""
        for block in self.body.layers[first:]:
            out = block(hidden, attention_mask=None, position_embeddings=self.positions,
                        position_ids=self.position_ids)
            hidden = out[0] if isinstance(out, tuple) else out
        return hidden

    def enter(self):
        """The embedded rows; kept beside it, each block's input."""
        embed = self.body.embed_in if hasattr(self.body, "embed_in") else self.body.embed_tokens
        hidden = embed(self.ids)
        self.position_ids = torch.arange(self.ids.shape[1], device=self.ids.device)[None]
        self.positions = self.body.rotary_emb(hidden, self.position_ids)
        self.zeros = torch.zeros_like(hidden)
        return hidden

    def start(self):
        """The whole model's logits and the streams that enter its blocks."""
        self.streams = [self.enter()]
        for layer in range(len(self.body.layers)):
            block = self.body.layers[layer]
            out = block(self.streams[-1], attention_mask=None, position_embeddings=self.positions,
                        position_ids=self.position_ids)
            self.streams.append(out[0] if isinstance(out, tuple) else out)
        logits = self.logits(self.streams[-1])
        self.base = torch.stack([log_softmax(row.float(), -1) for row in logits])

    def compare(self, logits):
        """(loss, divergence, agreement) of each row, a row at a time."""
        found = []
        for row, ids in enumerate(self.ids):
            ours, base = log_softmax(logits[row].float(), -1), self.base[row]
            loss = -ours[:-1].gather(1, ids[1:, None]).mean()
            divergence = (base.exp() * (base - ours)).sum(-1).mean()
            agrees = (base.argmax(-1) == ours.argmax(-1)).float().mean()
            found.append(torch.stack((loss, divergence, agrees)))
        return torch.stack(found)

    def put_zeros(self, kind, layer):
        def hook(module, args, output):
            zero = (output[0] if isinstance(output, tuple) else output) * 0
            return (zero, *output[1:]) if isinstance(output, tuple) else zero

        return self.sublayer(kind, layer).register_forward_hook(hook)

    def skip(self, kind, layer):
        """Instead of the sublayer zeros; call the result to undo it."""
        module, zeros = self.sublayer(kind, layer), self.zeros
        tuple_like = kind == "attn"
        module.forward = lambda *args, **kwargs: (zeros, None) if tuple_like else zeros
        return lambda: module.__dict__.pop("forward")

    def masks(self, kind, layer):
        hook = self.put_zeros(kind, layer)
        found = self.compare(self.logits(self.blocks(self.enter(), 0)))
        hook.remove()
        return found

    def skips(self, kind, layer, first=0):
        undo = self.skip(kind, layer)
        found = self.compare(self.logits(self.blocks(self.streams[first], first)))
        undo()
        return found

    def prefix(self, kind, layer):
        return self.skips(kind, layer, layer)


def sampled_layers(layers, count):
    """Spread evenly, so that they are as long on average as all are."""
    return [round((i + 0.5) * layers / count - 0.5) for i in range(count)]


def time_peer(bench, name):
    """Tokens of candidates a second, over a batch of rows and a sample of the layers."""
    peer, layers = bench.peer(), sampled_layers(bench.shape.layers, bench.options.layers)
    candidates = [(kind, layer) for layer in layers for kind in KINDS]
    with torch.no_grad():
        peer.start()
        getattr(peer, name)(*candidates[0])
        seconds = Clock(bench.options.device).seconds(
            lambda: [getattr(peer, name)(*candidate) for candidate in candidates])
    rate = len(candidates) * peer.ids.numel() / seconds
    bench.record(name, len(candidates), len(peer.ids), seconds, rate, "a sample of the candidates")


def run(command):
    done = subprocess.run([str(word) for word in command], stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"trace-ckpts ended with {done.returncode}: {done.stderr}")
    print(done.stderr, flush=True)
    return done.stderr


def time_trace(bench):
    """A store that is traced first and then gains costs: the second run measures them alone."""
    options = bench.options
    command = [options.trace, "--ckpts", bench.checkpoint, "--tokens", bench.tokens(options.rows),
               "-v", "--progress", "0", "-o", options.work / "costs.h5", *options.flags.split()]
    if options.device == "cuda":
        command += ["--device", "cuda", "--dtype", "bf16"]
    run([*command, "--fresh"])
    with memory_watch(options.device) as memory:
        said = run([*command, "--cost", ",".join(KINDS), "--cost-samples", options.rows])
    seconds, waited = map(float, re.search(r"traced in ([\d.]+) s, ([\d.]+) s of", said).groups())
    share = re.search(r"costs took ([\d.]+) of", said)[1]
    candidates = len(KINDS) * bench.shape.layers
    rate = candidates * options.rows * options.seq_len / seconds
    bench.record("trace-ckpts --cost", candidates, options.rows, seconds, rate,
                 f"{waited:.3f} s waiting; {share} of the blocks' work of whole passes; "
                 f"{memory[0] / 1e9:.1f} GB of the device; {options.flags}".rstrip("; "))


class Bench:
    def __init__(self, options):
        shape = gpu_models.SHAPES[options.shape]
        self.options, self.shape = options, shape.tiny() if options.tiny else shape
        self.checkpoint = options.work / options.shape
        self.kept = None

    def tokens(self, rows):
        path = self.options.work / "tokens.npy"
        gpu_models.write_tokens(path, rows, self.options.seq_len, self.shape.vocabulary)
        return path

    def peer(self):
        if self.kept is None:
            ids = gpu_models.write_tokens(self.options.work / "tokens.npy", self.options.batch,
                                          self.options.seq_len, self.shape.vocabulary)
            self.kept = Peer(self.checkpoint, ids, self.options.device)
        return self.kept

    def record(self, program, candidates, rows, seconds, rate, detail):
        path = self.options.out / f"{machine_name(self.options.device)}-costs.csv"
        new = not path.exists()
        dtype = "bf16" if self.options.device == "cuda" else "f32"
        with open(path, "a", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if new:
                writer.writerow(COLUMNS)
            writer.writerow((self.options.shape, dtype, program, candidates, rows,
                             self.options.seq_len, f"{seconds:.3f}", f"{rate:.0f}", detail))
        print(f"{self.options.shape} {program}: {rate:,.0f} tokens/s of candidates, "
              f"{seconds:.2f} s, {detail}", flush=True)


def make(bench):
    gpu_models.make(bench.shape, bench.checkpoint, bench.options.device)


STAGES = {"make": make, "trace": time_trace, "masks": lambda b: time_peer(b, "masks"),
          "skips": lambda b: time_peer(b, "skips"), "prefix": lambda b: time_peer(b, "prefix")}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trace", type=Path, required=True)
    parser.add_argument("--shape", choices=sorted(gpu_models.SHAPES), required=True)
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--seq-len", type=int, default=2048)
    parser.add_argument("--batch", type=int, default=8, help="rows of the PyTorch users (8)")
    parser.add_argument("--layers", type=int, default=8, help="that they sample (8)")
    parser.add_argument("--stages", default="make,trace,masks,prefix")
    parser.add_argument("--flags", default="", help="more options of trace-ckpts")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--work", type=Path, default=default_work())
    options = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if options.tiny:
        options.seq_len, options.layers = 64, 2
    options.out.mkdir(parents=True, exist_ok=True)
    options.work.mkdir(parents=True, exist_ok=True)
    bench = Bench(options)
    for stage in options.stages.split(","):
        STAGES[stage](bench)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Times trace-quant beside a per-layer PyTorch loop of GPTQ, in one run.

    bench_quant.py --trace-quant build/cuda/bin/trace-quant --shape 7b --rows 128 --out results

    trace    trace-quant, from the checkpoint to the folder that others load, both in memory
    loop     what a PyTorch user writes: block after block on the device, hooks that sum X^T X of
             each distinct input in f32 while the rows pass once, GPTQ's loop over columns with lazy
             updates after 128 of them, f32 throughout, then the rows once more through the rounded
             block; on the first --blocks blocks, streams on the device, weights there already

Seconds a block of the two are compared: the loop's blocks alone, trace-quant's whole run over its
blocks. Each stage adds rows to OUT/MACHINE-quant.csv. --tiny --device cpu tries it anywhere.
"""
import argparse
import csv
import re
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import logging

import gpu_models
from bench_gpu import default_work, machine_name, memory_watch

COLUMNS = ("shape", "dtype", "program", "rows", "seq_len", "blocks", "seconds", "seconds_per_block", "memory_gb",
           "detail")
INPUTS = (("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"), ("self_attn.o_proj",),
          ("mlp.gate_proj", "mlp.up_proj"), ("mlp.down_proj",))


def rounded(w, scale):
    return scale * torch.clamp(torch.round(w / scale), -8, 7)


def gptq(linear, h, group):
    """The published loop (github.com/IST-DASLab/gptq, Frantar et al. 2022), symmetric."""
    w, h = linear.weight.data.float(), h.clone()
    dead = torch.diag(h) == 0
    h[dead, dead] = 1
    w[:, dead] = 0
    h.diagonal().add_(0.01 * torch.diag(h).mean())
    u = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(h)), upper=True)
    result = torch.zeros_like(w)
    for first in range(0, w.shape[1], 128):
        last = min(first + 128, w.shape[1])
        block, errors, inverse = w[:, first:last].clone(), torch.zeros_like(w[:, first:last]), u[first:last, first:last]
        for i in range(last - first):
            if (first + i) % group == 0:
                scale = (w[:, first + i:first + i + group].abs().amax(dim=1) / 7.5).clamp(min=1e-8)
            value = rounded(block[:, i], scale)
            result[:, first + i] = value
            errors[:, i] = (block[:, i] - value) / inverse[i, i]
            block[:, i:] -= errors[:, i:i + 1] @ inverse[i:i + 1, i:]
        w[:, last:] -= errors @ u[first:last, last:]
    linear.weight.data.copy_(result.to(linear.weight.dtype))


class Loop:
    """transformers' blocks, and streams that go through them a few rows at a time."""

    def __init__(self, bench, ids):
        self.options = bench.options
        self.dtype = torch.bfloat16 if self.options.device == "cuda" else torch.float32
        few = AutoConfig.from_pretrained(bench.checkpoint, num_hidden_layers=self.options.blocks)
        self.body = AutoModelForCausalLM.from_pretrained(bench.checkpoint, config=few, dtype=self.dtype,
                                                         attn_implementation="sdpa").model.eval()
        self.body.to(self.options.device)
        ids = torch.as_tensor(ids, dtype=torch.int64, device=self.options.device)
        self.streams = list(self.body.embed_tokens(ids).split(self.options.batch))
        places = torch.arange(ids.shape[1], device=self.options.device)[None]
        self.positions = self.body.rotary_emb(self.streams[0], places)

    def passes(self, block, keep):
        for i, stream in enumerate(self.streams):
            out = block(stream, attention_mask=None, position_embeddings=self.positions)
            if keep:
                self.streams[i] = out[0] if isinstance(out, tuple) else out

    def moments(self, block):
        """X^T X of each distinct input, in the order of INPUTS."""
        sums, hooks = [None] * len(INPUTS), []

        def add(k):
            def hook(module, args):
                x = args[0].reshape(-1, args[0].shape[-1]).float()
                sums[k] = x.T @ x if sums[k] is None else sums[k].addmm_(x.T, x)
            return hook

        for k, names in enumerate(INPUTS):
            hooks.append(block.get_submodule(names[0]).register_forward_pre_hook(add(k)))
        self.passes(block, keep=False)
        for hook in hooks:
            hook.remove()
        return sums

    @torch.no_grad()
    def run(self):
        for index, block in enumerate(self.body.layers):
            print(f"block {index}, {time.strftime('%T')}", flush=True)
            for names, h in zip(INPUTS, self.moments(block)):
                for name in names:
                    gptq(block.get_submodule(name), h, self.options.group)
            self.passes(block, keep=True)


def clock(device, work):
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.monotonic()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.monotonic() - start


class Bench:
    def __init__(self, options):
        shape = gpu_models.SHAPES[options.shape]
        shape = shape.tiny() if options.tiny else shape
        self.options, self.shape = options, replace(shape, layers=options.layers or shape.layers)
        self.checkpoint = options.work / options.shape

    def tokens(self):
        path = self.options.work / "tokens.npy"
        return path, gpu_models.write_tokens(path, self.options.rows, self.options.seq_len, self.shape.vocabulary)

    def record(self, program, blocks, seconds, memory, detail):
        path = self.options.out / f"{machine_name(self.options.device)}-quant.csv"
        new = not path.exists()
        with open(path, "a", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if new:
                writer.writerow(COLUMNS)
            writer.writerow((self.options.shape, "bf16" if self.options.device == "cuda" else "f32", program,
                             self.options.rows, self.options.seq_len, blocks, f"{seconds:.3f}",
                             f"{seconds / blocks:.4f}", f"{memory / 1e9:.2f}", detail))
        print(f"{self.options.shape} {program}: {seconds:.2f} s, {seconds / blocks:.3f} s a block, "
              f"{memory / 1e9:.2f} GB of the device; {detail}", flush=True)


def follow(command):
    """(exit status, seconds, what it said), each line shown as it comes, with the seconds so far."""
    start, said = time.monotonic(), []
    with subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True) as job:
        for line in job.stdout:
            said.append(line)
            print(f"{time.monotonic() - start:7.1f} s  {line}", end="", flush=True)
    return job.returncode, time.monotonic() - start, "".join(said)


def stage_make(bench):
    gpu_models.make(bench.shape, bench.checkpoint, bench.options.device)
    print(f"{bench.shape.layers} blocks of {bench.options.shape} written", flush=True)


def stage_trace(bench):
    options, target = bench.options, bench.options.work / "few-bits"
    path, _ = bench.tokens()
    shutil.rmtree(target, ignore_errors=True)
    shutil.rmtree(f"{target}.parts", ignore_errors=True)
    command = [options.trace_quant, bench.checkpoint, "--tokens", path, "--group", options.group, "--device",
               options.device, "-v", "-o", target, *options.flags.split()]
    if options.device == "cuda":
        command += ["--dtype", "bf16"]
    with memory_watch(options.device) as memory:
        code, seconds, said = follow(command)
    if code:
        raise SystemExit(f"trace-quant ended with {code}")
    each = [float(found) for found in re.findall(r"weights in ([\d.]+) s", said)]
    bench.record("trace-quant", bench.shape.layers, seconds, memory[0],
                 f"blocks {sum(each):.1f} s, {seconds - sum(each):.1f} s before and behind them {options.flags}".rstrip())
    shutil.rmtree(target)


def stage_loop(bench):
    _, ids = bench.tokens()
    with memory_watch(bench.options.device) as memory:
        loop = Loop(bench, ids)
        print("its blocks are on the device", flush=True)
        seconds = clock(bench.options.device, loop.run)
    bench.record("PyTorch loop", bench.options.blocks, seconds, memory[0], "its blocks alone")


STAGES = {"make": stage_make, "trace": stage_trace, "loop": stage_loop}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trace-quant", type=Path, required=True)
    parser.add_argument("--shape", choices=sorted(gpu_models.SHAPES), required=True)
    parser.add_argument("--rows", type=int, default=128)
    parser.add_argument("--seq-len", type=int, default=2048)
    parser.add_argument("--group", type=int, default=128)
    parser.add_argument("--layers", type=int, default=0,
                        help="of the checkpoint, to measure a part (the shape's)")
    parser.add_argument("--blocks", type=int, default=4, help="of the PyTorch loop (4)")
    parser.add_argument("--batch", type=int, default=8, help="rows that it has at a time (8)")
    parser.add_argument("--stages", default="make,trace,loop")
    parser.add_argument("--flags", default="", help="more options of trace-quant")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--work", type=Path, default=default_work())
    options = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if options.tiny:
        options.seq_len, options.blocks, options.rows, options.group = 64, 1, 8, 32
    options.out.mkdir(parents=True, exist_ok=True)
    options.work.mkdir(parents=True, exist_ok=True)
    bench = Bench(options)
    for stage in options.stages.split(","):
        print(f"-- {stage}, {time.strftime('%T')}", flush=True)
        STAGES[stage](bench)


if __name__ == "__main__":
    main()

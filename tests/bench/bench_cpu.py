# SPDX-License-Identifier: Apache-2.0
"""Times trace-ckpts against PyTorch on this machine's CPU, and measures its memory.

    bench_cpu.py --trace build/release/bin/trace-ckpts [--threads 2] [--rounds 5] [--only speed]

Both run the same random Pythia-160m, and a small model of OLMoE's kind, over the same 8 x 512
tokens, in turns, so that a busy machine hurts both. See README.md here for what each row of the CSV means.
"""
import argparse
import csv
import ctypes
import os
import platform
import re
import resource
import statistics
import subprocess
import tempfile
import threading
import time
from collections import namedtuple
from pathlib import Path

import numpy as np

from make_checkpoint import SHAPES, make

HERE = Path(__file__).resolve().parent
COLUMNS = ("bench", "shape", "dtype", "tokens", "threads", "unit", "ours_min", "ours_median",
           "reference", "reference_min", "reference_median", "ratio", "target")
SERIES = 3  # checkpoints of the long run; one of the short: their difference has no start-up
MODES = {"no-nll": ("--no-nll",), "nll": ()}
Run = namedtuple("Run", ("seconds", "processor", "resident", "output"))


def write_tokens(path, rows, seq_len, vocabulary):
    tokens = np.random.default_rng(2).integers(vocabulary, size=(rows, seq_len), dtype=np.int32)
    np.save(path, tokens)
    return tokens


# ---- ours --------------------------------------------------------------------------------------


def link_series(checkpoint, folder):
    """SERIES folders step1, step2 ... that link to one checkpoint's files."""
    folders = [folder / f"step{index}" for index in range(1, SERIES + 1)]
    for step in folders:
        step.mkdir(parents=True)
        for name in ("config.json", "model.safetensors"):
            (step / name).symlink_to((checkpoint / name).resolve())
    return folders


def peak_memory(pid):
    """Most bytes a running process has had resident since it was started; 0 once it has ended.

    Not wait4's ru_maxrss: that begins with what this Python had when it forked."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)
    return 1024 * int(found.group(1)) if found else 0


def children_seconds():
    """Processor seconds, the kernel's for them included, of children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run_trace(options, folders, work, flags=()):
    """One run of the program: wall and processor seconds, peak resident bytes, what it said."""
    command = [options.trace, "--tokens", work / "tokens.npy", "-o", work / "trace.h5", "--fresh",
               *flags, "--ckpts", *folders]
    environment = os.environ | {"OMP_NUM_THREADS": str(options.threads)}
    resident = 0
    with open(work / "output.txt", "w+") as output:
        start, processor = time.monotonic(), children_seconds()
        child = subprocess.Popen([str(word) for word in command], env=environment, stdout=output,
                                 stderr=subprocess.STDOUT)
        while child.poll() is None:
            resident = max(resident, peak_memory(child.pid))
            time.sleep(0.02)
        seconds, processor = time.monotonic() - start, children_seconds() - processor
        output.seek(0)
        text = output.read()
    if child.returncode != 0:
        raise SystemExit(f"trace-ckpts ended with {child.returncode}:\n{text}")
    return Run(seconds, processor, resident, text)


def seconds_per_checkpoint(options, folders, work, flags):
    long = run_trace(options, folders, work, flags)
    short = run_trace(options, folders[:1], work, flags)
    return (long.seconds - short.seconds) / (len(folders) - 1)


# ---- PyTorch -----------------------------------------------------------------------------------


class PyTorch:
    """transformers' own model in float32, evaluated without gradients and without a cache."""

    def __init__(self, checkpoint, tokens, threads):
        import torch
        from transformers import GPTNeoXForCausalLM
        torch.set_num_threads(threads)
        self.torch = torch
        self.ids = torch.as_tensor(tokens, dtype=torch.int64)
        self.models = {
            kind: GPTNeoXForCausalLM.from_pretrained(checkpoint, dtype=torch.float32,
                                                     attn_implementation=kind).eval()
            for kind in ("sdpa", "eager")
        }

    def time(self, run):
        with self.torch.inference_mode():
            start = time.monotonic()
            run()
            return time.monotonic() - start

    def base(self, kind):
        model = self.models[kind].gpt_neox
        return self.time(lambda: model(self.ids, use_cache=False))

    def loss(self, kind):
        def run():
            logits = self.models[kind](self.ids, use_cache=False).logits[:, :-1]
            self.torch.nn.functional.cross_entropy(logits.flatten(0, 1),
                                                   self.ids[:, 1:].flatten())
        return self.time(run)


class PyTorchExperts:
    """OLMoE with as many experts as the published one in 4 narrow layers, by transformers' loop over
    experts and its grouped product."""

    SIZES = {"num_hidden_layers": 4, "hidden_size": 512, "intermediate_size": 256,
             "num_attention_heads": 8, "num_key_value_heads": 8, "num_experts": 64,
             "num_experts_per_tok": 8, "vocab_size": 8192, "max_position_embeddings": 2048,
             "tie_word_embeddings": False, "eos_token_id": 0}
    KINDS = ("eager", "grouped_mm")

    def __init__(self, folder, threads):
        import torch
        from transformers import OlmoeConfig, OlmoeForCausalLM
        torch.set_num_threads(threads)
        self.torch = torch
        if not (folder / "config.json").exists():
            torch.manual_seed(1)
            OlmoeForCausalLM(OlmoeConfig(**self.SIZES)).save_pretrained(folder)
        self.models = {
            kind: OlmoeForCausalLM.from_pretrained(folder, dtype=torch.float32,
                                                   experts_implementation=kind).eval().model
            for kind in self.KINDS
        }

    def seconds(self, kind, ids):
        with self.torch.inference_mode():
            start = time.monotonic()
            self.models[kind](self.torch.as_tensor(ids, dtype=self.torch.int64), use_cache=False)
            return time.monotonic() - start


# ---- the machine's sgemm -----------------------------------------------------------------------


def products(shape, head):
    """(m, k) of the weight matrices in the order the model multiplies by them."""
    layers, d, _, ffn, vocabulary = shape
    layer = [(3 * d, d), (d, d), (ffn, d), (d, ffn)]
    return layer * layers + ([(vocabulary, d)] if head else [])


class Sgemm:
    """y[n, m] = x[n, k] w[m, k]^T with the program's CBLAS: each thread takes its share of rows."""

    ROW_MAJOR, NO_TRANSPOSE, TRANSPOSE = 101, 111, 112

    def __init__(self, library, threads):
        for name in ("BLIS_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            os.environ[name] = "1"
        self.call = ctypes.CDLL(str(library)).cblas_sgemm
        self.call.restype = None
        self.threads = threads

    def rows(self, y, x, w, begin, end):
        pointer = ctypes.POINTER(ctypes.c_float)
        number, integer = ctypes.c_float, ctypes.c_int
        (m, k), n = w.shape, end - begin
        self.call(self.ROW_MAJOR, self.NO_TRANSPOSE, self.TRANSPOSE, integer(n), integer(m),
                  integer(k), number(1), x[begin:].ctypes.data_as(pointer), integer(k),
                  w.ctypes.data_as(pointer), integer(k), number(0),
                  y[begin:].ctypes.data_as(pointer), integer(m))

    def seconds(self, shape, tokens, head):
        rng = np.random.default_rng(3)
        sizes = set(products(shape, head))
        x = {k: rng.standard_normal((tokens, k), dtype=np.float32) for _, k in sizes}
        w = {size: rng.standard_normal(size, dtype=np.float32) for size in sizes}
        y = {m: np.ones((tokens, m), dtype=np.float32) for m, _ in sizes}
        cuts = [tokens * i // self.threads for i in range(self.threads + 1)]

        def work(begin, end):
            for m, k in products(shape, head):
                self.rows(y[m], x[k], w[m, k], begin, end)

        workers = [threading.Thread(target=work, args=cut) for cut in zip(cuts, cuts[1:])]
        start = time.monotonic()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return time.monotonic() - start


def find_blas(trace):
    """The CBLAS that the program was linked with, as its build folder recorded it."""
    cache = trace.resolve().parent.parent / "CMakeCache.txt"
    return Path(re.search(r"^TRACE_BLAS:\w+=(.*)$", cache.read_text(), re.MULTILINE).group(1))


# ---- the benches -------------------------------------------------------------------------------


def row(bench, shape, dtype, tokens, options, unit, ours, reference, times, target):
    """One CSV row; ratio: reference over ours by their medians, above 1 where ours is better."""
    ratio = statistics.median(times) / statistics.median(ours)
    digits = [f"{value:.4g}" for value in (min(ours), statistics.median(ours), min(times),
                                           statistics.median(times), ratio)]
    return dict(zip(COLUMNS, (bench, shape, dtype, tokens, options.threads, unit, digits[0],
                              digits[1], reference, digits[2], digits[3], digits[4], target)))


def bench_speed(options, work):
    name, shape = "pythia-160m", SHAPES["pythia-160m"]
    checkpoint = make(name, options.cache / f"{name}-F32", "F32")
    tokens = write_tokens(work / "tokens.npy", 8, 512, shape[4])
    folders = link_series(checkpoint, work / "series")
    peer, sgemm = PyTorch(checkpoint, tokens, options.threads), Sgemm(options.blas, options.threads)
    kinds = ("sdpa", "eager")
    measure = {("ours", mode): lambda flags=flags: seconds_per_checkpoint(options, folders, work,
                                                                          flags)
               for mode, flags in MODES.items()}
    for kind in kinds:
        measure["no-nll", kind] = lambda kind=kind: peer.base(kind)
        measure["nll", kind] = lambda kind=kind: peer.loss(kind)
    for mode in MODES:
        measure["sgemm", mode] = lambda mode=mode: sgemm.seconds(shape, tokens.size, mode == "nll")

    times = {key: [] for key in measure}
    for kind in kinds:  # warm up
        peer.loss(kind)
    for turn in range(options.rounds):
        for key, run in measure.items():
            times[key].append(run())
            print(f"round {turn} {' '.join(key)}: {times[key][-1]:.2f} s", flush=True)

    for mode in MODES:
        faster = min(kinds, key=lambda kind: statistics.median(times[mode, kind]))
        what = "base model" if mode == "no-nll" else "causal LM + cross-entropy"
        yield row(f"speed {mode}", name, "F32", tokens.size, options, "s", times["ours", mode],
                  f"PyTorch {peer.torch.__version__} {what} {faster}", times[mode, faster], 1.15)
        yield row(f"sgemm share {mode}", name, "F32", tokens.size, options, "s",
                  times["ours", mode], f"products alone, {options.blas.name}",
                  times["sgemm", mode], 0.75)


def bench_experts(options, work):
    name, folder = "olmoe-small", options.cache / "olmoe-small"
    peer = PyTorchExperts(folder, options.threads)
    tokens = write_tokens(work / "tokens.npy", 8, 512, peer.SIZES["vocab_size"])
    folders = link_series(folder, work / "series")
    times = {key: [] for key in ("ours", *peer.KINDS)}
    for kind in peer.KINDS:  # warm up
        peer.seconds(kind, tokens)
    for turn in range(options.rounds):
        times["ours"].append(seconds_per_checkpoint(options, folders, work, MODES["no-nll"]))
        for kind in peer.KINDS:
            times[kind].append(peer.seconds(kind, tokens))
        print(f"round {turn} experts: " + ", ".join(f"{key} {value[-1]:.2f} s"
                                                    for key, value in times.items()), flush=True)
    for kind in peer.KINDS:
        yield row("experts", name, "F32", tokens.size, options, "s", times["ours"],
                  f"PyTorch {peer.torch.__version__} base model {kind}", times[kind], 1.5)


def bench_memory(options, work):
    name, limit = "pythia-1.4b", 1.2e9
    checkpoint = make(name, options.cache / f"{name}-BF16", "BF16")
    tokens = write_tokens(work / "tokens.npy", 4, 512, SHAPES[name][4])
    run = run_trace(options, [checkpoint], work)
    print(f"{run.output}{name}: {run.seconds:.1f} s, {run.resident / 1e9:.3f} GB resident")
    yield row("memory", name, "BF16", tokens.size, options, "B", [run.resident], "limit", [limit],
              1)


def bench_spans(options, work):
    name = "pythia-160m"
    checkpoint = make(name, options.cache / f"{name}-F32", "F32")
    tokens = write_tokens(work / "tokens.npy", 8, 512, SHAPES[name][4])
    folders = link_series(checkpoint, work / "series")
    sides = {"with": ("--spans",), "without": ()}
    runs = {(mode, side): [] for mode in MODES for side in sides}
    for turn in range(options.rounds):
        for mode, flags in MODES.items():
            for side in list(sides)[::1 if turn % 2 else -1]:
                run = run_trace(options, folders, work, (*flags, *sides[side]))
                runs[mode, side].append(run)
                print(f"round {turn} {mode} {side} spans: {run.seconds:.2f} s, "
                      f"{run.processor:.2f} processor s", flush=True)

    for mode in MODES:
        for what, field in (("wall", "seconds"), ("processor", "processor")):
            ours, reference = ([getattr(run, field) / SERIES for run in runs[mode, side]]
                               for side in sides)
            yield row(f"spans {what} {mode}", name, "F32", tokens.size, options, "s", ours,
                      "without spans", reference, 0.97)


def machine_name(threads):
    text = Path("/proc/cpuinfo").read_text()
    found = re.search(r"^model name\s*:\s*(.*)$", text, re.MULTILINE)
    name = found.group(1) if found else platform.machine()
    return re.sub(r"[^a-z0-9]+", "-", f"{name} {threads} threads".lower()).strip("-")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trace", required=True, type=Path, help="the trace-ckpts program")
    parser.add_argument("--blas", type=Path, help="its CBLAS (from the build folder)")
    parser.add_argument("--threads", type=int, default=2, help="2")
    parser.add_argument("--rounds", type=int, default=5, help="5")
    parser.add_argument("--only", choices=("speed", "experts", "memory", "spans"))
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "trace-bench",
                        help="where the random checkpoints are kept (3.5 GB)")
    parser.add_argument("--out", type=Path, help="the CSV (results/MACHINE.csv)")
    options = parser.parse_args()
    options.blas = options.blas or find_blas(options.trace)
    options.cache.mkdir(parents=True, exist_ok=True)
    benches = {"speed": bench_speed, "experts": bench_experts, "memory": bench_memory,
               "spans": bench_spans}
    rows = []
    for bench, run in benches.items():
        if options.only in (None, bench):
            with tempfile.TemporaryDirectory(dir=options.cache) as work:
                rows += run(options, Path(work))
    out = options.out or HERE / "results" / f"{machine_name(options.threads)}.csv"
    out.parent.mkdir(exist_ok=True)
    with open(out, "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    for line in rows:
        print(f"{line['bench']}: ratio {line['ratio']}, target {line['target']}")
    print(f"written to {out}")


if __name__ == "__main__":
    main()

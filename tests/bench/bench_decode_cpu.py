# SPDX-License-Identifier: Apache-2.0
"""Times generation on the CPU beside transformers' with a static cache, in turns.

    bench_decode_cpu.py --program build/release/bin/bench_decode --out results [--threads 2]

Pythia-160m's shape in f32, prompts of 512 tokens, 64 new ones, a batch of 1. Each turn is one
measured round of either side behind one that nobody measures; CPU seconds stand beside the clock's,
because other programs may want the cores. Decode is what tokens behind a text's first take. A line
a pair, and the median of the pairs' ratios, in OUT/MACHINE-decode.csv; `taskset -c 0,1` before the
command keeps both to two cores.
"""
import argparse
import csv
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

from bench_cpu import machine_name

COLUMNS = ("pair", "program", "prefill_tokens_per_s", "decode_tokens_per_s", "cpu_s", "ratio")


class Peer:
    def __init__(self, folder, options):
        from transformers import AutoModelForCausalLM
        torch.set_num_threads(options.threads)
        self.options = options
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        generator = torch.Generator().manual_seed(1)
        self.ids = torch.randint(self.model.config.vocab_size, (1, options.prompt), generator=generator)

    def seconds(self, count):
        start = time.perf_counter()
        with torch.no_grad():
            out = self.model.generate(self.ids, attention_mask=torch.ones_like(self.ids), do_sample=False,
                                      max_new_tokens=count, min_new_tokens=count, pad_token_id=0,
                                      eos_token_id=None, cache_implementation="static")
        assert out.shape[1] == self.ids.shape[1] + count
        return time.perf_counter() - start

    def measure(self):
        self.seconds(self.options.generated)
        before = time.process_time()
        first, whole = self.seconds(1), self.seconds(self.options.generated)
        used = time.process_time() - before
        return self.options.prompt / first, (self.options.generated - 1) / (whole - first), used


def measure_ours(folder, options):
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    words = [options.program, folder, "cpu", "f32", options.prompt, options.generated, 1, 1]
    done = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, text=True, check=True,
                          env=os.environ | {"OMP_NUM_THREADS": str(options.threads)})
    row, = csv.DictReader(done.stdout.splitlines())
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    return float(row["prefill"]), float(row["decode"]), used


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, required=True, help="bench_decode")
    parser.add_argument("--out", type=Path, required=True, help="folder of the CSV")
    parser.add_argument("--shape", default="pythia-160m")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--generated", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--work", type=Path, default=Path("/tmp/trace-bench"))
    options = parser.parse_args()
    folder = options.work / f"{options.shape}-f32"
    if not (folder / "config.json").exists():
        subprocess.run([sys.executable, Path(__file__).parent / "make_checkpoint.py", options.shape, folder],
                       check=True)
    options.out.mkdir(parents=True, exist_ok=True)
    peer, ratios = Peer(folder, options), []
    with open(options.out / f"{machine_name(options.threads)}-decode.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for pair in range(options.pairs):
            ours, theirs = measure_ours(folder, options), peer.measure()
            ratios.append(ours[1] / theirs[1])
            for name, values in (("trace", ours), ("transformers", theirs)):
                row = (pair, name, *(f"{value:.2f}" for value in values), f"{ratios[-1]:.3f}")
                writer.writerow(row)
                print(*row, sep=",", flush=True)
            file.flush()
        writer.writerow(("median", "", "", "", "", f"{statistics.median(ratios):.3f}"))
        print(f"median ratio {statistics.median(ratios):.3f}, {min(ratios):.3f} to {max(ratios):.3f}")


if __name__ == "__main__":
    main()

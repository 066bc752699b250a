# SPDX-License-Identifier: Apache-2.0
"""Times trace-ckpts on several GPUs of one host, a rank each, against one of them, in one run.

    bench_ranks.py --trace build/cuda/bin/trace-ckpts --same build/cuda/bin/same_store --ranks 2
                   --shape 7b --job costs --out results

    series   --count folders of links to one checkpoint
    rows     one checkpoint, whose rows the ranks split
    costs    one checkpoint with all costs of single sublayers

A run adds two rows to OUT/MACHINE-ranks.csv, one rank and --ranks. `seconds` is from the first slab
that computes to the last commit, `first_slab` what passes between the start of tracing and that
slab, `process` the wall time of the command; `forecast` is what --dry-run says of that many ranks
for times_one. Weights come from the page cache (or shared memory, the same), of which `read` GB are
what the ranks take in all and `stored` what the checkpoints have: links cost the memory bus what files of
their own would, as a checkpoint is larger than a processor's caches. With --evict the page cache forgets the
files before each run; `fetched` is then what came from the disk for all ranks together. Stores must
be equal. --tiny --device cpu tries it anywhere.
"""
import argparse
import csv
import os
import re
import resource
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import gpu_models
from bench_gpu import default_work, machine_name

COLUMNS = ("shape", "job", "ranks", "checkpoints", "rows", "seconds", "first_slab", "process", "times_one",
           "times_one_process", "forecast", "read", "stored", "fetched", "detail")
UNITS = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}


@dataclass
class Timed:
    """What one command says of itself, and how long it took."""

    ranks: int
    store: Path
    said: str
    process: float
    fetched: float

    def found(self, pattern):
        found = re.search(pattern, self.said)
        if not found:
            raise SystemExit(f"trace-ckpts does not say {pattern}:\n{self.said}")
        return found

    @property
    def seconds(self):
        return float(self.found(r"computed for ([\d.]+) s, from the first slab")[1])

    @property
    def first_slab(self):
        return float(self.found(r"the first slab, ([\d.]+) s after the start")[1])

    @property
    def read(self):
        _, number, unit = self.found(r"(([\d.]+) (\w+)) read").groups()
        return float(number) * UNITS[unit] / 1e9

    @property
    def waiting(self):
        return int(self.found(r"(\d+) % waiting for weights")[1])


def words_of(options, folders, *more):
    words = [options.trace, "--tokens", options.work / "tokens.npy", "--progress", "0", *more]
    if options.job == "costs":
        words += ["--cost", "attn,mlp", "--cost-samples", options.rows]
    if options.device == "cuda":
        words += ["--device", "cuda", "--dtype", "bf16"]
    return [str(word) for word in [*words, "--ckpts", *folders]]


def call(command):
    done = subprocess.run(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:8])} ... ended with {done.returncode}:\n{done.stderr}")
    return done.stdout + done.stderr


def evict(folders):
    for file in {file.resolve() for folder in folders for file in folder.iterdir()}:
        with open(file, "rb") as opened:
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def fetched():
    """GB that commands, and what they started, have taken from disks so far."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_inblock * 512 / 1e9


def timed(options, ranks, folders):
    if options.evict:
        evict(folders)
    before = fetched()
    launcher = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    store = options.work / f"ranks-{ranks}.h5"
    began = time.perf_counter()
    said = call([*launcher, *words_of(options, folders, "-v", "--fresh", "-o", store)])
    run = Timed(ranks, store, said, time.perf_counter() - began, fetched() - before)
    print(said, f"process: {run.process:.2f} s", flush=True)
    return run


def forecast(options, folders):
    """How many times as fast as one the simulator makes so many ranks of one node: their share of
    the time in which they compute."""
    said = call(words_of(options, folders, "--dry-run", "--ranks", options.ranks, "--nodes", 1, "-o",
                         options.work / "forecast.h5"))
    print(said, flush=True)
    return options.ranks * (1 - float(re.search(r"ranks are idle -?([\d.]+) %", said)[1]) / 100)


def record(options, rows):
    path = options.out / f"{machine_name(options.device)}-ranks.csv"
    new = not path.exists()
    with open(path, "a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([COLUMNS] * new + rows)


def row(options, run, one, folders, told, detail):
    stored = sum(file.stat().st_size for folder in folders for file in folder.iterdir()) / 1e9
    return (options.shape, options.job, run.ranks, len(folders), options.rows, f"{run.seconds:.3f}",
            f"{run.first_slab:.3f}", f"{run.process:.2f}", f"{one.seconds / run.seconds:.3f}",
            f"{one.process / run.process:.3f}", f"{told:.3f}", f"{run.read:.3g}", f"{stored:.3g}",
            f"{run.fetched:.3g}",
            f"{run.waiting} % waiting{detail}")


def make_once(options):
    """One shape's checkpoint at a time: shared memory is small."""
    if (options.work / options.shape / "config.json").exists():  # which is written last
        return
    for other in gpu_models.SHAPES:
        shutil.rmtree(options.work / other, ignore_errors=True)
    gpu_models.make(options.model, options.work / options.shape, options.device)


def measure(options):
    count = options.count if options.job == "series" else 1
    folders = gpu_models.link_series(options.work / options.shape,
                                     options.work / "ranks" / options.shape, count)
    gpu_models.write_tokens(options.work / "tokens.npy", options.rows, options.seq_len,
                            options.model.vocabulary)
    told = forecast(options, folders)
    one, more = timed(options, 1, folders), timed(options, options.ranks, folders)
    same = subprocess.run([options.same, one.store, more.store]).returncode == 0
    record(options, [row(options, one, one, folders, 1, ""),
                     row(options, more, one, folders, told,
                         ", same bytes" if same else ", OTHER BYTES")])
    return same


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trace", required=True)
    parser.add_argument("--same", required=True)
    parser.add_argument("--shape", default="7b")
    parser.add_argument("--job", choices=("series", "rows", "costs"), required=True)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--count", type=int, default=16)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--seq-len", type=int, default=2048)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, default=Path("."))
    parser.add_argument("--work", type=Path, default=default_work())
    parser.add_argument("--evict", action="store_true")
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    os.environ.setdefault("OMPI_MCA_rmaps_base_oversubscribe", "1")
    shape = gpu_models.SHAPES[options.shape]
    options.model = shape.tiny() if options.tiny else shape
    options.out.mkdir(parents=True, exist_ok=True)
    options.work.mkdir(parents=True, exist_ok=True)
    make_once(options)
    return not measure(options)


if __name__ == "__main__":
    raise SystemExit(main())

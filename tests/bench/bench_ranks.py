# SPDX-License-Identifier: Apache-2.0
"""Times trace-ckpts on several GPUs of one host, a rank each, against one of them, in one run.

    bench_ranks.py --trace build/cuda/bin/trace-ckpts --same build/cuda/bin/same_store --ranks 2
                   --shape 7b --job costs --out results

    series   --count folders of links to one checkpoint
    rows     one checkpoint, whose rows the ranks split
    costs    one checkpoint with all costs of single sublayers

`seconds` is from the first checkpoint's start to the last one's end as trace-ckpts says it,
`process` the wall time of the command. Stores must be equal. Each run adds rows to
OUT/MACHINE-ranks.csv. --tiny --device cpu tries it anywhere.
"""
import argparse
import csv
import os
import re
import subprocess
import time
from pathlib import Path

import gpu_models
from bench_gpu import default_work, machine_name

COLUMNS = ("shape", "job", "ranks", "checkpoints", "rows", "seconds", "process", "times_one",
           "times_one_process", "detail")


def command(options, ranks, folders, rows, out):
    tokens = options.work / "tokens.npy"
    gpu_models.write_tokens(tokens, rows, options.seq_len, options.model.vocabulary)
    launcher = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    words = [*launcher, options.trace, "--tokens", tokens, "-v", "--progress", "0", "--fresh", "-o", out]
    if options.job == "costs":
        words += ["--cost", "attn,mlp", "--cost-samples", rows]
    if options.device == "cuda":
        words += ["--device", "cuda", "--dtype", "bf16"]
    return [str(word) for word in [*words, "--ckpts", *folders]]


def timed(options, ranks, folders, rows, out):
    """(seconds it says, seconds of the process)"""
    began = time.perf_counter()
    done = subprocess.run(command(options, ranks, folders, rows, out), stderr=subprocess.PIPE, text=True)
    wall = time.perf_counter() - began
    print(done.stderr, flush=True)
    if done.returncode:
        raise SystemExit(f"trace-ckpts ended with {done.returncode}")
    return float(re.search(r"traced \d+ checkpoints? in ([\d.]+) s", done.stderr)[1]), wall


def record(options, rows):
    path = options.out / f"{machine_name(options.device)}-ranks.csv"
    new = not path.exists()
    with open(path, "a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([COLUMNS] * new + rows)


def measure(options):
    checkpoint = options.work / options.shape
    count = options.count if options.job == "series" else 1
    folders = gpu_models.link_series(checkpoint, options.work / "ranks" / options.shape, count)
    rows = options.rows
    found = []
    for ranks in (1, options.ranks):
        out = options.work / f"ranks-{ranks}.h5"
        said, wall = timed(options, ranks, folders, rows, out)
        found.append((ranks, said, wall, out))
    same = subprocess.run([options.same, found[0][3], found[1][3]]).returncode == 0
    (_, one, one_wall, _) = found[0]
    record(options, [(options.shape, options.job, ranks, len(folders), rows, f"{said:.2f}",
                      f"{wall:.2f}", f"{one / said:.3f}", f"{one_wall / wall:.3f}",
                      "" if ranks == 1 else "same bytes" if same else "OTHER BYTES")
                     for ranks, said, wall, _ in found])
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
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    os.environ.setdefault("OMPI_MCA_rmaps_base_oversubscribe", "1")
    shape = gpu_models.SHAPES[options.shape]
    options.model = shape.tiny() if options.tiny else shape
    options.out.mkdir(parents=True, exist_ok=True)
    options.work.mkdir(parents=True, exist_ok=True)
    gpu_models.make(options.model, options.work / options.shape, options.device)
    return not measure(options)


if __name__ == "__main__":
    raise SystemExit(main())

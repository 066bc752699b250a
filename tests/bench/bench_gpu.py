# SPDX-License-Identifier: Apache-2.0
"""Times trace-ckpts on a GPU beside PyTorch and beside what the GPU can do, in one run.

    bench_gpu.py --trace build/cuda/bin/trace-ckpts --shape 7b --out results [--stages make,...]
    bench_gpu.py --merge results/*.raw.csv --out tests/bench/results

Each stage adds its measurements to OUT/MACHINE.raw.csv as soon as it has them, and OUT/MACHINE.csv
is made anew from all of them, so that a run may be cut off anywhere and stages may run one by one.
See README.md here for the columns. --tiny --device cpu tries everything on any machine.
"""
import argparse
import contextlib
import csv
import gc
import re
import shutil
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import torch

import gpu_ceilings
import gpu_models

RAW = ("shape", "program", "head", "value", "unit", "tokens", "detail")
COLUMNS = ("shape", "program", "head", "tokens", "tokens_per_s", "us_per_token", "tflops",
           "ratio_careful", "ratio_plain", "over_floor", "detail")
SEQUENCE = "make,ceilings,floor,plain,careful,trace,trace-nll,floor"
LLM_DROP_ROWS = 4
SHARED_LEAST = 15e9  # bytes of shared memory that hold the largest checkpoint


@dataclass
class Bench:
    """What the stages share."""

    options: argparse.Namespace
    shape: gpu_models.Shape
    raw: Path
    checkpoint: Path
    peer: object = None

    @property
    def device(self):
        return self.options.device

    def say(self, *words):
        print(f"[{time.strftime('%H:%M:%S')}] {self.options.shape}:", *words, flush=True)

    def record(self, program, value, unit="tokens/s", head=False, tokens=0, detail=""):
        new = not self.raw.exists()
        with open(self.raw, "a", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if new:
                writer.writerow(RAW)
            writer.writerow((self.options.shape, program, int(head), f"{value:.6g}", unit, tokens,
                             detail))
        self.say(f"{program}{' with the head' if head else ''}: {value:,.6g} {unit} {detail}")

    def release(self):
        """Gives the device memory of earlier stages back."""
        self.peer = None
        gc.collect()
        if self.device == "cuda":
            torch.cuda.empty_cache()


# ---- stages ------------------------------------------------------------------------------------


def stage_make(bench):
    """One shape's checkpoint at a time: shared memory is small."""
    for other in gpu_models.SHAPES:
        shutil.rmtree(bench.options.work / other, ignore_errors=True)
    repeated = bench.options.shape in ("70b", "qwen3-30b")
    write = gpu_models.make_repeated if repeated else gpu_models.make
    seconds = gpu_ceilings.Clock(bench.device).seconds(
        lambda: write(bench.shape, bench.checkpoint, bench.device))
    size = sum(path.stat().st_size for path in bench.checkpoint.iterdir())
    bench.say(f"{size / 1e9:.2f} GB written in {seconds:.1f} s")


def stage_ceilings(bench):
    bench.release()
    scale = 1 << 10 if bench.options.tiny else 1
    copied = gpu_ceilings.copy_rate(bench.device, (1 << 31) // scale)
    bench.record("copy", copied / 1e12, "TB/s", detail="bytes read and written")
    uploaded = gpu_ceilings.upload_rate(bench.device, (1 << 28) // scale)
    bench.record("upload", uploaded / 1e9, "GB/s", detail="from page-locked memory")
    for m, k, share in dict.fromkeys(bench.shape.products()):
        rows = round(bench.options.micro_batch * share)
        rate = gpu_ceilings.product_rate(bench.device, rows, m, k)
        bench.record("product burst", rate / 1e12, "TFLOP/s", detail=f"{rows} x {m} x {k}")


def stage_floor(bench):
    bench.release()
    floor = gpu_ceilings.Floor(bench.shape, bench.options.micro_batch, bench.device)
    blocks, head = floor.measure(bench.options.floor_seconds)
    detail = f"torch.mm, {floor.rows} rows, {floor.kept} layers' weights"
    bench.record("floor", 1 / blocks, detail=detail)
    bench.record("floor", 1 / (blocks + head), head=True, detail=detail)


def open_peer(bench, attention="sdpa"):
    from gpu_peers import Peer
    tokens = gpu_models.write_tokens(bench.options.work / "tokens.npy", bench.options.rows,
                                     bench.options.seq_len, bench.shape.vocabulary)
    return Peer(bench.checkpoint, tokens, bench.device, attention)


def chosen_peer(bench):
    if bench.peer is None:
        bench.peer = open_peer(bench).choose(bench.say)
    return bench.peer


def stage_plain(bench):
    peer = chosen_peer(bench)
    bench.record("plain forward", peer.rate(bench.options.rows), tokens=peer.ids.numel(),
                 detail=peer.describe())


def stage_careful(bench):
    from gpu_peers import careful_rate
    peer = chosen_peer(bench)
    best = {}
    for batch in {max(1, peer.batch // 2), peer.batch}:  # hooks need memory of their own
        peer.batch = batch
        with contextlib.suppress(torch.OutOfMemoryError):
            best[batch] = careful_rate(peer, 2 * batch)
    peer.batch = max(best, key=best.get)
    bench.record("careful PyTorch", careful_rate(peer, bench.options.rows),
                 tokens=peer.ids.numel(), detail=peer.describe())


def stage_llm_drop(bench):
    from gpu_peers import llm_drop_rate
    bench.release()
    peer = open_peer(bench, "eager")
    rows = min(LLM_DROP_ROWS, bench.options.rows)
    for kind in ("attn", "mlp", "block"):
        bench.record(f"LLM-Drop {kind}", llm_drop_rate(peer, kind, rows),
                     tokens=rows * bench.options.seq_len, detail="eager, one sequence at a time")
    del peer


@contextlib.contextmanager
def memory_watch(device):
    """[most bytes of device memory that others took meanwhile], known when the block ends."""
    most, done = [0], threading.Event()

    def used():
        free, total = torch.cuda.mem_get_info()
        return total - free

    def watch(before):
        while not done.wait(0.05):
            most[0] = max(most[0], used() - before)

    if device != "cuda":
        yield most
        return
    watcher = threading.Thread(target=watch, args=(used(),))
    watcher.start()
    try:
        yield most
    finally:
        done.set()
        watcher.join()


def run_trace(bench, count, rows, flags):
    """(seconds, seconds waited) of each of `count` checkpoints; seconds of the process; bytes of
    device memory it took."""
    bench.release()
    options = bench.options
    tokens = options.work / "tokens.npy"
    gpu_models.write_tokens(tokens, rows, options.seq_len, bench.shape.vocabulary)
    folders = gpu_models.link_series(bench.checkpoint, options.work / "series" / options.shape,
                                     count)
    device = ["--device", "cuda", "--dtype", "bf16"] if bench.device == "cuda" else []
    command = [options.trace, *device, *flags, "--tokens", tokens, "-v", "--progress", "0",
               "--fresh", "-o", options.work / "trace.h5", "--ckpts", *folders]
    start = time.monotonic()
    with memory_watch(bench.device) as memory:
        done = subprocess.run([str(word) for word in command], stderr=subprocess.PIPE, text=True)
    wall = time.monotonic() - start
    bench.say("trace-ckpts says\n" + done.stderr)
    found = re.findall(r"^step\d+ traced in ([\d.]+) s, ([\d.]+) s of them", done.stderr, re.M)
    if done.returncode != 0 or len(found) != count:
        raise SystemExit(f"trace-ckpts ended with {done.returncode}, {len(found)} traced")
    return [(float(seconds), float(waited)) for seconds, waited in found], wall, memory[0]


def record_trace(bench, program, rows, head, flags=()):
    """The second of two checkpoints: no start of the process, the first slab already there."""
    flags = [*flags, *([] if head else ["--no-nll"])]
    times, wall, memory = run_trace(bench, 2, rows, flags)
    tokens, (seconds, waited) = rows * bench.options.seq_len, times[1]
    bench.record(program, tokens / seconds, head=head, tokens=tokens,
                 detail=f"second of two: {seconds:.3f} s, {waited:.3f} s of them waiting; first "
                        f"{times[0][0]:.3f} s; process {wall:.3f} s, {memory / 1e9:.2f} GB of the device")


def stage_trace(bench):
    record_trace(bench, "trace-ckpts", bench.options.rows, False)


def stage_trace_nll(bench):
    record_trace(bench, "trace-ckpts", bench.options.rows, True)


def stage_eight(bench):
    times, wall, _ = run_trace(bench, 8, bench.options.rows, ["--no-nll"])
    computing = sum(seconds - waited for seconds, waited in times)
    bench.record("eight in a row", wall / computing, "times their computing",
                 tokens=8 * bench.options.rows * bench.options.seq_len,
                 detail=f"wall {wall:.3f} s, computing {computing:.3f} s, waiting "
                        f"{sum(waited for _, waited in times):.3f} s")


def stage_limited(bench):
    """A quarter of the rows in little device memory."""
    rows = max(1, bench.options.rows // 4)
    limit = ["--device-memory", "14.9GiB"] if bench.device == "cuda" else []
    record_trace(bench, "trace-ckpts in 16 GB", rows, False, limit)


STAGES = {
    "make": stage_make,
    "ceilings": stage_ceilings,
    "floor": stage_floor,
    "plain": stage_plain,
    "careful": stage_careful,
    "llm-drop": stage_llm_drop,
    "trace": stage_trace,
    "trace-nll": stage_trace_nll,
    "eight": stage_eight,
    "limited": stage_limited,
}


# ---- the table ---------------------------------------------------------------------------------


def read_raw(paths):
    rows = []
    for path in paths:
        with open(path, newline="") as file:
            rows += csv.DictReader(file)
    return rows


def averages(rows):
    """{(shape, program, head): mean tokens/s}: floors are measured before and after."""
    found = {}
    for row in rows:
        if row["unit"] == "tokens/s":
            key = row["shape"], row["program"], row["head"]
            found.setdefault(key, []).append(float(row["value"]))
    return {key: sum(values) / len(values) for key, values in found.items()}


def ratio(rate, other):
    return f"{rate / other:.3f}" if other else ""


def rate_row(rates, last, shape, seq_len):
    """A line of the table for a measurement in tokens a second."""
    name, program, head = last["shape"], last["program"], last["head"]
    rate = rates[name, program, head]
    flops = shape.product_flops(head == "1")
    flops += 0 if program == "floor" else shape.attention_flops(seq_len)
    floor = rates.get((name, "floor", head), 0)
    return dict(zip(COLUMNS, (
        name, program, head, last["tokens"], f"{rate:.0f}", f"{1e6 / rate:.3f}",
        f"{rate * flops / 1e12:.1f}", ratio(rate, rates.get((name, "careful PyTorch", "0"))),
        ratio(rate, rates.get((name, "plain forward", "0"))), ratio(floor, rate) if floor else "",
        last["detail"])))


def table(rows, seq_len, tiny):
    rates = averages(rows)
    last = {(row["shape"], row["program"], row["head"]): row for row in rows}
    for key in rates:
        shape = gpu_models.SHAPES[key[0]]
        yield rate_row(rates, last[key], shape.tiny() if tiny else shape, seq_len)
    for row in rows:
        if row["unit"] != "tokens/s":
            yield dict.fromkeys(COLUMNS, "") | {
                "shape": row["shape"], "program": row["program"], "tokens": row["tokens"],
                "detail": f"{row['value']} {row['unit']}; {row['detail']}"}


def write_table(paths, out, seq_len, tiny):
    with open(out, "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in table(read_raw(paths), seq_len, tiny):
            writer.writerow(row)


def machine_name(device):
    name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


# ---- the program -------------------------------------------------------------------------------


def default_work():
    shared = Path("/dev/shm")
    large = shared.is_dir() and shutil.disk_usage(shared).total >= SHARED_LEAST
    return (shared if large else Path(tempfile.gettempdir())) / "trace-bench"


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trace", type=Path, help="the trace-ckpts program")
    parser.add_argument("--shape", choices=sorted(gpu_models.SHAPES))
    parser.add_argument("--stages", default=SEQUENCE,
                        help=f"of {', '.join(STAGES)}; by default {SEQUENCE}")
    parser.add_argument("--out", type=Path, required=True, help="folder of the CSVs")
    parser.add_argument("--merge", type=Path, nargs="+", help="only make the table of raw CSVs")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--rows", type=int, help="sequences (256; with --quick 64)")
    parser.add_argument("--seq-len", type=int, default=2048)
    parser.add_argument("--micro-batch", type=int, default=16384, help="the floor's rows (16384)")
    parser.add_argument("--floor-seconds", type=float, help="at least (10; with --quick 5)")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--tiny", action="store_true", help="shapes and sizes that try the script")
    parser.add_argument("--work", type=Path, help="where the checkpoint lies (a folder in "
                        "/dev/shm or, where that is small, among temporary files)")
    options = parser.parse_args()
    if options.tiny:
        options.seq_len, options.micro_batch = 64, 512
    options.rows = options.rows or (8 if options.tiny else 64 if options.quick else 256)
    options.floor_seconds = options.floor_seconds or (
        0.2 if options.tiny else 5 if options.quick else 10)
    options.work = options.work or default_work()
    unknown = set(options.stages.split(",")) - set(STAGES)
    if unknown or not options.merge and not (options.trace and options.shape):
        parser.error(f"no stages {sorted(unknown)}" if unknown else
                     "--trace and --shape are needed, or --merge")
    return options


def main():
    options = parse()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.merge:
        machine = options.merge[0].name.split(".")[0]
        write_table(options.merge, options.out / f"{machine}.csv", options.seq_len, options.tiny)
        return
    options.work.mkdir(parents=True, exist_ok=True)
    shape, machine = gpu_models.SHAPES[options.shape], machine_name(options.device)
    bench = Bench(options, shape.tiny() if options.tiny else shape,
                  options.out / f"{machine}.raw.csv", options.work / options.shape)
    bench.say(f"{machine}, torch {torch.__version__}, {options.rows} x {options.seq_len} tokens")
    for stage in options.stages.split(","):
        bench.say(f"stage {stage}")
        STAGES[stage](bench)
        if bench.raw.exists():
            write_table([bench.raw], options.out / f"{machine}.csv", options.seq_len, options.tiny)


if __name__ == "__main__":
    main()

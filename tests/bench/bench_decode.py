# SPDX-License-Identifier: Apache-2.0
"""Times generation on a GPU beside transformers' with a static cache, compiled, in one run.

    bench_decode.py --program build/cuda/bin/bench_decode --shape 7b --out results [--stages make,...]

A random bf16 checkpoint of the shape (see gpu_models.py), prompts of 512 tokens, 128 new ones,
batches of 1 and 16. Each measurement is a line of OUT/MACHINE-decode.csv as soon as it is there:
tokens a second of prefill and of decode, and of decode the share of the rate at which weights can
be read (`of_bandwidth`: weight bytes a second over what a copy on the device moves, reads and
writes counted). --tiny --device cpu tries everything on any machine.
"""
import argparse
import csv
import gc
import subprocess
import time
from pathlib import Path

import torch

import gpu_ceilings
import gpu_models
from bench_gpu import default_work, machine_name

COLUMNS = ("shape", "program", "batch", "prompt", "generated", "prefill_tokens_per_s",
           "decode_tokens_per_s", "decode_low", "decode_high", "of_bandwidth", "ratio_peer",
           "detail")


class Bench:
    """What the stages share."""

    def __init__(self, options):
        self.options = options
        shape = gpu_models.SHAPES[options.shape]
        self.shape = shape.tiny() if options.tiny else shape
        self.folder = options.work / options.shape
        self.path = options.out / f"{machine_name(options.device)}-decode.csv"
        self.copied, self.weight_bytes, self.peers = 0.0, 0.0, {}

    def say(self, *words):
        print(f"[{time.strftime('%H:%M:%S')}] {self.options.shape}:", *words, flush=True)

    def of_bandwidth(self, decode, batch):
        share = decode / batch * self.weight_bytes / self.copied if self.copied else 0
        return f"{share:.3f}" if share else ""

    def record(self, program, batch, prefill, decode, low, high, detail=""):
        new = not self.path.exists()
        peer = self.peers.get(batch)
        row = (self.options.shape, program, batch, self.options.prompt, self.options.generated,
               f"{prefill:.1f}", f"{decode:.1f}", f"{low:.1f}", f"{high:.1f}",
               self.of_bandwidth(decode, batch), f"{decode / peer:.3f}" if peer else "", detail)
        with open(self.path, "a", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if new:
                writer.writerow(COLUMNS)
            writer.writerow(row)
        self.say(*(f"{name} {value}," for name, value in zip(COLUMNS[1:], row[1:]) if value != ""))


def stage_make(bench):
    seconds = gpu_ceilings.Clock(bench.options.device).seconds(
        lambda: gpu_models.make(bench.shape, bench.folder, bench.options.device))
    bench.say(f"written in {seconds:.1f} s")


def stage_copy(bench):
    scale = 1 << 12 if bench.options.tiny else 1
    bench.copied = gpu_ceilings.copy_rate(bench.options.device, (1 << 31) // scale)
    bench.say(f"a copy moves {bench.copied / 1e12:.3f} TB/s, reads and writes counted")
    release(bench)


def release(bench):
    gc.collect()
    if bench.options.device == "cuda":
        torch.cuda.empty_cache()


def stage_ours(bench):
    options = bench.options
    words = [options.program, bench.folder, options.device,
             "bf16" if options.device == "cuda" else "f32", options.prompt, options.generated,
             options.rounds, *options.batches]
    done = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, text=True,
                          check=True)
    for row in csv.DictReader(done.stdout.splitlines()):
        embedding = 2 * bench.shape.vocabulary * bench.shape.hidden  # of which a row is read
        bench.weight_bytes = float(row["weight_bytes"]) - embedding
        bench.record("trace" if row["graph"] == "1" else "trace op by op", int(row["batch"]), float(row["prefill"]), float(row["decode"]),
                     float(row["decode_low"]), float(row["decode_high"]))


class Peer:
    """transformers' generate with a static cache, which it compiles by itself on a GPU."""

    def __init__(self, bench):
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        self.options, self.clock = bench.options, gpu_ceilings.Clock(bench.options.device)
        self.model = AutoModelForCausalLM.from_pretrained(
            bench.folder, dtype=torch.bfloat16).to(bench.options.device).eval()
        self.vocabulary = bench.shape.vocabulary

    def seconds(self, ids, count):
        def run():
            with torch.no_grad():
                out = self.model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False,
                                          max_new_tokens=count, min_new_tokens=count,
                                          pad_token_id=0, eos_token_id=None,
                                          cache_implementation="static")
            assert out.shape[1] == ids.shape[1] + count

        return self.clock.seconds(run)

    def measure(self, batch):
        """Rates of prefill and, as (median, low, high), of decode: what the further tokens of a
        text take beyond its first. Whole rate beside it."""
        options = self.options
        ids = torch.randint(self.vocabulary, (batch, options.prompt), device=options.device)
        self.seconds(ids, options.generated), self.seconds(ids, options.generated)
        self.seconds(ids, 1)
        first = sorted(self.seconds(ids, 1) for _ in range(3))[1]
        all_of_them = sorted(self.seconds(ids, options.generated) for _ in range(options.rounds))
        tokens = batch * (options.generated - 1)
        rates = [tokens / (seconds - first) for seconds in reversed(all_of_them)]
        whole = batch * options.generated / all_of_them[len(all_of_them) // 2]
        return batch * options.prompt / first, rates, whole


def stage_peer(bench):
    import transformers
    torch.set_float32_matmul_precision("highest")
    peer = Peer(bench)
    for batch in bench.options.batches:
        start = time.monotonic()
        prefill, rates, whole = peer.measure(batch)
        middle = rates[len(rates) // 2]
        bench.peers[batch] = middle
        bench.record("transformers", batch, prefill, middle, rates[0], rates[-1],
                     f"static cache, compiled; torch {torch.__version__}, transformers "
                     f"{transformers.__version__}; {whole:.1f} tokens/s with prefill; "
                     f"{time.monotonic() - start:.0f} s with warming up")
    del peer
    release(bench)


STAGES = {"make": stage_make, "copy": stage_copy, "peer": stage_peer, "ours": stage_ours}


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, required=True, help="bench_decode")
    parser.add_argument("--shape", choices=sorted(gpu_models.SHAPES), required=True)
    parser.add_argument("--stages", default="make,copy,peer,ours", help="make,copy,peer,ours")
    parser.add_argument("--out", type=Path, required=True, help="folder of the CSV")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--generated", type=int, default=128)
    parser.add_argument("--batches", type=int, nargs="+", default=(1, 16))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tiny", action="store_true", help="shapes and sizes that try the script")
    parser.add_argument("--work", type=Path, default=default_work())
    options = parser.parse_args()
    if options.tiny:
        options.prompt, options.generated, options.rounds = 16, 8, 3
    return options


def main():
    options = parse()
    for folder in (options.out, options.work):
        folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(options)
    for stage in options.stages.split(","):
        bench.say(f"stage {stage}")
        STAGES[stage](bench)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Times a greedy search that ranks all sublayers by the Jensen-Shannon divergence: trace-drop search
beside a careful PyTorch loop, over the same rows, in the same order, in one run.

    bench_search.py --trace-drop build/cuda/bin/trace-drop --shape 8b --out results
    bench_search.py ... --stages make,loop,search,ranks --ranks 2 --same build/cuda/bin/same_store

The order is prescribed, attention before MLPs, each from the last layer to the first, which costs
most. The loop holds all on the device, runs all rows in one forward pass a candidate, computes no
dropped sublayer, and keeps the whole model's distribution. Seconds are of the rounds: reading the
weights is not in them. Stage ranks searches with a rank on each of several GPUs, whose file has to
be the one rank's. Each stage adds rows to OUT/MACHINE-search.csv.
--tiny --device cpu tries it anywhere; --every N lets the loop measure one round of N, and scales.
"""
import argparse
import csv
import json
import re
import shlex
import subprocess
from pathlib import Path

import torch
from torch.nn.functional import log_softmax
from transformers import AutoModelForCausalLM
from transformers.utils import logging

import gpu_models
from bench_gpu import default_work, machine_name, memory_watch
from gpu_ceilings import Clock

COLUMNS = ("shape", "dtype", "program", "rounds", "evaluations", "rows", "seq_len", "seconds",
           "ms_per_evaluation", "detail")
KINDS = ("attn", "mlp")


class Loop:
    """transformers' model, block by block, without what is dropped."""

    def __init__(self, folder, ids, device):
        dtype = torch.bfloat16 if device == "cuda" else torch.float32
        self.model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, attn_implementation="sdpa").to(device).eval()
        self.ids = torch.as_tensor(ids, dtype=torch.int64, device=device)
        self.positions = self.model.model.rotary_emb(
            self.model.model.embed_tokens(self.ids),
            torch.arange(self.ids.shape[1], device=device)[None])
        self.log_p = self.log_probabilities(frozenset())
        self.p = self.log_p.exp()

    def log_probabilities(self, dropped):
        hidden = self.model.model.embed_tokens(self.ids)
        for layer, block in enumerate(self.model.model.layers):
            if ("attn", layer) not in dropped:
                hidden = hidden + block.self_attn(
                    hidden_states=block.input_layernorm(hidden), attention_mask=None,
                    position_embeddings=self.positions)[0]
            if ("mlp", layer) not in dropped:
                hidden = hidden + block.mlp(block.post_attention_layernorm(hidden))
        return log_softmax(self.model.lm_head(self.model.model.norm(hidden)).float(), -1)

    def divergence(self, dropped):
        """Jensen-Shannon, nats, mean over positions."""
        log_q = self.log_probabilities(dropped)
        q = log_q.exp()
        log_m = ((self.p + q) / 2).log()
        terms = self.p * (self.log_p - log_m) + q * (log_q - log_m)
        return (terms.sum(-1) / 2).mean()


def order_of(layers):
    return [(kind, layer) for kind in KINDS for layer in reversed(range(layers))]


def rounds_of(order):
    """(dropped before, candidates) of each round."""
    return [(frozenset(order[:done]), order[done:]) for done in range(len(order))]


def time_loop(bench):
    order = order_of(bench.shape.layers)
    clock, seconds, evaluations, values = Clock(bench.options.device), 0.0, 0, {}
    with torch.no_grad():
        loop = Loop(bench.checkpoint, bench.ids, bench.options.device)
        loop.divergence(frozenset(order[:1]))
        for number, (dropped, left) in enumerate(rounds_of(order)):
            if number % bench.options.every:
                continue
            found = []
            seconds += clock.seconds(lambda: found.extend(
                [loop.divergence(dropped | {candidate}) for candidate in left]))
            evaluations += len(left)
            values[number] = float(found[0])
    all_evaluations = sum(len(left) for _, left in rounds_of(order))
    scaled = seconds * all_evaluations / evaluations
    bench.loop, bench.loop_seconds = values, scaled
    del loop
    if bench.options.device == "cuda":
        torch.cuda.empty_cache()
    bench.record("PyTorch loop that skips", len(order), all_evaluations, scaled,
                 "all rounds" if bench.options.every == 1 else
                 f"scaled from {evaluations} evaluations, one round of {bench.options.every}")


def run(command):
    done = subprocess.run([str(word) for word in command], stderr=subprocess.PIPE, text=True)
    print(done.stderr, flush=True)
    if done.returncode:
        raise SystemExit(f"trace-drop ended with {done.returncode}")
    return done.stderr


def compare_values(bench, said):
    """The largest relative difference of a round's value from the loop's; both round as they do."""
    ours = [float(value) for value in re.findall(r"left out \S+, js (\S+)", said)]
    if not bench.loop:
        return "no loop beside it"
    worst = max(abs(ours[number] - value) / value for number, value in bench.loop.items())
    return f"values within {100 * worst:.2g} % of the loop's"


def order_words(bench):
    order = order_of(bench.shape.layers)
    return " ".join(f"{kind}:" + ",".join(str(layer) for of, layer in order if of == kind)
                    for kind in KINDS)


def search(bench, ranks):
    """(its file, seconds of the rounds, evaluations, what else there is to say)"""
    options = bench.options
    out = options.work / f"search-{ranks}.h5"
    command = [*(["mpirun", "-n", ranks] if ranks > 1 else []), options.trace_drop, "search",
               bench.checkpoint, "--tokens", bench.tokens, "--by", "js", "--order",
               order_words(bench), "--fresh", "-v", "-o", out, *shlex.split(options.flags)]
    command += ["--device", options.device] + (["--dtype", "bf16"] if options.device == "cuda" else [])
    with memory_watch(options.device) as memory:
        said = run(command)
    total, reading = map(float, re.search(r"rounds by js in ([\d.]+) s, ([\d.]+) s of", said).groups())
    share, blocks, evaluations = re.search(
        r"products: ([\d.]+) of .*, ([\d.]+) in the blocks; (\d+) evaluations", said).groups()
    return out, total - reading, int(evaluations), (
        f"{reading:.1f} s reading; products {share} of the loop's, {blocks} in the blocks; "
        f"{memory[0] / 1e9:.1f} GB of the device; {compare_values(bench, said)}")


def time_search(bench):
    bench.one, bench.seconds, evaluations, detail = search(bench, 1)
    bench.record("trace-drop search", 2 * bench.shape.layers, evaluations, bench.seconds,
                 detail + bench.beside_loop(bench.seconds))


def time_ranks(bench):
    ranks = bench.options.ranks
    out, seconds, evaluations, detail = search(bench, ranks)
    same = subprocess.run([bench.options.same, bench.one, out]).returncode == 0
    bench.record(f"trace-drop search on {ranks} ranks", 2 * bench.shape.layers, evaluations, seconds,
                 f"{bench.seconds / seconds:.3f} times one rank's speed, "
                 f"{'the same file' if same else 'ANOTHER FILE'}; {detail}")
    if not same:
        raise SystemExit("the ranks' file is another one")


class Bench:
    def __init__(self, options):
        shape = gpu_models.SHAPES[options.shape]
        self.options, self.shape = options, shape.tiny() if options.tiny else shape
        self.loop, self.loop_seconds = {}, None  # of each round that it measured; of all of them
        self.one = self.seconds = None  # of one rank
        self.checkpoint = options.work / options.shape
        self.tokens = options.work / "search-tokens.npy"
        self.ids = gpu_models.write_tokens(self.tokens, options.rows, options.seq_len,
                                           self.shape.vocabulary)

    def beside_loop(self, seconds):
        return f"; {self.loop_seconds / seconds:.3f} times the loop's speed" if self.loop else ""

    def record(self, program, rounds, evaluations, seconds, detail):
        path = self.options.out / f"{machine_name(self.options.device)}-search.csv"
        new = not path.exists()
        dtype = "bf16" if self.options.device == "cuda" else "f32"
        with open(path, "a", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if new:
                writer.writerow(COLUMNS)
            writer.writerow((self.options.shape, dtype, program, rounds, evaluations,
                             self.options.rows, self.options.seq_len, f"{seconds:.3f}",
                             f"{1000 * seconds / evaluations:.2f}", detail))
        print(f"{self.options.shape} {program}: {seconds:.2f} s for {evaluations} evaluations, "
              f"{detail}", flush=True)


def make(bench):
    """Unless it is there: of the very shape."""
    path = bench.checkpoint / "config.json"
    if not path.exists() or json.loads(path.read_text()) != gpu_models.config(bench.shape):
        gpu_models.make(bench.shape, bench.checkpoint, bench.options.device)


STAGES = {"make": make, "loop": time_loop, "search": time_search, "ranks": time_ranks}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trace-drop", type=Path, required=True)
    parser.add_argument("--shape", choices=sorted(gpu_models.SHAPES), default="8b")
    parser.add_argument("--rows", type=int, default=10)
    parser.add_argument("--seq-len", type=int, default=256)
    parser.add_argument("--every", type=int, default=1, help="the loop's rounds: one of N (1)")
    parser.add_argument("--stages", default="make,loop,search")
    parser.add_argument("--ranks", type=int, default=2, help="of stage ranks (2)")
    parser.add_argument("--same", type=Path, help="the same_store program, for stage ranks")
    parser.add_argument("--flags", default="", help="more options of trace-drop search")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--work", type=Path, default=default_work())
    options = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if options.tiny:
        options.rows, options.seq_len = 3, 64
    options.out.mkdir(parents=True, exist_ok=True)
    options.work.mkdir(parents=True, exist_ok=True)
    bench = Bench(options)
    for stage in options.stages.split(","):
        STAGES[stage](bench)


if __name__ == "__main__":
    main()

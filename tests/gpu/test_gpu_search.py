# SPDX-License-Identifier: Apache-2.0
"""Greedy searches on a GPU beside the golden orders of both series.

test_gpu_search.py NAME=PATH...: trace-drop, store_json, series (tests/series), device=cpu to try the
script. In f32 orders and values are the golden ones, within 1e-5. In bf16 each round's value is
looked at along the golden order, and may be as far off as bf16 is: 2 %."""

import json
import os
import sys

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")]

import harness
from harness import check


def search(programs, out, folder, name, device, dtype, *options):
    """(order, values) of the rounds; the candidates are each layer's attention and MLP."""
    options += ("--device", device) + (("--dtype", dtype) if device == "cuda" else ())
    harness.run(programs["trace-drop"], "search", f"{folder}/{name}", "--tokens",
                folder + "/tokens.npy", "--fresh", "-o", out, *options,
                env=harness.environment(None if device == "cuda" else 1), timeout=3000).expect(0)
    row = harness.Store(programs["store_json"], out, "search_drop", "search_value").row(name)
    drops, count = row["search_drop"], len(row["search_value"]) // len(row["search_drop"])
    order = [f"{('attn', 'mlp')[index % 2]}.{index // 2}" for index in drops]
    return order, [row["search_value"][i * count + index] for i, index in enumerate(drops)]


def check_series(programs, out, series, by, device, dtype):
    folder = os.path.join(programs["series"], series)
    with open(folder + "/golden.json", encoding="utf-8") as file:
        checkpoints = json.load(file)["checkpoints"]
    name = list(checkpoints)[-1]
    truth = checkpoints[name]["greedy_" + by]
    wanted = [step["drop"] for step in truth]
    options = ("--by", by, "--count", len(truth))
    if dtype != "f32":
        options += ("--order", " ".join(drop.replace(".", ":") for drop in wanted))
    order, values = search(programs, out, folder, name, device, dtype, *options)
    check(order == wanted, order, "and not", wanted)
    worst = max(abs(value - step[by]) for value, step in zip(values, truth))
    within = 1e-5 if dtype == "f32" else 0.02 * max(step[by] for step in truth)
    check(worst <= within, "off by", worst)
    return f"off by {worst:.1e} at most"


def main():
    programs = harness.programs(sys.argv[1:])
    device = os.path.basename(programs.get("device", "cuda"))
    if device == "cuda" and not os.path.exists("/dev/nvidiactl"):
        print("skipped: this machine has no GPU")
        return 77
    with harness.scratch() as root:
        return harness.run_cases(
            [(f"{series} {by} {dtype}",
              lambda series=series, by=by, dtype=dtype:
              check_series(programs, root + "/out.h5", series, by, device, dtype))
             for series in ("demo", "neox") for by in ("nll", "kl", "js") for dtype in ("f32", "bf16")
             if device == "cuda" or dtype == "f32"],
            os.path.basename(programs.get("only", "")))


if __name__ == "__main__":
    sys.exit(main())

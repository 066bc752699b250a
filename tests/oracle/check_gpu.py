# SPDX-License-Identifier: Apache-2.0
"""trace-ckpts on a GPU against the truth, and in bf16 and f16 no worse than transformers.

    check_gpu.py trace-ckpts=PROGRAM store_json=PROGRAM [fixtures=FOLDER] [series=FOLDER]
                 [out=CSV] [device=cpu]

fixtures: what make_gpu_fixtures.py made, every family. series: tests/series, whose truth is
computed here in float64 and which transformers runs on the same device in bf16 and f16, by eager
attention and by sdpa, the better of which counts. In f32 each token is within the tolerance. In
bf16 and f16, by model and module, the root of the mean square of the error of importance over
layers and tokens (series: and checkpoints) is at most transformers'. Series: the six least
important attention layers of demo come in the truth's order from step 1024 on. device=cpu tries
the script: trace-ckpts then computes in f32 whatever is asked. Exits with 77 when there is no
GPU.
"""
import csv
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent.parent / "tools")]

import harness  # noqa: E402

MODULES = ("attn", "mlp", "block")
LOW = ("bf16", "f16")
FAMILY_TOLERANCE = 1e-4, 1e-8  # relative, absolute
SERIES_TOLERANCE = 2e-5, 1e-9
ORDER_FROM, ORDER_COUNT = 1024, 6
COLUMNS = ("model", "dtype", "module", "rms", "reference_rms", "ratio", "worst", "verdict")


@dataclass
class Tracer:
    """Runs the program and reads what it stored."""

    programs: dict
    device: str
    scratch: str

    def run(self, folders, tokens, dtype):
        """{name: importance [layer, module, sequence, position]}."""
        low = [] if self.device == "cpu" else ["--dtype", dtype]
        out = f"{self.scratch}/{folders[0].name}.h5"
        harness.run(self.programs["trace-ckpts"], "--device", self.device, *low, "--per-token",
                    "--no-nll", "--fresh", "-q", "-o", out, "--tokens", tokens, "--ckpts",
                    *folders, env=harness.environment(None)).expect(0)
        store = harness.Store(self.programs["store_json"], out, "importance_token")
        shape = store.layers, len(MODULES), store.sequences, store.seq_len
        found = {}
        for row in store.rows:
            harness.check(row["status"] == 1, row["name"], "failed:", row["error"])
            found[row["name"]] = np.array(row["importance_token"], dtype=np.float64).reshape(shape)
        return found


class Table:
    """What was found, printed as it comes and kept as a CSV."""

    def __init__(self, path):
        self.file = open(path, "w", newline="") if path else None
        self.writer = csv.writer(self.file, lineterminator="\n") if path else None
        self.failed = 0
        self.write(COLUMNS)

    def write(self, row):
        print("{:18} {:5} {:6} {:>10} {:>13} {:>7} {:>9}  {}".format(*row), flush=True)
        if self.writer:
            self.writer.writerow(row)
            self.file.flush()

    def add(self, model, dtype, module, rms, reference, worst, good):
        self.failed += not good
        ratio = f"{rms / reference:.3f}" if reference else ""
        self.write((model, dtype, module, f"{rms:.2e}", f"{reference:.2e}" if reference else "",
                    ratio, f"{worst:.2e}", "ok" if good else "FAILED"))

    def problem(self, model, dtype, text):
        self.failed += 1
        self.write((model, dtype, "", "", "", "", "", f"FAILED {text}"))


def rms(error):
    return float(np.sqrt(np.mean(np.square(error)))) if error.size else 0.0


def check_exact(table, model, found, truth, exempt, tolerance):
    """In f32, every token; `worst` is the largest relative error beyond the absolute tolerance."""
    relative, absolute = tolerance
    for index, module in enumerate(MODULES):
        keep = ~exempt[:, index]
        error = np.abs(found - truth)[:, index][keep]
        expected = truth[:, index][keep]
        worst = np.max(np.maximum(error - absolute, 0) / expected, initial=0.0)
        good = not np.isnan(error).any() and bool((error <= relative * expected + absolute).all())
        table.add(model, "f32", module, rms(error), None, worst, good)


def check_low(table, model, dtype, found, references, truth, exempt):
    """In bf16 or f16, the mean square, against the best of the references."""
    for index, module in enumerate(MODULES):
        keep = ~exempt[:, index]
        expected = truth[:, index][keep]
        error = found[:, index][keep] - expected
        best = min(rms(reference[:, index][keep] - expected) for reference in references)
        worst = np.max(np.abs(error) / expected, initial=0.0)
        good = not np.isnan(error).any() and rms(error) <= best
        table.add(model, dtype, module, rms(error), best, worst, good)


# ---- families ----------------------------------------------------------------------------------


def trace_fixture(tracer, folder):
    """{dtype: importance, or why there is none}."""
    found = {}
    for dtype in ("f32", *LOW):
        try:
            found[dtype] = tracer.run([folder], folder / "tokens.npy", dtype)[folder.name]
        except harness.Failure as failure:
            found[dtype] = failure
    return found


def check_fixture(table, folder, traced):
    truth = np.load(folder / "truth.npz")
    for dtype, found in traced.items():
        if isinstance(found, harness.Failure):
            table.problem(folder.name, dtype, found)
        elif dtype == "f32":
            check_exact(table, folder.name, found, truth["importance"], truth["exempt"],
                        FAMILY_TOLERANCE)
        else:
            check_low(table, folder.name, dtype, found, [truth[dtype].astype(np.float64)],
                      truth["importance"], truth["exempt_low"])


def check_fixtures(table, tracer, root):
    """The programs run side by side: most of their time is starting."""
    folders = sorted(root.iterdir())
    with ThreadPoolExecutor(max(1, (os.cpu_count() or 1) // 2)) as pool:
        for folder, traced in zip(folders, pool.map(lambda f: trace_fixture(tracer, f), folders)):
            check_fixture(table, folder, traced)


# ---- series ------------------------------------------------------------------------------------


def reference_run(family, folders, tokens, dtype, device, attention=None):
    """{name: importance} by transformers, the dtype by torch's name."""
    import torch
    from families import FAMILIES
    from reference import all_importances, run_model
    found = {}
    for folder in folders:
        model, taps, _ = run_model(FAMILIES[family], folder, tokens, getattr(torch, dtype), device,
                                   attention)
        found[folder.name] = all_importances(model, FAMILIES[family], taps)
    return found


def joined(by_name, names):
    """Checkpoints side by side along the sequences: [layer, module, checkpoint * sequence, ...]."""
    return np.concatenate([by_name[name] for name in names], axis=2)


def least_layers(importance):
    """The attention layers, least important first."""
    return np.argsort(importance[:, 0].mean(axis=(1, 2)), kind="stable")[:ORDER_COUNT].tolist()


def check_order(table, model, dtype, found, truth):
    for name in sorted(found, key=lambda name: int(name.split("_")[1])):
        if int(name.split("_")[1]) < ORDER_FROM:
            continue
        ours, expected = least_layers(found[name]), least_layers(truth[name])
        if ours != expected:
            table.problem(f"{model} {name}", dtype, f"least important {ours}, not {expected}")


def check_series(table, tracer, folder, family):
    folders = sorted(path for path in folder.iterdir() if path.is_dir())
    names = [path.name for path in folders]
    tokens = np.load(folder / "tokens.npy")
    truth = reference_run(family, folders, tokens, "float64", "cpu")
    expected = joined(truth, names)
    nothing = np.zeros(expected.shape, dtype=bool)
    torch_name = {"bf16": "bfloat16", "f16": "float16"}
    for dtype in ("f32", *LOW):
        found = tracer.run(folders, folder / "tokens.npy", dtype)
        if dtype == "f32":
            check_exact(table, folder.name, joined(found, names), expected, nothing,
                        SERIES_TOLERANCE)
        else:
            references = [joined(reference_run(family, folders, tokens, torch_name[dtype],
                                               tracer.device, attention), names)
                          for attention in ("eager", "sdpa")]
            check_low(table, folder.name, dtype, joined(found, names), references, expected,
                      nothing)
        if folder.name == "demo":
            check_order(table, folder.name, dtype, found, truth)


def main():
    programs = harness.programs(sys.argv[1:])
    device = os.path.basename(programs.get("device", "cuda"))
    if device == "cuda" and not os.path.exists("/dev/nvidiactl"):
        print("skipped: this machine has no GPU")
        return 77
    table = Table(programs.get("out"))
    with harness.scratch() as root:
        tracer = Tracer(programs, device, root)
        if "series" in programs:
            for name, family in (("demo", "llama"), ("neox", "gpt_neox")):
                check_series(table, tracer, Path(programs["series"]) / name, family)
        if "fixtures" in programs:
            check_fixtures(table, tracer, Path(programs["fixtures"]))
    print(f"{table.failed} failed" if table.failed else "all well")
    return 1 if table.failed else 0


if __name__ == "__main__":
    sys.exit(main())

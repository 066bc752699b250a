# SPDX-License-Identifier: Apache-2.0
"""Two runs on a GPU, and one or two ranks that share it: the same bytes in every dataset.

test_same_bytes.py NAME=PATH...: trace-ckpts, trace-drop, same_store, series (tests/series), mpirun if there is
one, device=cpu to try the script."""

import os
import sys

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")]

import harness

DTYPES = ("f32", "bf16", "f16")
SETS = "early: attn:0,1\nlate: mlp:2 attn:4\n"


def commands(programs):
    """How the program is started: alone twice, then under the launcher."""
    yield from ([], [])
    if "mpirun" in programs:
        yield from ([programs["mpirun"], "-n", ranks] for ranks in (1, 2))


def check(programs, root, device, dtype, folders):
    """The built-in text is more than a micro-batch: ranks split the last checkpoint."""
    options = ["--device", device] + (["--dtype", dtype] if device == "cuda" else [])
    stores, sets = [], f"{root}/sets.txt"
    with open(sets, "w", encoding="ascii") as file:
        file.write(SETS)
    for index, launcher in enumerate(commands(programs)):
        stores.append(f"{root}/{index}.h5")
        harness.run(*launcher, programs["trace-ckpts"], *options, "--per-token", "--cost", "attn,mlp",
                    "--cost-samples", "32", "--drop-sets", sets, "--set-distances", "--fresh",
                    "-o", stores[-1], "--ckpts", *folders, env=harness.environment(None)).expect(0)
        harness.run(programs["same_store"], stores[-1], stores[0]).expect(0)
    return f"{len(stores)} runs"


def check_search(programs, root, device, dtype, folders):
    """A search of one checkpoint on a micro-batch: ranks share its candidates."""
    options = ["--device", device] + (["--dtype", dtype] if device == "cuda" else [])
    stores = []
    for index, launcher in enumerate(commands(programs)):
        stores.append(f"{root}/search{index}.h5")
        harness.run(*launcher, programs["trace-drop"], "search", *options, "--samples", "2", "--by",
                    "js", "--count", "4", "--fresh", "-o", stores[-1], folders[-1],
                    env=harness.environment(None)).expect(0)
        harness.run(programs["same_store"], stores[-1], stores[0]).expect(0)
    return f"{len(stores)} searches"


def main():
    programs = harness.programs(sys.argv[1:])
    device = os.path.basename(programs.get("device", "cuda"))
    if device == "cuda" and not os.path.exists("/dev/nvidiactl"):
        print("skipped: this machine has no GPU")
        return 77
    cases = []
    with harness.scratch() as root:
        for series in ("demo", "neox"):
            folder = os.path.join(programs["series"], series)
            folders = sorted(entry.path for entry in os.scandir(folder) if entry.is_dir())[-3:]
            for dtype in DTYPES:
                here = os.path.join(root, f"{series}-{dtype}")
                os.mkdir(here)
                cases.append((f"{series} {dtype}",
                              lambda here=here, dtype=dtype, folders=folders:
                              check(programs, here, device, dtype, folders)))
                cases.append((f"search of {series} {dtype}",
                              lambda here=here, dtype=dtype, folders=folders:
                              check_search(programs, here, device, dtype, folders)))
        return harness.run_cases(cases)


if __name__ == "__main__":
    sys.exit(main())

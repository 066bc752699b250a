# SPDX-License-Identifier: Apache-2.0
"""However many ranks and threads: the same bytes in every dataset.

test_same_bits.py NAME=PATH...: trace-ckpts, same_store, mpirun, series (a folder of checkpoints
with tokens.npy)."""

import os
import sys

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")]

import harness
from harness import check

# The launcher's own choices, without what the tests' environment says to Open MPI.
LAUNCHER_SETTINGS = ("OMPI_MCA_hwloc_base_binding_policy", "OMPI_MCA_rmaps_base_oversubscribe")


# On one micro-batch of two rows: candidates are split, too.
COSTS = ("--cost", "mlp", "--cost-samples", "2")
SETS = "half: attn:1,3 mlp:0,2\nblocks: block:1,2\nnothing:\n"


class Comparison:
    """Runs over the same checkpoints, each compared with the first one."""

    def __init__(self, programs, root, folders, *options):
        self.programs, self.root, self.runs = programs, root, 0
        self.arguments = ["--ckpts", *folders, "--tokens", programs["series"] + "/tokens.npy",
                          "--per-token", "--spans", "--span-tokens", "500",
                          *options]

    def run(self, launcher, env):
        out = f"{self.root}/{self.runs}.h5"
        harness.run(*launcher, self.programs["trace-ckpts"], *self.arguments, "-o", out,
                    env=env).expect(0)
        if self.runs:
            harness.run(self.programs["same_store"], out, self.root + "/0.h5").expect(0)
            os.remove(out)
        self.runs += 1

    def ranks(self, ranks, threads):
        self.run([self.programs["mpirun"], "-n", ranks], harness.environment(threads))


def default_binding(programs, comparison):
    """No word to the launcher about binding, none to us about threads."""
    env = harness.environment(None)
    for name in LAUNCHER_SETTINGS:
        env.pop(name, None)
    for ranks in range(1, min(2, os.cpu_count()) + 1):
        comparison.run([programs["mpirun"], "-n", ranks], env)


def three_checkpoints(programs, root, folders):
    """Fewer checkpoints than ranks: they are split. The last micro-batch is not a whole one."""
    comparison = Comparison(programs, root, folders[:3], "--samples", "6", *COSTS)
    comparison.run([], harness.environment(1))
    for ranks, threads in ((1, 2), (2, 1), (2, 3), (4, 2)):
        comparison.ranks(ranks, threads)
    default_binding(programs, comparison)
    comparison.run([], harness.environment(None))
    return f"{comparison.runs} runs"


def costs_afterwards(programs, root, folders):
    """A store that gains costs later, by however many ranks, is the one that was traced with them.
    Sets that were measured are measured again for their distances."""
    sets = root + "/sets.txt"
    with open(sets, "w", encoding="ascii") as file:
        file.write(SETS)
    comparison = Comparison(programs, root, folders[:2], "--samples", "6", *COSTS, "--drop-sets",
                            sets, "--set-distances")
    comparison.run([], harness.environment(1))
    whole = comparison.arguments
    added = ("--drop-sets", sets, "--set-distances")
    steps = ([part for part in whole if part not in (*COSTS, *added)],
             [part for part in whole if part not in added],
             [part for part in whole if part not in (*COSTS, added[-1])])
    for ranks in (1, 3):
        out = f"{root}/{comparison.runs}.h5"
        for step in steps[:ranks]:
            harness.run(programs["trace-ckpts"], *step, "-o", out).expect(0)
        comparison.arguments = [*steps[2], added[-1]] if ranks == 3 else whole
        comparison.ranks(ranks, 1)
    return f"{comparison.runs} runs"


def whole_series(programs, root, folders):
    comparison = Comparison(programs, root, folders, "--samples", "8")
    comparison.run([], harness.environment(None))
    comparison.ranks(3, 2)
    comparison.ranks(4, 1)
    return f"{comparison.runs} runs"


def main():
    programs = harness.programs(sys.argv[1:])
    series = programs["series"]
    folders = sorted(os.path.join(series, name) for name in os.listdir(series)
                     if os.path.isdir(os.path.join(series, name)))
    check(len(folders) >= 3, "no series in", series)
    cases = []
    with harness.scratch() as root:
        for case in (three_checkpoints, costs_afterwards, whole_series):
            here = os.path.join(root, case.__name__)
            os.mkdir(here)
            cases.append((case.__name__.replace("_", " "),
                          lambda case=case, here=here: case(programs, here, folders)))
        return harness.run_cases(cases)


if __name__ == "__main__":
    sys.exit(main())

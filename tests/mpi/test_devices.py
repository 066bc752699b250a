# SPDX-License-Identifier: Apache-2.0
"""Ranks and the devices they see: who computes where, and how much memory each may take.

test_devices.py NAME=PATH...: fake_trace_ckpts (see tests/tools/fake_visible.c), same_store, mpirun,
series (a folder of checkpoints with tokens.npy)."""

import os
import re
import sys

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")]

import harness
from harness import check

# Each rank's share of the line is what the launcher lets it see, as Slurm and wrappers do it.
WRAPPER = ('FAKE_DEVICES=$(echo $SEEN | cut -d, -f$((OMPI_COMM_WORLD_LOCAL_RANK + 1))); '
           'export FAKE_DEVICES; exec "$0" "$@"')


class Job:
    def __init__(self, programs, root):
        self.programs, self.root = programs, root

    def run(self, seen, *options, memory=8 * 10**9):
        """`seen`: the devices that each rank sees, letters, with commas between the ranks."""
        series = self.programs["series"]
        env = harness.environment(1, SEEN=seen, FAKE_MEMORY=str(memory))
        return harness.run(self.programs["mpirun"], "-n", seen.count(",") + 1, "sh", "-c", WRAPPER,
                           self.programs["fake_trace_ckpts"], "--tokens", series + "/tokens.npy",
                           "--samples", "4", "--device", "cuda", "--dtype", "f32", "--fresh",
                           "-o", self.root + "/out.h5", *options, "--ckpts",
                           *(f"{series}/step_{step}" for step in (0, 128, 512)), env=env)


def unwrapped(said):
    """The launcher gives its ranks a terminal, for which lines are broken."""
    return " ".join(said.split())


def devices_of(said):
    """{device: ranks} as --verbose says."""
    line = re.search(r"^.*: (\d+ ranks? on fake .*)$", said, re.MULTILINE)
    check(line, "no word of devices:", said)
    return {chr(int(identity, 16)): int(ranks) for ranks, identity in
            re.findall(r"(\d+) ranks? on fake \(UUID ([0-9a-f]{2})", line.group(1))}


PLACES = [
    ("all ranks see all devices", "ab,ab,ab,ab", {"a": 2, "b": 2}),
    ("each sees its own", "a,b,c,d", {"a": 1, "b": 1, "c": 1, "d": 1}),
    ("two see one, two the other", "a,a,b,b", {"a": 2, "b": 2}),
    ("all see one", "a,a,a,a", {"a": 4}),
    ("two groups of two devices, in turn", "ab,cd,ab,cd", {"a": 1, "b": 1, "c": 1, "d": 1}),
    ("more devices than ranks", "abcdef,abcdef,abcdef,abcdef",
     {"a": 1, "b": 1, "c": 1, "d": 1}),
    ("three share, one is alone", "a,b,b,b", {"a": 1, "b": 3}),
]


def place(job, seen, expected):
    """The right devices; the plan counts rank 0's; values are those of one rank."""
    said = job.run(seen, "-v").expect(0).err
    check(devices_of(said) == expected, seen, "gave", devices_of(said))
    harness.run(job.programs["same_store"], job.root + "/out.h5", job.root + "/one.h5").expect(0)
    plan = unwrapped(job.run(seen, "--dry-run").expect(0).out)
    sharers = expected["a"]
    check(("shared by" in plan) == (sharers > 1), plan)
    check(sharers == 1 or f", shared by {sharers} of this node's 4 ranks" in plan, plan)


def memory(job):
    """3 GB are too little for four ranks, enough for each alone; some rank's device is short."""
    little = 3 * 10**9
    job.run("a,b,c,d", memory=little).expect(0)
    sentence = "the device has too little memory: a rank needs "
    for seen in ("a,a,a,a", "a,b,b,b"):
        ran = job.run(seen, memory=little).expect(3)
        check(sentence in ran.err, ran)
        check(" beside 1.10 GB for the context and libraries" in ran.err, ran)
    job.run("a,a,a,a", memory=6 * 10**9).expect(0)
    job.run("a,a,b,b", "--device-memory", "3G").expect(0)
    ran = job.run("a,a,a,a", "--device-memory", "3G").expect(3)
    check(sentence in ran.err and "by --device-memory" in ran.err, ran)


def reserve(job):
    """The plan names what CUDA takes by itself, and keeps within what was asked for with it."""
    plan = unwrapped(
        job.run("a,b,c,d", "--dry-run", "--device-memory", "1.2G").expect(0).out)
    found = re.search(r"device memory ([\d.]+) GB a rank: two slabs, streams, scratch, and "
                      r"1.10 GB for the context and libraries", plan)
    check(found and 1.1 <= float(found.group(1)) <= 1.2, plan)
    job.run("a,b,c,d", "--dry-run", "--device-memory", "1.02G").expect(3)  # 1.095e9 bytes


def main():
    programs = harness.programs(sys.argv[1:])
    with harness.scratch() as root:
        job = Job(programs, root)
        job.run("a").expect(0)
        os.rename(root + "/out.h5", root + "/one.h5")
        cases = [(name, lambda seen=seen, expected=expected: place(job, seen, expected))
                 for name, seen, expected in PLACES]
        return harness.run_cases(cases + [("memory by sharers", lambda: memory(job)),
                                          ("the reserve", lambda: reserve(job))])


if __name__ == "__main__":
    sys.exit(main())

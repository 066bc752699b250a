# SPDX-License-Identifier: Apache-2.0
"""Dies at the n-th call that changes a file, and comes back.

test_die_at.py NAME=PATH... samples=N [checkpoints=N] [jobs=N]: trace-ckpts, die_at (the library to
preload), store_json, same_store. A run of so many checkpoints (72) is killed at its n-th write,
rename, truncate, fsync, unlink ... for N values of n (0: every one) spread over all calls that an
undisturbed run makes, `jobs` of them at a time. After each death OUT must be readable with final rows; the same command must
then finish, compute nothing twice that was committed, and leave what an undisturbed run leaves."""

import os
import random
import shutil
import subprocess
import sys

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")]

import harness
from harness import check
from series import Series

KILLED = -9


def disturbed(series, programs, at, *options):
    """Runs with the library; dies at call `at`, 0 for never. (exit code, calls counted or None)"""
    counted = series.work + "-calls"
    env = harness.environment(LD_PRELOAD=programs["die_at"], DIE_BELOW=series.work, DIE_AT=str(at),
                              DIE_COUNT=counted, ASAN_OPTIONS="verify_asan_link_order=0")
    done = subprocess.run([*series.command(series.out), *options], env=env, check=False, timeout=240,
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL)
    return done.returncode, counted


def count_calls(series, programs):
    code, counted = disturbed(series, programs, 0)
    check(code == 0, "the library itself disturbs: exit", code)
    series.check_finished()
    with open(counted, encoding="ascii") as file:
        return int(file.read())


def samples_of(calls, wanted):
    """`wanted` numbers spread evenly over 1 ... calls (all of them when it is 0), shuffled so that
    what a long run has done so far is spread evenly, too."""
    wanted = min(wanted or calls, calls)
    samples = [1 + i * (calls - 1) // max(wanted - 1, 1) for i in range(wanted)]
    random.Random(0).shuffle(samples)
    return samples


def one_death(series, programs, at):
    """True when the run died, False when it was over before its `at`-th call (the number of calls
    depends on when the store is published)."""
    series.start_anew()
    code, _ = disturbed(series, programs, at)
    check(code in (0, KILLED), f"death at call {at}: exit", code)
    series.check_published()
    done = series.committed()
    try:
        series.finish(done)
    except harness.Failure as failure:
        raise harness.Failure(f"after the death at call {at}: {failure}") from None
    return code == KILLED


def all_deaths(series, programs, wanted, jobs):
    calls = count_calls(series, programs)
    samples = samples_of(calls, wanted)
    lanes = [series.beside(f"lane{lane}") for lane in range(jobs)]
    deaths = sum(harness.side_by_side(
        jobs, lambda at, lane: one_death(lanes[lane], programs, at), samples))
    check(deaths >= 0.9 * len(samples), "only", deaths, "deaths in", len(samples), "runs")
    return f"{deaths} deaths at {len(samples)} of {calls} calls"


def fresh_deaths(series, programs):
    """With --fresh a store that is there stays, as it was, until a new one replaces it."""
    with open(series.clean, "rb") as file:
        before = file.read()
    replaced = kept = 0
    for at in (1, 4, 8, 40, 400, 2000):
        series.start_anew()
        shutil.copyfile(series.clean, series.out)
        code, _ = disturbed(series, programs, at, "--fresh")
        check(code in (0, KILLED), f"death at call {at}: exit", code)
        with open(series.out, "rb") as file:
            same = file.read() == before
        kept += same
        replaced += not same
        series.check_published()
        again = series.command(series.out)
        harness.run(*again).expect(0)
        series.check_finished()
    check(kept and replaced, "the store was never", "replaced" if kept else "kept")
    return f"{kept} stores kept, {replaced} replaced"


def main():
    programs = harness.programs(sys.argv[1:])
    wanted = int(os.path.basename(programs.get("samples", "40")))
    checkpoints = int(os.path.basename(programs.get("checkpoints", "72")))
    jobs = int(os.path.basename(programs.get("jobs", "1")))
    with harness.scratch() as root:
        series = Series(programs, root, checkpoints, 2, 8, num_hidden_layers=1, hidden_size=8,
                        num_attention_heads=1, intermediate_size=8)
        return harness.run_cases([("crash", lambda: all_deaths(series, programs, wanted, jobs)),
                                  ("--fresh", lambda: fresh_deaths(series, programs))])


if __name__ == "__main__":
    sys.exit(main())

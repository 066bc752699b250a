# SPDX-License-Identifier: Apache-2.0
"""A checkpoint over which ranks keep dying is left out once, recorded as failed, and tried again by
the command after that; of jobs that share OUT, those that live do the work of one that died.

test_deaths.py NAME=PATH...: trace-ckpts, store_json, same_store."""

import glob
import os
import signal
import subprocess
import sys
import time

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")]

import harness
from harness import check
from series import Series

KILLER = "step_100"


def at(series, pid):
    """The checkpoints that a process's note says it is at."""
    for path in glob.glob(f"{series.out}.parts/.at-*-{pid}"):
        try:
            with open(path, "rb") as file:
                return file.read().decode().split("\0")[:-1]
        except FileNotFoundError:
            pass
    return []


def die_over(series, *signals):
    """Starts the job and ends it by these signals while it is at KILLER; whether it got there."""
    job = subprocess.Popen(series.command(series.out), env=harness.environment(),
                           stderr=subprocess.PIPE, text=True)
    while job.poll() is None and at(series, job.pid)[:1] != [KILLER]:
        time.sleep(0.001)
    for number in signals:
        job.send_signal(number)
        time.sleep(0.02)
    _, said = job.communicate()
    check(job.returncode == -signal.SIGKILL, "it was not killed:", said)


def killed_twice(series):
    series.start_anew()
    die_over(series, signal.SIGKILL)
    die_over(series, signal.SIGKILL)
    check(len(series.committed()) == len(series.folders) - 1, "it was not tried last")
    ran = harness.run(*series.command(series.out)).expect(1)
    check(f"{KILLER} failed: ranks died over it 2 times" in ran.err, ran)
    committed = harness.Store(series.programs["store_json"], series.out)
    check(len(committed.rows) == len(series.folders), committed.names)
    check(committed.row(KILLER)["status"] == 2, committed.row(KILLER))
    check(os.listdir(series.work) == ["out.h5"], "left over:", os.listdir(series.work))
    ran = harness.run(*series.command(series.out)).expect(0)
    check(harness.summary(ran) == (1, 0, len(series.folders) - 1), ran)
    series.check_finished()


def told_before(series):
    """Whoever was told to stop has not died of its checkpoint: mpirun's way to end ranks."""
    series.start_anew()
    for _ in range(2):
        die_over(series, signal.SIGTERM, signal.SIGKILL)
    harness.run(*series.command(series.out)).expect(0)
    series.check_finished()


def taken_over(series):
    """Of three jobs that share OUT one is killed for good: the others do its work, with the same file
    at the end, and a fourth that comes for that shard finds nothing to do."""
    series.start_anew()
    jobs = [subprocess.Popen([*series.command(series.out), "--shard", f"{i}/3", "--take-over"],
                             env=harness.environment(), stderr=subprocess.PIPE, text=True)
            for i in (1, 2, 3)]
    while not at(series, jobs[1].pid):
        check(jobs[1].poll() is None, "it ended before it could be killed")
        time.sleep(0.001)
    jobs[1].kill()
    said = [job.communicate()[1] for job in jobs]
    check([job.returncode for job in jobs] == [0, -signal.SIGKILL, 0], *said)
    found = [index for index in (0, 2) if "shard 2 of 3 was left by a job that is no more" in said[index]]
    took = [index for index in found if "shard 2 of 3: 1 of the 4 checkpoints" in said[index]]
    check(len(took) == 1, "found by", found, "taken over by", took, *said)  # both may have found it
    series.check_finished()
    ran = harness.run(*series.command(series.out), "--shard", "2/3", "--take-over").expect(0)
    check(harness.summary(ran)[0] == 0, ran)
    series.check_finished()


def main():
    programs = harness.programs(sys.argv[1:])
    with harness.scratch() as root:
        series = Series(programs, root, 4, 96, 32, num_hidden_layers=2, hidden_size=64,
                        intermediate_size=256)
        return harness.run_cases([(case.__name__.replace("_", " "), lambda case=case: case(series))
                                  for case in (killed_twice, told_before, taken_over)])


if __name__ == "__main__":
    sys.exit(main())

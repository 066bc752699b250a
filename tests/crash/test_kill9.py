# SPDX-License-Identifier: Apache-2.0
"""kill -9 and -TERM of a job of two ranks, at random moments, until it gets through.

test_kill9.py NAME=PATH... kills=K seed=S [checkpoints=N]: trace-ckpts, store_json, same_store,
watch_store, mpirun. K times a rank, or mpirun itself, is killed or told to end; whenever all checkpoints are
through, the store is compared with an undisturbed one and the series is begun again. All the while
a reader opens OUT again and again: it must never fail, and no row may ever change or go."""

import os
import random
import signal
import subprocess
import sys
import time

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")]

import harness
from harness import check
from series import Series

RANKS = 2
GONE_WITHIN = 60  # seconds after its mpirun's death that a rank may take


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def kill(pid, number=signal.SIGKILL):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def wait_until_gone(pids):
    """Ranks end by themselves when their launcher died; a store that one still held would be
    refused to the next job."""
    end = time.monotonic() + GONE_WITHIN
    while any(is_alive(pid) for pid in pids) and time.monotonic() < end:
        time.sleep(0.01)
    left = [pid for pid in pids if is_alive(pid)]
    for pid in left:
        kill(pid)
    check(not left, f"ranks outlived their mpirun by {GONE_WITHIN} s")


class Reader:
    """watch_store on OUT, from before there is one."""

    def __init__(self, series, programs):
        self.process = subprocess.Popen([programs["watch_store"], series.out], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)

    def finish(self):
        """How many readings it made."""
        said, _ = self.process.communicate()
        check(self.process.returncode == 0, "the reader:", said)
        return int(said.split()[0])


class Victim:
    """One series under fire, from nothing to the last checkpoint."""

    def __init__(self, series, programs, draw, duration):
        self.series, self.draw, self.duration = series, draw, duration
        self.command = [programs["mpirun"], "-n", str(RANKS), *series.command(series.out)]

    def one_kill(self):
        """Starts the job and kills part of it; whether the job was killed (else it got through)."""
        done = self.series.committed()
        job = subprocess.Popen(self.command, env=harness.environment(), text=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE)
        try:
            job.wait(timeout=self.draw.uniform(0, self.duration))
        except subprocess.TimeoutExpired:
            ranks = children(job.pid)
            number = self.draw.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])
            kill(self.draw.choice([job.pid, *ranks]), number)
            _, said = job.communicate()
            wait_until_gone(ranks)
            if job.returncode == 0 and number == signal.SIGTERM:  # it came when nothing was left
                self.series.check_finished()
                return False
            check(job.returncode != 0, "killed, yet exit 0:", said)
            check(done <= self.series.committed(), "what was committed is gone")
            self.series.check_published()
            return True
        _, said = job.communicate()
        ran = harness.Result(self.command, job.returncode, "", said).expect(0)
        count = len(self.series.folders)
        check(harness.summary(ran) == (count - len(done), 0, len(done)), ran)
        self.series.check_finished()
        return False


def under_fire(series, programs, kills, seed):
    draw = random.Random(seed)
    start = time.monotonic()
    harness.run(programs["mpirun"], "-n", RANKS, *series.command(series.out)).expect(0)
    duration = time.monotonic() - start
    series.check_finished()
    killed = rounds = readings = 0
    while killed < kills:
        series.start_anew()
        reader = Reader(series, programs)
        try:
            victim, through = Victim(series, programs, draw, duration), False
            while killed < kills and not through:
                through = not victim.one_kill()
                killed += not through
            if not through:
                series.finish(series.committed(), [programs["mpirun"], "-n", RANKS])
        finally:
            readings += reader.finish()
        rounds += 1
        print(f"        {killed} kills, {rounds} times through", flush=True)
    check(readings, "the reader never read anything")
    return f"{killed} kills, {rounds} times through, {readings} readings"


def main():
    programs = harness.programs(sys.argv[1:])
    kills, seed, checkpoints = (int(os.path.basename(programs.get(name, fallback)))
                   for name, fallback in (("kills", "8"), ("seed", "1"), ("checkpoints", "73")))
    with harness.scratch() as root:
        # An odd number of checkpoints over two micro-batches: the last one is split.
        series = Series(programs, root, checkpoints, 64, 32, options=("--cost", "attn,mlp", "--give-up", "0"),
                        num_hidden_layers=1, hidden_size=8, num_attention_heads=1,
                        intermediate_size=8)
        return harness.run_cases(
            [("kill -9", lambda: under_fire(series, programs, kills, seed))])


if __name__ == "__main__":
    sys.exit(main())

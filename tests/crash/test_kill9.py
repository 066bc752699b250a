# SPDX-License-Identifier: Apache-2.0
"""kill -9 and -TERM of jobs at random moments, until they get through.

test_kill9.py NAME=PATH... kills=K seed=S [checkpoints=N] [jobs=J] [only=KIND]: trace-ckpts, trace-drop,
store_json, same_store, watch_store, mpirun. K times a rank, or mpirun itself, of a job of one of
these kinds is killed or told to end, J series at a time, each in a folder of its own:

    trace    costs included, on two ranks
    shards   three jobs that share one OUT
    together the same where those that live take over what one that died has left
    search   greedy searches, on two ranks

Whenever all checkpoints are through, the store is compared with an undisturbed one, nothing may be
left beside it, and the series is begun again. While a series is traced, a reader opens OUT again and
again: it must never fail, and no row may ever change or go. By hand: kills=200 checkpoints=24 jobs=CORES."""

import collections
import os
import random
import signal
import subprocess
import sys
import time

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")]

import harness
from harness import check
from series import TRACE, Series

GONE_WITHIN = 60  # seconds after its mpirun's death that a rank may take
ENDS_WITHIN = 300  # seconds that a job may take
AIMED = 0.4  # of the kills, the share that waits for a file that is half written
KILLS = 5  # of a series, then it is left in peace

Kind = collections.namedtuple("Kind", "begins options ranks jobs traces sharing", defaults=[()])
COSTS = ("--cost", "attn,mlp", "--give-up", "0")
KINDS = {
    "trace": Kind(TRACE, COSTS, ranks=2, jobs=1, traces=True),
    "shards": Kind(TRACE, COSTS, ranks=0, jobs=3, traces=True),
    "together": Kind(TRACE, COSTS, ranks=0, jobs=3, traces=True, sharing=("--take-over",)),
    "search": Kind(("trace-drop", "search"), ("--count", "2"), ranks=2, jobs=1, traces=False),
}


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(child) for child in file.read().split()]
    except OSError:  # it ended
        return []


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


class Job:
    """One command, and what is done to it."""

    def __init__(self, command, after, number, aimed):
        self.command, self.number, self.aimed = command, number, aimed
        self.victim, self.ranks, self.half_written = None, [], False
        self.process = subprocess.Popen(command, env=harness.environment(), text=True,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE)
        self.due = time.monotonic() + after

    def strike(self, series, draw):
        """Kills part of it when its time has come, unless it is over."""
        try:
            self.process.wait(timeout=max(0, self.due - time.monotonic()))
            return
        except subprocess.TimeoutExpired:
            pass
        self.half_written = self.wait_for_half_written(series)
        if self.process.poll() is not None:
            return
        kill(self.process.pid, signal.SIGSTOP)  # no rank begins now, unseen
        self.ranks = children(self.process.pid)
        self.victim = draw.choice([self.process.pid, *self.ranks])
        kill(self.victim, self.number)
        kill(self.process.pid, signal.SIGCONT)

    def wait_for_half_written(self, series):
        """Whether a part or a publication is being written; an aimed kill waits for that."""
        end = time.monotonic() + (1 if self.aimed else 0)
        while not is_half_written(series):
            if time.monotonic() >= end or self.process.poll() is not None:
                return False
            time.sleep(0.0002)
        return True

    def name_of_victim(self):
        if self.victim != self.process.pid:
            return "rank 0" if self.victim == min(self.ranks) else "rank 1"
        return "mpirun" if "mpirun" in self.command[0] else "job"

    def end(self):
        try:
            _, self.said = self.process.communicate(timeout=ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise harness.Failure(f"never ends: {self.command[-4:]}") from None
        wait_until_gone(self.ranks)
        code = self.process.returncode
        check(code == 0 or self.victim, "exit", code, self.said)
        if code == 0:  # the kill came when it was over, as its store has to show
            self.victim = None


def is_half_written(series):
    try:
        names = os.listdir(series.out + ".parts")
    except FileNotFoundError:
        return False
    return any(name.startswith(".") and name.endswith(".h5") for name in names)


class Fire:
    """A series of one kind, from nothing to the last checkpoint, again and again."""

    def __init__(self, kind, series, programs, seed):
        self.kind, self.series, self.programs = kind, series, programs
        self.draw = random.Random(seed)
        self.tally = collections.Counter()

    def commands(self):
        launcher = [self.programs["mpirun"], "-n", str(self.kind.ranks)] if self.kind.ranks else []
        for job in range(self.kind.jobs):
            shard = ["--shard", f"{job + 1}/{self.kind.jobs}"] if self.kind.jobs > 1 else []
            yield [*launcher, *self.series.command(self.series.out), *shard, *self.kind.sharing]

    def undisturbed(self, done=frozenset()):
        """How long it took; computes what was not committed, and nothing else."""
        start = time.monotonic()
        jobs = [Job(command, 0, 0, False) for command in self.commands()]
        for job in jobs:
            job.end()
        duration = time.monotonic() - start
        self.check_through(jobs, done)
        return duration

    def check_through(self, jobs, done):
        if self.kind.traces:
            told = [harness.summary(harness.Result(job.command, 0, "", job.said)) for job in jobs]
            traced, failed, there = (sum(counts) for counts in zip(*told))
            check((traced, failed, there) == (len(self.series.folders) - len(done), 0, len(done)),
                  *(job.said for job in jobs))
        self.series.check_finished()

    def one_round(self, duration):
        """Starts all jobs and kills part of them; whether they got through."""
        done = self.series.committed()
        jobs = [Job(command, self.draw.uniform(0, duration),
                    self.draw.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]),
                    self.draw.random() < AIMED) for command in self.commands()]
        for job in sorted(jobs, key=lambda job: job.due):
            job.strike(self.series, self.draw)
        for job in jobs:
            job.end()
        struck = [job for job in jobs if job.victim]
        for job in struck:
            self.tally[f"{job.name_of_victim()} -{signal.Signals(job.number).name[3:]}"] += 1
            self.tally["while a file was half written"] += job.half_written
        self.tally["kills"] += len(struck)
        check(done <= self.series.committed(), "what was committed is gone")
        if self.kind.traces:
            self.series.check_published()
        through = all(job.process.returncode == 0 for job in jobs)
        if through and not struck:
            self.check_through(jobs, done)
        elif through:
            self.series.check_finished()
        return through

    def until_through(self, kills, duration):
        self.series.start_anew()
        before, through = self.tally["kills"], False
        while self.tally["kills"] - before < kills and not through:
            through = self.one_round(duration)
        if not through:
            self.undisturbed(self.series.committed())
        self.tally["times through"] += 1

    def watched(self, kills, duration):
        reader = Reader(self.series, self.programs)
        try:
            self.until_through(kills, duration)
        finally:
            self.tally["readings"] += reader.finish()

    def burn(self, kills):
        self.series.start_anew()
        duration = self.undisturbed()
        run = self.watched if self.kind.traces else self.until_through
        while self.tally["kills"] < kills:
            run(kills - self.tally["kills"], duration)
        return self.tally


def under_fire(serieses, programs, kills, seed, jobs):
    """Kinds in turn, a few kills each."""
    names = list(serieses)
    each = min(KILLS, -(-kills // len(names)))
    items = [(names[i % len(names)], i) for i in range(max(-(-kills // each), len(names)))]
    lanes = [{name: serieses[name].beside(f"lane{lane}") for name in names} for lane in range(jobs)]

    def burn(item, lane):
        name, number = item
        return name, Fire(KINDS[name], lanes[lane][name], programs, f"{seed} {number}").burn(each)

    tallies = {name: collections.Counter() for name in names}
    for name, tally in harness.side_by_side(jobs, burn, items, every=10):
        tallies[name] += tally
    for name, tally in tallies.items():
        print(f"    {name}:", ", ".join(f"{count} {what}" for what, count in sorted(tally.items())))
    check(all(tallies[name]["readings"] for name in names if KINDS[name].traces),
          "the reader never read anything")
    return f"{sum(tally['kills'] for tally in tallies.values())} kills"


def main():
    programs = harness.programs(sys.argv[1:])
    kills, seed, checkpoints, jobs = (
        int(os.path.basename(programs.get(name, fallback)))
        for name, fallback in (("kills", "8"), ("seed", "1"), ("checkpoints", "24"), ("jobs", "1")))
    only = os.path.basename(programs.get("only", ""))
    with harness.scratch() as root:
        serieses = {}
        for name, kind in KINDS.items():
            if only in name:
                os.mkdir(f"{root}/{name}")
                # Two micro-batches: of an odd number of checkpoints the last one is split.
                serieses[name] = Series(programs, f"{root}/{name}", checkpoints, 64, 32, kind.options,
                                        kind.begins, num_hidden_layers=2, hidden_size=8,
                                        num_attention_heads=1, intermediate_size=8)
        return harness.run_cases(
            [("kill -9", lambda: under_fire(serieses, programs, kills, seed, jobs))])


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""Lets the n-th call fail, and goes on.

test_fail_at.py NAME=PATH... samples=N [only=TEXT] [seconds=N] [part=IofN]: trace-ckpts, trace-export,
fail_at (the library to preload), same_store, mpirun. For N values of n (0: every one; of those every
N-th from the I-th on) spread over all calls that an undisturbed run makes, the n-th open, read, write, fsync, rename, close ... fails, once or from
then on, with EIO or ENOSPC; likewise the n-th allocation; or the n-th write says that it is done and
is not. Whatever happens: no crash; an end after at most `seconds` (60; a loaded machine needs more);
a sentence where the exit is not 0; the undisturbed run's store where it is; and the same command then
finishes."""

import errno
import json
import os
import random
import re
import shutil
import subprocess
import sys

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")]

import harness
import tiny_checkpoint as tiny
from harness import check

FIXTURE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "formats", "fixtures",
                       "titan-w3")
ONCE, EVER = 1, 0
# The program's own, or, where one of several ranks could not read it, a checkpoint's.
SENTENCE = r"^(trace-\S+: |step_\d+ failed: )\S"
ALLOWED = (0, 1, 2, 3)  # exits that say what went wrong, or that nothing did


class Command:
    """A program that writes `out` below `work` from what is below `root`."""

    def __init__(self, programs, name, root, arguments, again=()):
        self.programs, self.name, self.root = programs, name, root
        self.seconds = int(os.path.basename(programs.get("seconds", "60")))
        self.work = f"{root}/{name.replace(' ', '-')}"
        self.out, self.clean = self.work + "/out.h5", f"{self.work}-clean.h5"
        self.arguments = [part.replace("OUT", self.out) for part in arguments]
        self.again = [*self.arguments, *again]

    def start_anew(self):
        shutil.rmtree(self.work, ignore_errors=True)
        os.mkdir(self.work)

    def run(self, **settings):
        env = harness.environment(LD_PRELOAD=self.programs["fail_at"], CUDA_VISIBLE_DEVICES="",
                                  FAIL_BELOW=f"{self.work}:{self.root}/series",
                                  FAIL_CALLS=self.root + "/calls",
                                  **{key: str(value) for key, value in settings.items()})
        try:
            done = subprocess.run(self.arguments, env=env, check=False, text=True,
                                  timeout=self.seconds, stdin=subprocess.DEVNULL,
                                  capture_output=True, errors="replace")
        except subprocess.TimeoutExpired:
            raise harness.Failure(f"{self.name} {settings}: never ends") from None
        return done.returncode, done.stderr

    def calls(self, what):
        """How many of them an undisturbed run makes."""
        self.start_anew()
        if os.path.exists(self.root + "/calls"):
            os.remove(self.root + "/calls")
        code, said = self.run(FAIL_WHAT=what, FAIL_AT=0)
        check(code == 0, "the library itself disturbs:", said)
        with open(self.root + "/calls", encoding="ascii") as file:
            return max(int(line) for line in file)  # of several ranks, the one that does most

    def undisturbed(self, what):
        """The same; what it writes then is what every other run is compared with."""
        calls = self.calls(what)
        if not os.path.exists(self.clean):
            shutil.copyfile(self.out, self.clean)
        return calls

    def same(self):
        return harness.run(self.programs["same_store"], self.out, self.clean)

    def one_failure(self, **settings):
        """Whether it was noticed."""
        self.start_anew()
        code, said = self.run(**settings)
        where = f"{self.name} {settings}: exit {code}\n{said}\n"
        check(code in ALLOWED, where)
        check(code == 0 or re.search(SENTENCE, said, re.M), where, "no sentence")
        if code == 0:
            same = self.same()
            check(same.code == 0, where, same)
        again = harness.run(*self.again)
        check(again.code == 0, where, again)
        same = self.same()
        check(same.code == 0, where, "and then", again, same)
        return code != 0


MODES = [dict(FAIL_WHAT="files", FAIL_COUNT=count, FAIL_ERRNO=error)
         for count in (ONCE, EVER) for error in (errno.EIO, errno.ENOSPC)]
LOST = [dict(FAIL_WHAT="writes", FAIL_COUNT=ONCE, FAIL_ERRNO=0)]
MEMORY = [dict(FAIL_WHAT="memory", FAIL_COUNT=count) for count in (ONCE, EVER)]


def all_failures(command, modes, wanted, part):
    calls = command.undisturbed(modes[0]["FAIL_WHAT"])
    samples = [(mode, at) for mode in modes for at in range(1, calls + 1)]
    random.Random(1).shuffle(samples)
    samples = harness.share(samples[:wanted] if wanted else samples, part)
    noticed = wrong = 0
    for i, (mode, at) in enumerate(samples):
        try:
            noticed += command.one_failure(FAIL_AT=at, **mode)
        except harness.Failure as failure:
            wrong += 1
            print(failure, flush=True)
        if i % 20 == 19:
            print(f"  {command.name}: {i + 1} of {len(samples)}, {wrong} wrong", flush=True)
    check(not wrong, wrong, "of", len(samples), "wrong")
    return f"{len(samples)} failures among {calls} calls x {len(modes)} ways, {noticed} noticed"


def commands(programs, root):
    folders = tiny.write_series(root + "/series", 2, num_hidden_layers=1, hidden_size=8,
                                num_attention_heads=1, intermediate_size=8)
    tiny.write_tokens(root + "/series/ids.jsonl", 2, 8)
    trace = [programs["trace-ckpts"], "--ckpts", *folders, "-o", "OUT", "--tokens",
             root + "/series/ids.jsonl", "--publish", "0"]
    store = root + "/series/store.h5"
    harness.run(*[part.replace("OUT", store) for part in trace]).expect(0)
    export = [programs["trace-export"], store, "--to", "hdf5", "-o", "OUT"]
    yield Command(programs, "trace-ckpts", root, trace)
    yield Command(programs, "trace-export", root, export, again=["--force"])
    if "mpirun" in programs:
        yield Command(programs, "trace-ckpts on 2 ranks", root,
                      [programs["mpirun"], "-n", "2", "--oversubscribe", *trace])


def followed(programs, root):
    """Most of what a followed run does before it reads tokens is to read its first checkpoint again,
    after finding it whole: a call that fails there is waited out."""
    series = root + "/series/followed"
    shutil.copytree(FIXTURE, series)
    os.utime(series + "/step-6418/.metadata")  # which its writer writes last
    with open(series + "/expected.json", encoding="utf-8") as expected:
        with open(root + "/series/config.json", "w", encoding="utf-8") as config:
            json.dump(json.load(expected)["config"], config)
    tiny.write_tokens(root + "/series/short.jsonl", 2, 8, vocabulary=37)
    follow = [programs["trace-ckpts"], "--follow", "--until", "6418", "--ckpts", series, "-o", "OUT",
              "--config", root + "/series/config.json", "--tokens", root + "/series/short.jsonl"]
    run = Command(programs, "followed", root, follow)
    run.seconds = 3 * run.seconds  # what cannot be opened at first is waited for a minute
    run.undisturbed("files")
    calls = Command(programs, "looked at", root, [*follow, "--dry-run"]).calls("files")
    for at in range(calls * 6 // 10, calls * 9 // 10, calls // 12):
        run.start_anew()
        code, said = run.run(FAIL_AT=at, FAIL_WHAT="files", FAIL_COUNT=ONCE, FAIL_ERRNO=errno.EIO)
        check(code == 0, f"{at} of {calls}: exit {code}\n{said}")
        check(run.same().code == 0, f"{at} of {calls}", run.same())
    return f"of {calls} calls"


def main():
    programs = harness.programs(sys.argv[1:])
    wanted = int(os.path.basename(programs.get("samples", "12")))
    only = os.path.basename(programs.get("only", ""))
    part = os.path.basename(programs.get("part", "0of1"))
    with harness.scratch() as root:
        cases = []
        for command in commands(programs, root):
            for what, modes in (("files", MODES), ("memory", MEMORY), ("lost writes", LOST)):
                if what != "files" and "ranks" in command.name:
                    continue
                cases.append((f"{command.name}, {what}",
                              lambda c=command, m=modes: all_failures(c, m, wanted, part)))
        cases.append(("a followed run, files", lambda: followed(programs, root)))
        return harness.run_cases(cases, only)


if __name__ == "__main__":
    sys.exit(main())

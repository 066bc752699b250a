# SPDX-License-Identifier: Apache-2.0
"""Series that are traced apart, and joined: the store is the one of one run over all of it.

test_merge.py NAME=PATH...: trace-ckpts, trace-merge, trace-info, same_store."""

import fcntl
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")]

import harness
import tiny_checkpoint as tiny
from harness import check

COUNT = 5


class Cases:
    def __init__(self, programs, root):
        self.programs, self.root = programs, root
        self.folders = tiny.write_series(root + "/series", COUNT)
        tiny.write_tokens(root + "/ids.jsonl", 2, 16)
        tiny.write_tokens(root + "/others.jsonl", 2, 16, seed=1)
        self.whole = self.trace("whole", self.folders)
        # The first three, the last three.
        self.early = self.trace("early", self.folders[:3])
        self.late = self.trace("late", self.folders[2:])

    def path(self, name):
        return f"{self.root}/{name}.h5"

    def trace(self, name, folders, *options, code=0, tokens="ids"):
        text = ("--tokens", f"{self.root}/{tokens}.jsonl") if tokens else ()
        harness.run(self.programs["trace-ckpts"], "--ckpts", *folders, "-o", self.path(name), "-q",
                    *text, *options).expect(code)
        return self.path(name)

    def merge(self, name, *files, code=0):
        return harness.run(self.programs["trace-merge"], "-o", self.path(name), *files).expect(code)

    def same(self, a, b):
        harness.run(self.programs["same_store"], a, b).expect(0)

    def refused(self, sentence, *files, out="refused"):
        ran = self.merge(out, *files, code=3)
        found = ran.err.replace(self.root + "/", "")
        check(found == f"trace-merge: {sentence}\n", "expected:", sentence, "found:", ran)
        check(not os.path.exists(self.path("refused")), "something was written")

    # ---- what belongs together -----------------------------------------------------------------

    def one_run(self):
        """Whatever the order of the files; a checkpoint that two have counts once."""
        for name, files in (("forward", (self.early, self.late)),
                            ("backward", (self.late, self.early))):
            ran = self.merge(name, *files)
            check("merged 5 checkpoints of 2 files into " in ran.err, ran)
            self.same(self.path(name), self.whole)
        check(not os.path.exists(self.path("forward") + ".parts"), "a folder is left")

    def into_itself(self):
        shutil.copy(self.early, self.path("grows"))
        self.merge("grows", self.path("grows"), self.late)
        self.same(self.path("grows"), self.whole)
        history = harness.run(self.programs["trace-info"], self.path("grows")).expect(0).out
        check(history.count("trace-ckpts --ckpts") == 2, history)

    def parts(self):
        """What a job has left unpublished: alone, beside its store, and untold of."""
        parts = self.path("left") + ".parts"
        os.mkdir(parts)
        for folder in self.folders[3:]:
            one = self.trace("one", [folder], "--fresh")
            shutil.copy(one, f"{parts}/{os.path.basename(folder)}.h5")
        self.merge("of_parts", self.early, parts)
        self.same(self.path("of_parts"), self.whole)
        shutil.copy(self.early, self.path("left"))
        ran = self.merge("without", self.path("left"))
        check(f"{parts} holds 2 checkpoints that {self.path('left')} lacks; name it, too" in
              ran.err, ran)
        self.refused("left.h5.parts holds 2 checkpoints of a job that is not over; name it among "
                     "the files, too", self.path("left"), out="left")
        self.merge("left", self.path("left"), parts)
        self.same(self.path("left"), self.whole)
        check(not os.path.exists(parts), "the parts are left")

    def failed_and_traced(self):
        """A checkpoint that could not be read in one place, and was traced in another."""
        broken = self.root + "/broken/step_400"
        shutil.copytree(self.folders[4], broken)
        os.truncate(broken + "/model.safetensors", 100)
        self.trace("failed", [self.folders[3], broken], code=1)
        for files in ((self.path("failed"), self.late), (self.late, self.path("failed"))):
            self.merge("healed", "--force", self.early, *files)
            self.same(self.path("healed"), self.whole)

    def costs(self):
        """Of some rows alone, and of a row with and without them."""
        self.trace("costs", self.folders[2:], "--cost", "attn")
        with_costs = self.trace("whole_costs", self.folders, "--cost", "attn")
        cheap = self.trace("early_costs", self.folders[:2], "--cost", "attn")
        self.merge("both", self.late, cheap, self.path("costs"))
        self.same(self.path("both"), with_costs)
        self.trace("mlp", self.folders[3:], "--cost", "mlp")
        self.refused('mlp.h5 has cost = "mlp", what it is to be merged with has "attn"; they are '
                     "not of one series", self.path("costs"), self.path("mlp"))

    # ---- shards --------------------------------------------------------------------------------

    def shards(self):
        """Each into a file of its own, merged: one run's file."""
        counts = []
        for shard in ("1/3", "2/3", "3/3"):
            name = "own" + shard[0]
            ran = harness.run(*self.command(self.path(name), "--shard", shard)).expect(0)
            counts.append(harness.summary(ran)[0])
            check(f"shard {shard[0]} of 3: {counts[-1]} of the 5 checkpoints" in ran.err, ran)
        check(counts == [2, 2, 1], counts)
        self.merge("of_shards", *(self.path(f"own{i}") for i in (3, 1, 2)))
        self.same(self.path("of_shards"), self.whole)

    def command(self, out, *options):
        return [self.programs["trace-ckpts"], "--ckpts", *self.folders, "-o", out, "--tokens",
                self.root + "/ids.jsonl", *options]

    def one_output(self):
        """All at once into one file; whoever comes last has published all of it."""
        out = self.path("shared")
        jobs = [subprocess.Popen(self.command(out, "--shard", f"{i}/3", "--publish", "0"),
                                 env=harness.environment(), stderr=subprocess.PIPE, text=True)
                for i in (1, 2, 3)]
        for job in jobs:
            _, said = job.communicate(timeout=120)
            check(job.returncode == 0, said)
        self.same(out, self.whole)
        check(not os.path.exists(out + ".parts"), "a folder is left")
        told = harness.run(self.programs["trace-info"], out).expect(0).out
        check(told.count("--shard") == 3, told)

    def held(self, out):
        """A job of shard 1 of 2 that is stopped while it traces; None when it was not caught so."""
        job = subprocess.Popen(self.command(out, "--shard", "1/2"), env=harness.environment(),
                               stderr=subprocess.DEVNULL)
        at, publishing = f"{out}.parts/.at-1-of-2-*-{job.pid}", out + ".parts/.publishing"
        while job.poll() is None and not glob.glob(at):
            time.sleep(0.001)
        job.send_signal(signal.SIGSTOP)
        try:
            with open(publishing, "r+", encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if glob.glob(at):
                return job
        except OSError:
            pass
        job.kill()
        job.wait()
        return None

    def shares(self):
        """What a shard that runs keeps others from, and what not."""
        for attempt in range(20):
            out = self.path(f"held{attempt}")
            held = self.held(out)
            if held:
                break
        check(held, "no job could be stopped in its middle")
        try:
            holder = rf": process {held.pid} on \S+, shard 1 of 2"
            for options, told in (((), "another job is writing \\S+" + holder),
                                  (("--shard", "1/2"), "another job has this shard of .*" + holder),
                                  (("--shard", "2/3"), "another job has a shard of another number "
                                                       "of them of .*" + holder)):
                ran = harness.run(*self.command(out, *options)).expect(3)
                check(re.search(told, ran.err), told, ran)
            harness.run(*self.command(out, "--shard", "2/2")).expect(0)
        finally:
            os.kill(held.pid, signal.SIGCONT)
        check(held.wait(timeout=60) == 0, "the first shard must not be disturbed")
        self.same(out, self.whole)
        for options in (("--shard", "3/2"), ("--shard", "1"), ("--shard", "1/2", "--fresh")):
            harness.run(*self.command(out, *options)).expect(2)

    # ---- what does not -------------------------------------------------------------------------

    def others(self):
        other, end = "what it is to be merged with", "; they are not of one series"
        files = {
            f"FILE was traced without nll, {other} is with it": ("ids", "--no-nll"),
            f'FILE has drop = "attn:1", {other} has nothing': ("ids", "--drop", "attn:1")}
        for i, (sentence, (tokens, *options)) in enumerate(files.items()):
            path = self.trace(f"other{i}", self.folders[3:], *options, tokens=tokens)
            self.refused(sentence.replace("FILE", os.path.basename(path)) + end, self.early, path)
        self.trace("text", self.folders[3:], tokens="others")
        ran = self.merge("refused", self.early, self.path("text"), code=3)
        check("text.h5 has tokens_digest = " in ran.err, ran)

    def other_weights(self):
        folder = self.root + "/again/step_200"
        tiny.write_checkpoint(folder, seed=77)
        self.trace("again", [folder])
        self.refused("step_200 stands in early.h5 and in again.h5 with another weights_digest; "
                     "leave one of the files out, or trace it again", self.early,
                     self.path("again"))

    def in_the_way(self):
        self.refused("whole.h5 is there already; name it among the files, too, or replace it with "
                     "--force", self.early, out="whole")
        tiny.write(self.path("notes"), "not to be lost\n")
        ran = self.merge("notes", "--force", self.early, code=3)
        check("is no trace, and is not replaced" in ran.err, ran)
        os.mkdir(self.root + "/empty")
        self.refused("empty is a folder without parts of a trace", self.root + "/empty")
        harness.run(self.programs["trace-merge"], self.early).expect(2)


def main():
    programs = harness.programs(sys.argv[1:])
    only = os.path.basename(programs.pop("only", ""))
    names = ("one_run", "into_itself", "parts", "failed_and_traced", "costs", "shards", "one_output",
             "shares", "others",
             "other_weights", "in_the_way")
    with harness.scratch() as root:
        cases = Cases(programs, root)
        return harness.run_cases([(name.replace("_", " "), getattr(cases, name))
                                  for name in names], only)


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""The series that crash tests trace, and what must hold after every death."""

import copy
import os
import shutil

import harness
import tiny_checkpoint as tiny
from harness import check


TRACE = ("trace-ckpts", "--ckpts")


class Series:
    """`count` tiny checkpoints and a token file in `root`, and the store of an undisturbed run with
    these options of the program that `begins` names."""

    def __init__(self, programs, root, count, rows, seq_len, options=(), begins=TRACE, **shape):
        self.programs, self.root, self.options = programs, root, options
        self.begins = [programs[begins[0]], *begins[1:]]
        self.clean = root + "/clean.h5"
        self.folders = tiny.write_series(root + "/series", count, **shape)
        tiny.write_tokens(root + "/ids.jsonl", rows, seq_len)
        self.work_in("work")
        harness.run(*self.command(self.clean)).expect(0)

    def work_in(self, name):
        self.work = f"{self.root}/{name}"
        self.out = self.work + "/out.h5"
        os.mkdir(self.work)

    def beside(self, name):
        """The same series, to be traced into another folder at the same time."""
        other = copy.copy(self)
        other.work_in(name)
        return other

    def command(self, out):
        return [*self.begins, *self.folders, "-o", out, "--tokens", self.root + "/ids.jsonl",
                "--publish", "0", *self.options]

    def start_anew(self):
        shutil.rmtree(self.work)
        os.mkdir(self.work)

    def check_published(self):
        """OUT, if it is there, is whole, and its rows are final."""
        if os.path.exists(self.out):
            harness.run(self.programs["same_store"], "--rows-subset", self.out,
                        self.clean).expect(0)

    def committed(self):
        return harness.committed(self.programs["store_json"], self.out)

    def check_finished(self):
        """OUT equals the undisturbed one, and nothing is left beside it."""
        harness.run(self.programs["same_store"], self.out, self.clean).expect(0)
        check(os.listdir(self.work) == ["out.h5"], "left over:", os.listdir(self.work))

    def finish(self, done, launcher=()):
        """The same command again: it computes what was not committed, and nothing else."""
        ran = harness.run(*launcher, *self.command(self.out)).expect(0)
        check(harness.summary(ran) == (len(self.folders) - len(done), 0, len(done)),
              len(done), "were committed, but:", ran)
        self.check_finished()
